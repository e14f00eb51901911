"""A host as a person added it: how it is reached, what is said of it. What it is, is read from it (:class:`tinycloud.model.world.Host`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOCAL: Final = "local"
"""The machine that the controller runs on, by the name that it has in every cloud."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A host of the cloud. Nothing of it is a secret: a fence command that needs a password reads it from a file."""

    name: str
    target: str = ""
    """Where ssh goes (``root@server2``, or a name of the person's own ssh configuration); empty for this machine."""
    uri: str = ""
    """libvirt's, where it is not the one that follows from the target: ``qemu+tls://server2/system``."""
    address: str = ""
    """What the other hosts reach it by: for LANs over hosts, migration; empty: found when it is added."""
    labels: tuple[tuple[str, str], ...] = ()
    """(key, value), sorted by key: what ``on:`` and ``spread:`` of a group ask for."""
    drained: float = 0.0
    """Since when nothing new is placed on it, in seconds since 1970; 0 when it takes machines."""
    memory_ratio: float = 1.0
    """How many times its memory may be promised."""
    cpu_ratio: float = 16.0
    """How many virtual processors there may be for each of its own."""
    fence: tuple[str, ...] = ()
    """The command that makes sure that it is off, run by the controller; empty: a person says so (``host fence NAME --confirm``)."""
    fenced: float = 0.0
    """Since when it is known to be off; 0 when it is not. Nothing is started on it until it is let in again."""

    def find_label(self, key: str) -> str:
        """The value of a label; ``host`` is the host's own name; empty where it has none."""
        return self.name if key == "host" else dict(self.labels).get(key, "")
