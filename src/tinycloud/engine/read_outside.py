"""What hosts are to the outside, read for stacks that lead to machines from there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.onhost.links import METRIC
from tinycloud.engine.ask import ask_all
from tinycloud.errors import TinycloudError, ToolFailed
from tinycloud.model.outside import Link, Listener, Outside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycloud.drivers.host import Host
    from tinycloud.model.stack import Stack

_PROGRAM: Final = re.compile(r'"([^"]+)"')


def read_outside(hosts: Iterable[Host], stack: Stack | None = None) -> tuple[Outside, ...]:
    """Each host; none at all for a stack that leads nothing in."""
    if stack is not None and not (stack.forwards or stack.floating):
        return ()
    return tuple(it for _, it in ask_all(hosts, _read) if not isinstance(it, TinycloudError))


def _read(host: Host) -> Outside:
    listening = host.shell.run(["ss", "-H", "-l", "-n", "-t", "-u", "-p"]).text
    routes = [*_ask(host, "-4", "route", "show", "default"), *_ask(host, "-6", "route", "show", "default")]
    return Outside(
        host.name,
        tuple(sorted(set(_parse_listeners(listening)), key=lambda it: (it.protocol, it.port, it.what))),
        tuple(_parse_link(link) for link in _ask(host, "addr", "show") if link.get("ifname") != "lo"),
        tuple(dict.fromkeys(str(route["dev"]) for route in routes if "dev" in route)),
    )


def _ask(host: Host, *words: str) -> list[dict[str, Any]]:
    """What ``ip`` says; nothing where it cannot (a host without IPv6)."""
    try:
        found: list[dict[str, Any]] = json.loads(host.shell.run(["ip", "-j", *words]).stdout or b"[]")
    except (ToolFailed, ValueError):
        return []
    return found


def _parse_listeners(text: str) -> Iterator[Listener]:
    """Lines of ``ss -H -l -n -t -u -p``: what, state, two queues, local address, the other's, and the program as far as we may know."""
    for line in text.splitlines():
        words = line.split(None, 6)
        if len(words) < 6 or words[0] not in ("tcp", "udp"):
            continue
        address, _, port = words[4].rpartition(":")
        program = _PROGRAM.search(words[6]) if len(words) > 6 else None
        yield Listener(words[0], int(port), f"{program[1] if program else 'a program'} at {address}")


def _parse_link(link: dict[str, Any]) -> Link:
    items = [it for it in link.get("addr_info", ()) if "local" in it]
    ours = tuple(it["local"] for it in items if str(it.get("metric")) == METRIC)
    return Link(link["ifname"], tuple(f"{it['local']}/{it['prefixlen']}" for it in items if it["local"] not in ours), ours)
