"""What a network's dnsmasq is told beside libvirt's XML: names of machines, lines of its configuration, and who gets which address.

libvirt's own ``<dns><host>`` cannot be changed while the network runs as soon as a name stands for two addresses, and its own
``<dhcp><host>`` not without taking its firewall rules away for a moment (docs/decisions/0022), so these are files of ours on the
host that libvirt's dnsmasq is pointed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tinycloud.model.machine import LEASE_SECONDS

FOLDER: Final = "/var/lib/libvirt/dnsmasq"
"""Where libvirt keeps such files itself, so that what confines dnsmasq lets it read ours."""
NAMES: Final = ".tc-names"
OPTIONS: Final = ".tc-options"
RESERVATIONS: Final = ".tc-hosts"
RANGE: Final = "dhcp-range="
PENDING: Final = "# not read yet"
"""The first of the options as long as the dnsmasq that runs has not read them."""


@dataclass(frozen=True, slots=True, order=True)
class Reservation:
    """A line of a network's DHCP: this MAC gets this address and name."""

    mac: str
    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """``names``: (address, names that it has, the one for reverse look-ups first). ``options``: lines of dnsmasq.conf."""

    names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    options: tuple[str, ...] = ()
    reservations: tuple[Reservation, ...] | None = None
    """None where libvirt's XML says them, and in what the planner compares: a network's reservations stand beside its sheet there."""

    @property
    def ranges(self) -> tuple[str, ...]:
        """Addresses that DHCP gives to others: ``10.60.0.200-10.60.0.250``."""
        words = (line.removeprefix(RANGE).split(",") for line in self.options if line.startswith(RANGE))
        return tuple(f"{low}-{high}" for low, high, *_ in words)

    @property
    def names_text(self) -> str:
        """As in /etc/hosts."""
        return "".join(f"{address} {' '.join(words)}\n" for address, words in self.names)

    @property
    def options_text(self) -> str:
        return "".join(f"{line}\n" for line in self.options)

    @property
    def reservations_text(self) -> str | None:
        """As in a ``dhcp-hostsfile``."""
        if self.reservations is None:
            return None
        return "".join(f"{it.mac},{it.address},{it.name},{LEASE_SECONDS}s\n" for it in self.reservations)


def make_names_path(network: str) -> str:
    """The file of names of the network that libvirt calls so."""
    return f"{FOLDER}/{network}{NAMES}"


def make_options_path(network: str) -> str:
    return f"{FOLDER}/{network}{OPTIONS}"


def make_reservations_path(network: str) -> str:
    return f"{FOLDER}/{network}{RESERVATIONS}"


def parse_sheets(text: str) -> dict[str, Sheet]:
    """The sheets by network, from lines ``PATH:LINE`` as ``grep -rH`` prints them."""
    names: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    options: dict[str, list[str]] = {}
    lines: dict[str, list[Reservation]] = {}
    for row in text.splitlines():
        path, _, line = row.partition(":")
        file = path.rpartition("/")[2]
        if file.endswith(NAMES) and line.split():
            address, *words = line.split()
            names.setdefault(file.removesuffix(NAMES), []).append((address, tuple(words)))
        elif file.endswith(OPTIONS):
            options.setdefault(file.removesuffix(OPTIONS), []).append(line)
        elif file.endswith(RESERVATIONS) and line.count(",") == 3:
            lines.setdefault(file.removesuffix(RESERVATIONS), []).append(Reservation(*line.split(",")[:3]))
    found = {*names, *options, *lines}
    return {it: Sheet(tuple(names.get(it, ())), tuple(options.get(it, ())), tuple(lines[it]) if it in lines else None) for it in found}
