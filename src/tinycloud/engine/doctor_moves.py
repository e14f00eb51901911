"""Machines that two hosts have: a move is under way or did not end, or a host is back whose machines were started elsewhere meanwhile."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tinycloud.engine.finding import Finding
from tinycloud.engine.inventory import read_machines, read_world
from tinycloud.engine.stale import clean_stale
from tinycloud.engine.wish import Wish
from tinycloud.errors import TinycloudError
from tinycloud.plan.healing import list_stale
from tinycloud.store.peek import find_unfinished_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.engine.parts import Parts
    from tinycloud.model.world import Machine, World

COPIES: Final = "copies"


@dataclass(frozen=True, slots=True)
class Copy:
    """A machine's copy on another host than the one where it counts, with the command that clears it away; empty where nobody knows one."""

    machine: Machine
    text: str
    fix: tuple[str, ...] = ()
    mend: str = ""
    """What the doctor does about it: ``resume``, ``clean``, or nothing."""


def list_copies(parts: Parts) -> list[Copy]:
    """Every such copy; hosts are read in full only where there is one."""
    if len(parts.hosts) < 2 or not read_machines(parts.hosts.values()).leftovers:
        return []
    world = read_world(parts.hosts.values())
    stale = list_stale(world)
    return [_tell(parts, world, copy, is_stale=copy in stale) for copy in world.leftovers]


def _tell(parts: Parts, world: World, copy: Machine, *, is_stale: bool) -> Copy:
    where, stack = world.machine_by_ref[copy.ref].host, copy.mark.stack
    here = f"{copy.ref} is on {where}; the copy on {copy.host} ({copy.state})"
    if is_stale and world.host_by_name[copy.host].entry.fenced:
        return Copy(copy, f"{here} is from before that host was fenced", ("tinycloud", "host", "unfence", copy.host), "clean")
    if kind := find_unfinished_kind(parts.database, stack):
        return Copy(copy, f"{here} is left over from a move", ("tinycloud", "resume", stack), "resume" if kind == "migrate" else "")
    if is_stale:
        return Copy(copy, f"{here} is an older one", ("tinycloud", "doctor", "--fix", "--host", copy.host), "clean")
    if copy.is_off:
        return Copy(copy, f"{here} is left over, and nobody noted from what")
    end = shlex.join(parts.hosts[copy.host].make_virsh_argv("destroy", copy.mark.domain))
    return Copy(copy, f"{here} runs too: look at both; when it is the wrong one: {end}, then tinycloud doctor --fix")


def check_copies(parts: Parts, *, fix: bool = False, host: str = "") -> Iterator[Finding]:
    """Nothing where every machine is on one host. With ``fix`` copies are cleared away as resume, unfence and watch do it."""
    copies = [it for it in list_copies(parts) if host in ("", it.machine.host)]
    said = _mend(parts, copies) if fix and copies else {}
    left = {(it.machine.ref, it.machine.host) for it in list_copies(parts)} if fix and copies else set()
    for it in copies:
        found = Finding(COPIES, "problem", it.text, it.fix, root=False, host=it.machine.host)
        if fix and (it.machine.ref, it.machine.host) not in left:
            found = replace(found, state="ok", text=f"{it.text} (mended)")
        elif told := said.get(it.machine.ref):
            found = replace(found, text=f"{it.text}; tried to mend it: {told}")
        yield found


def _mend(parts: Parts, copies: list[Copy]) -> dict[str, str]:
    """Machine → why it could not be done, as far as that was said."""
    said: dict[str, str] = {}
    for stack in sorted({it.machine.mark.stack for it in copies if it.mend == "resume"}):
        if why := _resume(parts, stack):
            said |= {it.machine.ref: why for it in copies if it.machine.mark.stack == stack}
    if hosts := {it.machine.host for it in copies if it.mend == "clean"}:
        said |= {ref: why for ref, _, why in (text.partition(": ") for text in clean_stale(parts, hosts).left)}
    return said


def _resume(parts: Parts, stack: str) -> str:
    from tinycloud.engine.deploy import Deployer  # 50 ms of import: the planner and pydantic

    try:
        Deployer(parts).resume(stack, Wish())
    except TinycloudError as err:
        return "; ".join([err.message, *err.facts[:2]])
    return ""
