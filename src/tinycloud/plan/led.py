"""A packet to a port or an address of a host that leads to a machine; pure. What base.nft's chain ``arriving`` does, said for people."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from tinycloud.plan.ends import End, list_gateways
from tinycloud.plan.route import Path, Reason, leave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.access import Forward
    from tinycloud.model.world import Machine, World


@dataclass(frozen=True, slots=True)
class Led:
    """Whom a question that names a host, or a floating address, means in the end."""

    target: End
    path: Path
    port: int


def follow(world: World, source: End, target: End, asked: tuple[str, int]) -> Led | None:
    """``asked`` is protocol and port. None for what leads nowhere, and for a source that may not use it: the host itself answers."""
    protocol, port = asked
    if target.machine is None and target.address:
        for machine in world.machines:
            for it in machine.mark.spec.floating:
                if it.floating == target.address:
                    return _lead(world, source, machine, f"floating address {it}", it.address, port)
    if not target.is_host or _is_near_only(target):
        return None
    here = _find_address(world, source, target)
    for machine in world.machines:
        for forward in machine.mark.spec.forwards:
            if machine.host == target.host and forward.protocol == protocol and 0 <= port - forward.host_port < forward.count:
                address = _choose_address(machine, forward, target)
                if _may_use(forward, here) and address:
                    return _lead(world, source, machine, f"forward {forward}", address, port - forward.host_port + forward.port)
    return None


def list_refusing(world: World, target: End, asked: tuple[str, int]) -> list[str]:
    """Forwards of a host's port that are for others."""
    protocol, port = asked
    pairs = [(machine, it) for machine in world.machines if machine.host == target.host for it in machine.mark.spec.forwards]
    here = [(machine, it) for machine, it in pairs if it.protocol == protocol and 0 <= port - it.host_port < it.count]
    return [f"forward {it} leads to {machine.ref}, for {it.source} alone" for machine, it in here if it.source]


def _is_near_only(target: End) -> bool:
    """``::1`` stays the host's own."""
    return target.address == "::1"


def _find_address(world: World, source: End, target: End) -> str:
    """The address that a source comes with, as far as it is known."""
    if source.address:
        return source.address
    if source.machine is not None:
        spec = source.machine.mark.spec
        wants6 = bool(target.address) and ip_address(target.address).version == 6
        return next((nic.address6 if wants6 else nic.address) or "" for nic in spec.nics) if spec.nics else ""
    if target.address:
        return target.address  # the host asks itself
    return next((gateway for network in world.networks for gateway in list_gateways(network)), "")


def _may_use(forward: Forward, address: str) -> bool:
    if not forward.source:
        return True
    return bool(address) and ip_address(address) in ip_network(forward.source)


def _choose_address(machine: Machine, forward: Forward, target: End) -> str:
    """The machine's address of the kind that the host was asked under."""
    nic = next((nic for nic in machine.mark.spec.nics if forward.address in (nic.address, nic.address6)), None)
    if nic is None:
        return ""
    version = ip_address(target.address).version if target.address else 4 if nic.address else 6
    return (nic.address if version == 4 else nic.address6) or ""


def _lead(world: World, source: End, machine: Machine, what: str, address: str, port: int) -> Led:
    reasons = [*_way_to_host(world, source, machine), Reason("forward", f"{what} leads to {machine.ref} ({address})", host=machine.host)]
    here = source.address or _find_address(world, source, End("", machine.host, address))
    return Led(End(machine.ref, machine.host, address, machine), Path(tuple(reasons), here, address), port)


def _way_to_host(world: World, source: End, machine: Machine) -> Iterator[Reason]:
    """Out of the network of a machine. What comes back to where it came from, a bridge does not send where it asks the firewall."""
    if source.machine is None:
        return
    yield leave(world, source.machine, "to the host's address")
    if source.machine.ref == machine.ref and _is_filtered(world, machine):
        text = f"{machine.ref} cannot reach itself by the host's address, for its network has machines with policies"
        yield Reason("route", text, passes=False, host=machine.host)


def _is_filtered(world: World, machine: Machine) -> bool:
    networks = {nic.network for nic in machine.mark.spec.nics}
    others = (it.mark.spec for it in world.stack_machines(machine.mark.stack) if it.mark.spec.policies)
    return any(nic.network in networks for spec in others for nic in spec.nics)
