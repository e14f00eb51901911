"""One answer of the doctor."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``state``: ok, note (works, but) or problem. ``fix`` is a command to type, empty when there is nothing to do."""

    topic: str
    state: str
    text: str
    fix: tuple[str, ...] = ()
    root: bool = True
    host: str = ""
    """Where there are several, the one that it is about; of another than this machine, ``command`` goes there by ssh."""
    target: str = ""

    @property
    def command(self) -> str:
        """The fix as it is typed here."""
        if self.fix and self.target and self.fix[0] != "tinycloud":
            return shlex.join(["ssh", self.target, *(["sudo"] if self.root and not self.target.startswith("root@") else []), *self.fix])
        sudo = ["sudo"] if self.fix and self.root and os.geteuid() != 0 else []
        return shlex.join([*sudo, *self.fix])
