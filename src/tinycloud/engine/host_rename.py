"""A host under another name: above all ``local``, which several controllers cannot share, for it is another machine to each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.engine import seen
from tinycloud.engine.host_list import replace_host
from tinycloud.engine.hosts import check_entry
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.who import make_who
from tinycloud.errors import Refused, Unfinished, WrongInput
from tinycloud.model.host import LOCAL
from tinycloud.store.peek import ask

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts
    from tinycloud.model.host import HostEntry


def rename(parts: Parts, old: str, new: str, target: str = "") -> HostEntry:
    """Call the host ``old`` ``new`` from now on, reached by ``target`` where that is given. Nothing on it is touched.

    Machines belong to the host that they are found on, so nothing else has to know. Raises NotFound, WrongInput, Refused,
    Unreachable, and Unfinished while the journal of an execution still speaks of the old name.
    """
    host = parts.get_host(old)
    if new == LOCAL:
        raise WrongInput(f'"{LOCAL}" is the name of this machine where it is a host of its own accord', code="wrong-name")
    entry = check_entry(replace(host.entry, name=new, target=target or host.entry.target))
    if new in parts.hosts:
        raise Refused(f'there is a host "{new}" already', code="exists", hint=f"tinycloud host show {new}")
    if entry.target != host.entry.target:
        _must_be_the_same(parts, old, entry)
    with hold_lock(parts.locks, f".host-{old}", f"rename by {make_who()}", label=f"host {old}"):
        for (stack,) in ask(parts.database, "SELECT DISTINCT stack FROM executions WHERE state IN ('running', 'failed')"):
            raise Unfinished(f"{stack} has an unfinished execution, which knows the host as {old}", hint=f"tinycloud resume {stack}")
        seen.forget(host)
        replace_host(parts, old, entry)
    return entry


def _must_be_the_same(parts: Parts, old: str, entry: HostEntry) -> None:
    """Whoever is reached by the new way is who was reached by the old one."""
    there = parts.make_host(entry)
    try:
        found, known = there.read_identity().uuid, parts.get_host(old).read_identity().uuid
    finally:
        there.close()
    if found != known:
        facts = [f"libvirt's UUID there is {found}, that of {old} is {known}"]
        raise Refused(f'{entry.target} is another machine than the host "{old}"', code="unfit-host", facts=facts, hint="tinycloud host add")
