"""Networks in a plan: made, kept in step with their machines, replaced when they change."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.model.plan import Act, Price
from tinycloud.model.sheet import Reservation
from tinycloud.plan.spans import is_there

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from tinycloud.model.plan import NetworkWanted
    from tinycloud.model.world import Network
    from tinycloud.plan.draft import Draft


def plan_networks(draft: Draft) -> None:
    for name, wanted in draft.desired.networks.items():
        present = {network.host: network for network in draft.world.networks_by_ref.get(f"{draft.stack}/{name}", ())}
        answering = {host: network for host, network in present.items() if is_there(draft.world, host)}
        if not present:
            for host in (host for host in wanted.hosts if is_there(draft.world, host)):
                draft.last.append(draft.steps.create_network(wanted, host, *_make_way(draft, wanted, host)))
            draft.say(Act.ADD, "network", name, ", ".join([describe(wanted), *_tell_hosts(draft, wanted.hosts)]), Price.ADD)
        elif differences := [it for network in present.values() for it in _compare(wanted, network)]:
            _replace(draft, wanted, answering, ", ".join(dict.fromkeys(differences)))
        else:
            _keep(draft, wanted, answering, new=[host for host in wanted.hosts if host not in present and is_there(draft.world, host)])


def describe(wanted: NetworkWanted) -> str:
    return ", ".join(part for part in (wanted.subnet, wanted.subnet6, wanted.access.replace(":", " "), str(wanted.vlan or "")) if part)


def _tell_hosts(draft: Draft, hosts: Sequence[str]) -> list[str]:
    """Where a network is, where that could be elsewhere."""
    return [f"on {' '.join(hosts)}"] if draft.steps.many else []


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


def _make_way(draft: Draft, wanted: NetworkWanted, host: str) -> list[str]:
    """The removals that come first: of networks that have addresses of this one and are made anew (else they are not in the plan)."""
    if not wanted.subnet:
        return []
    subnet = ip_network(wanted.subnet)
    others = [n for n in draft.world.stack_networks(draft.stack) if n.name != wanted.name and n.subnet and n.host == host]
    return [
        f"{draft.steps.name_network(other.name, host)}:remove"
        for other in others
        if other.name in draft.desired.networks and subnet.overlaps(ip_network(other.subnet))
    ]


def _replace(draft: Draft, wanted: NetworkWanted, present: Mapping[str, Network], text: str) -> None:
    """libvirt cannot change a running network's addresses: it is stopped and made anew, with its machines off."""
    silent = [host for host in wanted.hosts if not is_there(draft.world, host)]
    if silent:
        raise Refused(
            f'network "{wanted.name}" cannot be made anew while host {silent[0]} does not answer',
            code="unreachable",
            facts=[text, draft.world.host_by_name[silent[0]].unreachable],
            hint=f"tinycloud host show {silent[0]}",
        )
    if not draft.options.allows(wanted.name):
        draft.say(Act.REFUSED, "network", wanted.name, text, Price.REPLACE, "every machine in it is cut off")
        return
    draft.remade.add(wanted.name)
    gone = [draft.steps.remove_network(draft.stack, wanted.name, host, f"off:{wanted.name}") for host in present]
    for host in wanted.hosts:
        draft.last.append(draft.steps.create_network(wanted, host, *gone, *_make_way(draft, wanted, host)))
    draft.say(Act.CHANGE, "network", wanted.name, text, Price.REPLACE, "its machines are stopped and started")


def _keep(draft: Draft, wanted: NetworkWanted, present: Mapping[str, Network], new: Sequence[str]) -> None:
    """One line says what happens to it, wherever; what happens on several hosts is said once."""
    texts = [f"also on {host}" for host in new]
    draft.last += [draft.steps.create_network(wanted, host, *_make_way(draft, wanted, host)) for host in new]
    for host in (host for host in wanted.hosts if host in present):
        texts += _keep_on(draft, wanted, present[host])
    if texts:
        draft.say(Act.CHANGE, "network", wanted.name, ", ".join(dict.fromkeys(texts)), Price.LIVE)


def _keep_on(draft: Draft, wanted: NetworkWanted, present: Network) -> list[str]:
    now, then = {Reservation(*row) for row in wanted.reservations}, set(present.reservations)
    if not present.active:
        draft.last.append(draft.steps.create_network(wanted, present.host))
        return [" ".join(["stopped → running", *_tell_hosts(draft, [present.host])])]
    texts = _compare_lines(wanted, present, _differ("reserved addresses", now, then)) if wanted.subnet else []
    if texts:
        draft.last.append(draft.steps.update_network(wanted, present.host))
    return texts


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
