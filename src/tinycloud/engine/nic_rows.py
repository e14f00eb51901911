"""The NICs of a machine: as they are declared, how they are plugged in, what they have moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.engine.steps.nics import read_nics

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world
    from tinycloud.model.machine import Mark, NicSpec


@dataclass(frozen=True, slots=True)
class NicRow:
    """One NIC. ``received`` and ``sent`` are bytes as its guest sees them, None where it is not plugged in now."""

    network: str
    mac: str
    model: str
    address: str
    address6: str
    tap: str
    bandwidth: str
    spoofing: bool
    plugged: str
    received: int | None
    sent: int | None


def list_nics(parts: Parts, facts: world.Machine) -> list[NicRow]:
    """Every NIC that is declared for a machine, in order."""
    host, mark = parts.hosts[facts.host], facts.mark
    live = read_nics(host.domains.get_xml(mark.domain)) if not facts.is_off else {}
    config = read_nics(host.domains.get_xml(mark.domain, inactive=True))
    moved = _count(host, mark, {nic.tap: mac for mac, nic in live.items() if nic.tap})
    return [_make_row(mark, nic, now=nic.mac in live, then=nic.mac in config, moved=moved.get(nic.mac)) for nic in mark.spec.nics]


def _count(host: Host, mark: Mark, taps: dict[str, str]) -> dict[str, tuple[int, int]]:
    """MAC → bytes that its guest received and sent: a tap receives what the guest sends."""
    return {it.mac: (it.sent[0], it.received[0]) for it in host.domains.list_nic_counters(mark.domain, taps)}


def _make_row(mark: Mark, nic: NicSpec, *, now: bool, then: bool, moved: tuple[int, int] | None) -> NicRow:
    plugged = {(True, True): "yes", (True, False): "now", (False, True): "at the next start"}.get((now, then), "no")
    return NicRow(
        network=nic.network,
        mac=nic.mac,
        model=nic.model,
        address=nic.address or "",
        address6=nic.address6 or "",
        tap=mark.tap(nic) if now else "",
        bandwidth=str(nic.bandwidth),
        spoofing=nic.spoofing,
        plugged=plugged,
        received=moved[0] if moved else None,
        sent=moved[1] if moved else None,
    )
