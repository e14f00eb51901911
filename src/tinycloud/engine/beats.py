"""Looking at all hosts: who answers, and what the others say of those that do not. What is thought of them is kept beside the database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from tinycloud.drivers.onhost import run_script
from tinycloud.engine import seen
from tinycloud.engine.ask import ask_all
from tinycloud.errors import TinycloudError, Unreachable
from tinycloud.plan.beats import LIMIT, Look, Pulse, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts

T = TypeVar("T")

_PORT: Final = 22
_HEAR: Final = 3.0
"""Seconds in which a host has to give another one a sign of life."""
_WITNESSES: Final = 4
"""Other hosts that are asked; more would say no more."""


def beat(parts: Parts, limit: int = LIMIT) -> dict[str, Pulse]:
    """Look once and return what is thought of each host by now. Counted with the looks of others that keep the same folder."""
    before = {host.name: seen.load_pulse(host) for host in parts.hosts.values()}
    after = judge(before, look(parts), limit)
    for name, pulse in after.items():
        seen.save_pulse(parts.hosts[name], pulse)
    return after


def look(parts: Parts) -> Look:
    """Who answers now, and for those who do not, what other hosts say of them."""
    hosts = list(parts.hosts.values())
    told = _ask_all(hosts, _ask)
    silent = {host.name: it.message for host, it in told if isinstance(it, Unreachable)}
    others = [host for host, it in told if host.entry.target and not isinstance(it, TinycloudError)][:_WITNESSES]
    witnesses = _listen(others, [host for host, _ in told if host.name in silent]) if silent and others else {}
    return Look(time.time(), tuple(host.name for host in hosts), silent, witnesses)


def find_silence(parts: Parts, host: Host) -> str:
    """Why a host does not answer now, whatever was known of it; empty when it does."""
    host.silence = None
    others = [other for other in parts.hosts.values() if other.name != host.name]
    told = {it.name: answer for it, answer in _ask_all([host, *others], _ask)}
    answer = told[host.name]
    return answer.message if isinstance(answer, Unreachable) else ""


def _ask(host: Host) -> bool:
    """Something that every libvirt answers at once."""
    return host.domains.find("tinycloud-beat") is None


def _ask_all(hosts: list[Host], question: Callable[[Host], T]) -> list[tuple[Host, T | TinycloudError]]:
    """The same as asking several where there is one: its error is an answer."""
    try:
        return ask_all(hosts, question)
    except TinycloudError as err:
        return [(hosts[0], err)]


def _listen(others: list[Host], silent: list[Host]) -> dict[str, dict[str, bool]]:
    """Silent host → other host → whether that one hears of it; who cannot tell is left out."""
    addresses = {host.name: host.entry.address or host.entry.target.rpartition("@")[2] for host in silent}

    def listen(host: Host) -> frozenset[str]:
        args = {"addresses": addresses, "port": _PORT, "limit": _HEAR}
        return frozenset(run_script(host.shell, "heard", args, limit=_HEAR * 4)["heard"])

    heard = {host.name: it for host, it in _ask_all(others, listen) if isinstance(it, frozenset)}
    return {name: {other: name in found for other, found in heard.items()} for name in addresses}
