"""Facts about one machine from outside: its address and who says so, its counters, its last words on the serial line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.guest.inside import clean
from tinycloud.errors import Missing, TinycloudError
from tinycloud.model.names import make_network_name
from tinycloud.templates.domain import serial_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import NicCounters
    from tinycloud.model.machine import Lease, Mark

_SERIAL_LINES = 12


def list_addresses(host: Host, mark: Mark, sources: Sequence[str] = ("agent", "arp")) -> Iterator[Lease]:
    """Every address of the machine that anybody knows, best source first: leases, then ``sources`` in turn."""
    macs = {nic.mac for nic in mark.spec.nics}
    for nic in mark.spec.nics:
        if nic.address or nic.external:
            network = nic.external or make_network_name(mark.stack, nic.network)
            yield from (lease for lease in host.networks.list_leases(network) if lease.mac == nic.mac)
    for source in sources:
        yield from (lease for lease in host.domains.list_addresses(mark.domain, source) if lease.mac in macs)


_CLOCKS = 2.0  # seconds by which a host's clock may differ from ours


def find_address(host: Host, mark: Mark, since: float = 0.0) -> Lease | None:
    """The first address that is seen in use; a reservation alone, or a lease from before ``since``, does not count.

    ARP is asked where we reserved none: it costs a process on the host, and a reserved address is tried by whoever waits.
    """
    known = list_addresses(host, mark, ("agent",) if mark.spec.address else ("agent", "arp"))
    seen = (lease for lease in known if not lease.granted or lease.granted >= since - _CLOCKS)
    return next(seen, None)


def get_address(host: Host, mark: Mark) -> str | None:
    """Where to reach the machine: what we reserved for it, else what is seen."""
    if mark.spec.address:
        return mark.spec.address
    found = find_address(host, mark)
    return found.address if found else None


def read_serial(host: Host, domain: str, lines: int = _SERIAL_LINES) -> list[str]:
    """The last lines on the serial line; empty when there is no log yet. Raises Missing without the right to read it."""
    done = host.shell.run(["tail", "-c", "8000", serial_log(domain)], root=True, check=False)
    return clean(done.text)[-lines:]


def collect_facts(host: Host, mark: Mark) -> list[str]:
    """What is known about a machine, a line a fact. What cannot be read is said, not left out."""
    out: list[str] = []
    for collect in (_state, _addresses, _counters, _serial):
        try:
            out += collect(host, mark)
        except (TinycloudError, Missing) as err:
            out.append(f"{collect.__name__.strip('_')}: {err.message}")
    return out


def _state(host: Host, mark: Mark) -> list[str]:
    record = host.domains.find(mark.domain)
    return [f"state    {record.state}{': ' + record.reason if record.reason else ''}" if record else "state    gone"]


def _addresses(host: Host, mark: Mark) -> list[str]:
    reserved = [f"{nic.address} reserved for {nic.mac} in {nic.network}" for nic in mark.spec.nics if nic.address]
    seen = [f"{lease.address} ({lease.source}) at {lease.mac}" for lease in list_addresses(host, mark)]
    return [f"address  {text}" for text in reserved + (seen or ["none seen in use: no lease, no guest agent, no ARP entry"])]


def _counters(host: Host, mark: Mark) -> list[str]:
    taps = {mark.tap(nic): nic.mac for nic in mark.spec.nics}
    return [f"nic      {_count(nic)}" for nic in host.domains.list_nic_counters(mark.domain, taps)]


def _count(nic: NicCounters) -> str:
    """A tap receives what the guest sends."""
    (got, got_packets, _, got_drops), (sent, sent_packets, _, sent_drops) = nic.received, nic.sent
    return f"{nic.tap}: guest sent {got_packets} packets ({got} B), got {sent_packets} ({sent} B), dropped {got_drops + sent_drops}"


def _serial(host: Host, mark: Mark) -> list[str]:
    lines = read_serial(host, mark.domain) if mark.spec.serial else []
    return [f"serial   {line}" for line in lines] or ["serial   nothing was said"]
