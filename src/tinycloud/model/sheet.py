"""What a network's dnsmasq is told beside libvirt's XML: names of machines, and lines of its configuration.

libvirt's own ``<dns><host>`` cannot be changed while the network runs as soon as a name stands for two addresses
(docs/decisions/0022), so these are two files of ours on the host that libvirt's dnsmasq is pointed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FOLDER: Final = "/var/lib/libvirt/dnsmasq"
"""Where libvirt keeps such files itself, so that what confines dnsmasq lets it read ours."""
NAMES: Final = ".tc-names"
OPTIONS: Final = ".tc-options"
RANGE: Final = "dhcp-range="
PENDING: Final = "# not read yet"
"""The first of the options as long as the dnsmasq that runs has not read them."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """``names``: (address, names that it has, the one for reverse look-ups first). ``options``: lines of dnsmasq.conf."""

    names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    options: tuple[str, ...] = ()

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


def make_names_path(network: str) -> str:
    """The file of names of the network that libvirt calls so."""
    return f"{FOLDER}/{network}{NAMES}"


def make_options_path(network: str) -> str:
    return f"{FOLDER}/{network}{OPTIONS}"


def parse_sheets(text: str) -> dict[str, Sheet]:
    """The sheets by network, from lines ``PATH:LINE`` as ``grep -rH`` prints them."""
    names: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    options: dict[str, list[str]] = {}
    for row in text.splitlines():
        path, _, line = row.partition(":")
        file = path.rpartition("/")[2]
        if file.endswith(NAMES) and line.split():
            address, *words = line.split()
            names.setdefault(file.removesuffix(NAMES), []).append((address, tuple(words)))
        elif file.endswith(OPTIONS):
            options.setdefault(file.removesuffix(OPTIONS), []).append(line)
    return {name: Sheet(tuple(names.get(name, ())), tuple(options.get(name, ()))) for name in {*names, *options}}
