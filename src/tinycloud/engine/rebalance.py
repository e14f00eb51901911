"""Moves that balance, drain or pack propose, carried out: one after the other, each a transaction of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tinycloud.engine.inventory import read_world
from tinycloud.engine.load import read_loads
from tinycloud.engine.meter import find_loads
from tinycloud.engine.migrate import Mover, MoveWish
from tinycloud.errors import Failed, TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.engine.events import Listener
    from tinycloud.engine.parts import Parts
    from tinycloud.model.balance import Balance, Move
    from tinycloud.model.world import World


SAMPLE: Final = 5.0
"""Seconds that machines are measured for when nobody says how long."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was moved, and in how many seconds each."""

    moves: tuple[Move, ...]
    seconds: tuple[float, ...]


def read_for_balance(parts: Parts, seconds: float | None = None) -> World:
    """Everything that exists, with what machines use: measured now over ``seconds``, 0 for not at all.

    Without a number, what a watch keeps; machines of which it keeps nothing are measured for :data:`SAMPLE` seconds, if there are any.
    """
    world = read_world(parts.hosts.values())
    kept = find_loads(parts, world.machines) if seconds is None else ()
    known = {load.ref for load in kept}
    lacking = [it for it in world.machines if it.ref not in known and not it.is_off and it.state != "unreachable"]
    seconds = SAMPLE if seconds is None else seconds
    now = read_loads([parts.hosts[name] for name in sorted({it.host for it in lacking})], lacking, seconds) if lacking and seconds else ()
    return replace(world, loads=(*kept, *now))


def read_with_loads(parts: Parts) -> World:
    """Everything that exists, with what a watch keeps of what machines use; nobody waits for more."""
    world = read_world(parts.hosts.values())
    return replace(world, loads=find_loads(parts, world.machines))


def carry_out(parts: Parts, found: Balance, tell: Callable[[Move], None], listener: Listener, wait: float = 0.0) -> Done:
    """All moves in their order. The first that fails ends it: what was moved stays where it is now, and nothing is half moved.

    Raises Failed with what was done and what is left; the cause is the move's own error.
    """
    seconds: list[float] = []
    for n, move in enumerate(found.moves):
        tell(move)
        try:
            done = Mover(parts).move(move.machine, move.target, MoveWish(wait=wait, listener=listener))
        except TinycloudError as err:
            raise _stop(found.moves, n, err) from err
        seconds.append(done.moved.seconds)
    return Done(found.moves, tuple(seconds))


def _stop(moves: tuple[Move, ...], n: int, err: TinycloudError) -> TinycloudError:
    """Nothing was changed when it was the first that could not begin: then the error is what it is."""
    if n == 0 and not isinstance(err, Failed):
        return err
    rest = [f"{move.machine} → {move.target}" for move in moves[n + 1 :]]
    facts = [err.message, *err.facts, *([f"not tried: {', '.join(rest[:5])}{' …' if len(rest) > 5 else ''}"] if rest else [])]
    hint = err.hint or f"tinycloud balance --keep {moves[n].machine}"
    return Failed(f"{n} of {len(moves)} moves were made; {moves[n].machine} did not go to {moves[n].target}", facts=facts, hint=hint)
