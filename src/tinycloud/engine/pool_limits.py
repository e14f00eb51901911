"""How much may be promised of a pool, and what is kept free in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.engine.cards import change_card
from tinycloud.engine.pools import Pools
from tinycloud.errors import WrongInput
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Pool

_MOST = 1000.0


def set_limits(parts: Parts, host: Host, name: str, overcommit: float | None, reserve: int | None, *, usual: bool) -> Pool:
    """Keep other limits on a pool's card. None leaves one as it is; ``usual`` goes back to the reserve that nobody chose."""
    pools = Pools(parts, host)
    pool = pools.get(name)
    _check(pool, overcommit, reserve)
    with change_card(host, name, parts.locks) as opened:
        card = opened.card
        if overcommit is not None:
            card = replace(card, overcommit=float(overcommit))
        if reserve is not None or usual:
            card = replace(card, reserve=Bytes(reserve) if reserve is not None else None)
        opened.card = card
    return pools.get(name)


def _check(pool: Pool, overcommit: float | None, reserve: int | None) -> None:
    if overcommit is not None and not 0 < overcommit <= _MOST:
        wanted = f"expected more than 0, at most {_MOST:g}"
        raise WrongInput(f"overcommit: found {overcommit:g}, {wanted}", code="wrong-value", hint="--overcommit 2")
    if reserve is not None and not 0 <= reserve <= pool.capacity:
        raise WrongInput(
            f"reserve: found {Bytes(reserve)}, pool {pool.name} has {pool.capacity}", code="wrong-value", hint="--reserve 1GiB"
        )
