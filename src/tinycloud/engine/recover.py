"""Rebuilds the database from the hosts: the notes that ``up`` left there, and the marks on the machines."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinycloud.engine.answers import ask_each
from tinycloud.engine.inventory import read_world
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.who import make_who
from tinycloud.model import names
from tinycloud.store.store import StackRecord

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts

_KEYS = {"file", "text", "given", "secrets"}


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found: stacks with their file and secrets, and stacks of which only machines or networks are left."""

    whole: tuple[str, ...]
    bare: tuple[str, ...]
    known: tuple[str, ...]


def recover(parts: Parts) -> Recovered:
    """Fill the database with every stack found on the hosts that it does not know. Nothing on the hosts is touched.

    A stack without a note can be listed, entered and taken down, but not resumed: its file is not there.
    """
    world = read_world(parts.hosts.values())
    known = {record.name for record in parts.store.list_stacks()}
    notes = {stack: note for _, found in ask_each(parts, _read_notes) for stack, note in found.items()}
    whole = sorted(set(notes) - known)
    for stack in whole:
        note = notes[stack]
        with hold_lock(parts.locks, stack, f"recover by {make_who()}"):
            parts.store.save_stack(StackRecord(stack, note["file"], note["text"], note["given"], note["secrets"], {}, time.time()))
    bare = set(world.stacks) - set(notes) - known
    return Recovered(tuple(whole), tuple(sorted(bare)), tuple(sorted(known)))


def restore_record(parts: Parts, stack: str) -> None:
    """After an undo the database says of a stack what its host says again: what was asked for before, or nothing.

    While data volumes of it are left its secrets stay, for those may need them.
    """
    notes = [found[stack] for _, found in ask_each(parts, _read_notes) if stack in found]
    present = parts.store.find_stack(stack)
    if notes:
        note, outputs = notes[0], present.outputs if present else {}
        parts.store.save_stack(StackRecord(stack, note["file"], note["text"], note["given"], note["secrets"], outputs, time.time()))
    elif not read_world(parts.hosts.values()).stack_volumes(stack):
        parts.store.forget_stack(stack)


def _read_notes(host: Host) -> dict[str, dict[str, Any]]:
    """A note of each stack: of two, which an up that was killed leaves, either. One that was half written is passed over."""
    out: dict[str, dict[str, Any]] = {}
    for volume in host.volumes.list_names():
        name = names.find_volume_name(volume)
        if name is None or name.machine:
            continue
        try:
            note = json.loads(host.volumes.download_bytes(volume))
        except ValueError:
            continue
        if isinstance(note, dict) and note.get("stack") == name.stack and note.keys() >= _KEYS:
            out[name.stack] = note
    return out
