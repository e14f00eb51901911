"""Starting the machines of fenced hosts elsewhere: each stack by a plan of its own, in the journal as ``heal``, and resumed like an up.

What one machine meets does not keep the others: when a stack's machines do not all come back together, each is tried by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.engine.ask import ask_all
from tinycloud.engine.declarations import Declarations
from tinycloud.engine.deploy import Deployer
from tinycloud.engine.inventory import read_world
from tinycloud.engine.wish import Wish
from tinycloud.errors import Busy, Declined, Interrupted, Lost, NotFound, TinycloudError, Unfinished, WrongInput
from tinycloud.plan.healing import Fate, Way, list_fates
from tinycloud.plan.order import find_users

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts

_FOR_ALL = (Busy, Unfinished, Declined, NotFound, WrongInput)
"""What stands against a whole stack: trying its machines one by one would meet it again."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What became of one machine of a host that is gone. ``to`` is empty for one that stays, with the reason."""

    ref: str
    host: str
    to: str = ""
    way: str = ""
    reason: str = ""
    facts: tuple[str, ...] = ()
    meant: bool = True
    """False for one whose group does not say that it is to be started elsewhere."""


def list_lost(parts: Parts) -> list[Fate]:
    """The fates of all machines whose hosts are fenced or silent."""
    _look_at_pools(parts)
    return list(list_fates(read_world(parts.hosts.values())))


def heal(parts: Parts, wish: Wish = Wish(), fates: Iterable[Fate] | None = None) -> list[Healed]:
    """Start elsewhere what can be: machines of fenced hosts that say ``recover: restart``. Returns what became of each, by name."""
    out: list[Healed] = []
    stacks: dict[str, list[Fate]] = {}
    for fate in list_lost(parts) if fates is None else fates:
        if fate.way is Way.STAYS:
            meant = fate.machine.mark.spec.placing.recover == "restart"
            out.append(Healed(fate.ref, fate.machine.host, reason=fate.reason, meant=meant))
        else:
            stacks.setdefault(fate.machine.mark.stack, []).append(fate)
    for stack, found in sorted(stacks.items()):
        out += _heal_stack(parts, stack, found, wish)
    return sorted(out, key=lambda it: it.ref)


def _heal_stack(parts: Parts, stack: str, fates: Sequence[Fate], wish: Wish) -> list[Healed]:
    try:
        return _bring(parts, stack, fates, wish)
    except (Interrupted, Lost):
        raise
    except TinycloudError as err:
        if len(fates) == 1 or isinstance(err, _FOR_ALL):
            return [_refuse(fate, err) for fate in fates]
    out = []
    for fate in _in_order(fates):
        out += _heal_stack(parts, stack, [fate], wish)
    return out


def _bring(parts: Parts, stack: str, fates: Sequence[Fate], wish: Wish) -> list[Healed]:
    loaded, vault = Declarations(parts).load_kept(stack)
    only = frozenset(fate.ref for fate in fates)
    plan = Deployer(parts).up(loaded, vault, replace(wish, only=only, spare="0"))
    return [Healed(fate.ref, fate.machine.host, plan.machines[fate.ref].host, str(fate.way)) for fate in fates]


def _refuse(fate: Fate, err: TinycloudError) -> Healed:
    return Healed(fate.ref, fate.machine.host, reason=err.message, facts=err.facts)


def _in_order(fates: Sequence[Fate]) -> list[Fate]:
    """Groups that others need first."""
    users = find_users(fate.machine.mark for fate in fates)
    done: list[str] = []
    while len(done) < len(users):
        done += [group for group in users if group not in done and not any(group in users[it] for it in users if it not in done)]
    return sorted(fates, key=lambda fate: (done.index(fate.machine.mark.group), fate.machine.mark.index))


def _look_at_pools(parts: Parts) -> None:
    """Have libvirt look at pools that hosts share: what another host made there it does not know of."""

    def look(host: Host) -> None:
        for pool in host.list_pools():
            host.pool(pool).refresh()

    ask_all(parts.hosts.values(), look)
