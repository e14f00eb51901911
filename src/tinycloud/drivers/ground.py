"""What a host has beside libvirt, as its own tools tell it: interfaces, routes, what its firewall has in force, names it serves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tinycloud.drivers.host import Firewall
    from tinycloud.drivers.shell import Runner
    from tinycloud.model.sheet import Sheet


@dataclass(frozen=True)
class Ground:
    """For one look at a host. Of another host all is known already; this machine is asked when somebody wants to know."""

    runner: Runner
    firewall: Firewall
    read_sheets: Callable[[], dict[str, Sheet]]
    cards: Mapping[str, str] = field(default_factory=dict)
    """What is in the small JSON volumes of the main pool, by name, where that was asked for as well."""

    def list_links(self) -> list[dict[str, Any]]:
        """As ``ip`` has them. Raises ToolFailed, ValueError."""
        return [link for link in self._ask(_LINKS) if "ifname" in link]

    def list_routes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """IPv4 and IPv6. Raises ToolFailed, ValueError."""
        return self._ask(_ROUTES), self._ask(_ROUTES6)

    def _ask(self, argv: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.runner.run(argv).stdout or b"[]")
        return found


_LINKS = ["ip", "-j", "-d", "addr"]
_ROUTES = ["ip", "-j", "-4", "route"]
_ROUTES6 = ["ip", "-j", "-6", "route"]


def make_questions(folder: str) -> tuple[list[str], ...]:
    """What a ground asks, with the main pool's folder in which cards are."""
    return _LINKS, _ROUTES, _ROUTES6, _ask_cards(folder)


def _ask_cards(folder: str) -> list[str]:
    return ["grep", "-rsaH", "--include=*.json", "", folder]


def read_cards(runner: Runner, folder: str) -> dict[str, str]:
    """A card is one line; what is none is in the answer too, and read by nobody."""
    lines = runner.run(_ask_cards(folder), check=False).stdout.decode(errors="replace").split("\n")
    return {path.rpartition("/")[2]: text for path, sep, text in (line.partition(":") for line in lines) if sep}
