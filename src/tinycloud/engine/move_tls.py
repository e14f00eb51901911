"""Is a move to be encrypted, and what stands against it? Found out before anything is touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.drivers.certificates import find_doubt
from tinycloud.plan.move_tls import End, list_lacks, list_questions, must_encrypt

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.shell import Shell


@dataclass(frozen=True, slots=True)
class Wire:
    """How what QEMU sends goes from host to host."""

    encrypted: bool = False
    troubles: tuple[str, ...] = ()
    """Why it cannot be encrypted, where it has to be: a sentence each."""


def examine_wire(shell: Shell, source: Host, target: Host, address: str, *, wanted: bool) -> Wire:
    """Encrypted when somebody wants it, or one of both hosts. ``address`` is what the source calls the target by."""
    with ThreadPoolExecutor(2) as pool:
        near, far = pool.map(_make_end, (source, target))
    if not wanted and not must_encrypt(near.has, far.has):
        return Wire()
    return Wire(encrypted=True, troubles=tuple(list_lacks(near, far)) or _ask(shell, near, far, address))


def _make_end(host: Host) -> End:
    return End(host.name, host.moves.read_credentials(host.read_facts().qemu_user))


def _ask(shell: Shell, near: End, far: End, address: str) -> tuple[str, ...]:
    """What each does not believe of the other, the same only once."""
    asked = list_questions(near, far, address)
    told = [it.tell(find_doubt(shell, it.certificate, it.authority, it.purpose, it.name)) for it in asked]
    return tuple(dict.fromkeys(filter(None, told)))
