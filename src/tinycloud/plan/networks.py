"""Networks in a plan: made, kept in step with their machines, replaced when they change."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from tinycloud.model.plan import Act, Price
from tinycloud.model.world import Reservation

if TYPE_CHECKING:
    from collections.abc import Set

    from tinycloud.model.plan import NetworkWanted
    from tinycloud.model.world import Network
    from tinycloud.plan.draft import Draft


def plan_networks(draft: Draft) -> None:
    for name, wanted in draft.desired.networks.items():
        present = draft.world.network_by_ref.get(f"{draft.stack}/{name}")
        if present is None:
            draft.last.append(draft.steps.create_network(wanted, *_make_way(draft, wanted)))
            draft.say(Act.ADD, "network", name, describe(wanted), Price.ADD)
        elif differences := _compare(wanted, present):
            _replace(draft, wanted, ", ".join(differences))
        else:
            _keep(draft, wanted, present)


def describe(wanted: NetworkWanted) -> str:
    return ", ".join(part for part in (wanted.subnet, wanted.subnet6, wanted.access.replace(":", " "), str(wanted.vlan or "")) if part)


def _compare(wanted: NetworkWanted, present: Network) -> list[str]:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("subnet", present.subnet, wanted.subnet),
        ("subnet6", present.subnet6, wanted.subnet6),
        ("access", present.access, wanted.access),
        ("mtu", present.mtu, wanted.mtu),
        ("vlan", present.vlan.removeprefix("vlan "), str(wanted.vlan or "").removeprefix("vlan ")),
    )
    found = [f"{word} {old or 'none'} → {new or 'none'}" for word, old, new in pairs if old != new]
    return found if present.custom == wanted.custom else [*found, "template or values"]


def _make_way(draft: Draft, wanted: NetworkWanted) -> list[str]:
    """The removals that come first: of networks that have addresses of this one and are made anew (else they are not in the plan)."""
    if not wanted.subnet:
        return []
    subnet = ip_network(wanted.subnet)
    others = [n for n in draft.world.stack_networks(draft.stack) if n.name != wanted.name and n.subnet]
    return [
        f"net:{other.name}:remove" for other in others if other.name in draft.desired.networks and subnet.overlaps(ip_network(other.subnet))
    ]


def _replace(draft: Draft, wanted: NetworkWanted, text: str) -> None:
    """libvirt cannot change a running network's addresses: it is stopped and made anew, with its machines off."""
    if not draft.options.allows(wanted.name):
        draft.say(Act.REFUSED, "network", wanted.name, text, Price.REPLACE, "every machine in it is cut off")
        return
    draft.remade.add(wanted.name)
    gone = draft.steps.remove_network(draft.stack, wanted.name, wanted.host, f"off:{wanted.name}")
    draft.last.append(draft.steps.create_network(wanted, gone, *_make_way(draft, wanted)))
    draft.say(Act.CHANGE, "network", wanted.name, text, Price.REPLACE, "its machines are stopped and started")


def _keep(draft: Draft, wanted: NetworkWanted, present: Network) -> None:
    now, then = {Reservation(*row) for row in wanted.reservations}, set(present.reservations)
    if not present.active:
        draft.last.append(draft.steps.create_network(wanted))
        draft.say(Act.CHANGE, "network", wanted.name, "stopped → running", Price.LIVE)
    elif wanted.subnet and (texts := _compare_lines(wanted, present, _differ("reserved addresses", now, then))):
        draft.last.append(draft.steps.update_network(wanted))
        draft.say(Act.CHANGE, "network", wanted.name, ", ".join(texts), Price.LIVE)


def _differ(what: str, now: Set[object], then: Set[object]) -> list[str]:
    text = ", ".join(f"{n} {word}" for n, word in ((len(now - then), "more"), (len(then - now), "less")) if n)
    return [f"{what}: {text}"] if text else []


def _compare_lines(wanted: NetworkWanted, present: Network, reserved: list[str]) -> list[str]:
    """What changes of that which its dnsmasq is told; one that does not listen is told nothing.

    Machines that come or go bring and take their names: that is not said twice.
    """
    if present.sheet is None or present.sheet == wanted.sheet:
        return reserved
    now, then = (frozenset((address, word) for address, words in it.names for word in words) for it in (wanted.sheet, present.sheet))
    texts = reserved or _differ("names", now, then) or ["order of names"] * (wanted.sheet.names != present.sheet.names)
    return [*texts, *(["what its DHCP says"] if wanted.sheet.options != present.sheet.options else [])]
