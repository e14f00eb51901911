"""What controllers that share a server must have in common: the cloud's keys, and the machine that is called ``local``."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.model.host import LOCAL

if TYPE_CHECKING:
    from tinycloud.engine.parts import Parts


def agree(parts: Parts) -> None:
    """Refuse to change anything with other keys than the first controller's, or with another machine as ``local``."""
    leases, keys = parts.leases, parts.keys
    if leases is None:
        return
    if leases.agree("keys", "") and not keys.are_made:
        raise _make_other_keys(parts, "this one has none yet")
    if leases.agree("keys", keys.make_sign()) != keys.make_sign():
        raise _make_other_keys(parts, f"those in {keys.folder} are others")
    if LOCAL in parts.hosts and (found := leases.agree(LOCAL, _name_machine())) != _name_machine():
        raise Refused(
            f'"{LOCAL}" is another machine in this cloud: {found.partition(" ")[0]}',
            code="other-local",
            facts=["where several controllers share a database, each host has a name of its own, the same for all of them"],
            hint="there: tinycloud host rename local NAME --target root@NAME",
        )


def _make_other_keys(parts: Parts, why: str) -> Refused:
    return Refused(
        "all controllers of a cloud need the same keys",
        code="other-keys",
        facts=[why, f"the database is {parts.database}"],
        hint=f"scp -rp root@FIRST-CONTROLLER:/var/lib/tinycloud/keys {parts.keys.folder.parent}/",
    )


def _name_machine() -> str:
    """Its name, and what tells it from others of that name."""
    file = Path("/etc/machine-id")
    return f"{socket.gethostname()} {file.read_text().strip() if file.exists() else ''}".strip()
