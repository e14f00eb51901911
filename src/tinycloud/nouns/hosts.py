"""``cloud.hosts``: the servers that the cloud is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.model.host import LOCAL, HostEntry
from tinycloud.plan.beats import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tinycloud.drivers.records import HostIdentity
    from tinycloud.engine.events import Event
    from tinycloud.engine.heal import Healed
    from tinycloud.engine.host_rows import HostRow, Shown
    from tinycloud.engine.hosts import Added
    from tinycloud.engine.parts import Parts
    from tinycloud.engine.stale import Cleaned
    from tinycloud.plan.beats import Pulse


class Hosts:
    """The hosts of a cloud; without any that was added it is this machine, ``local``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _engine(self) -> Any:
        from tinycloud.engine.hosts import Hosts as Engine

        return Engine(self._parts)

    def names(self) -> list[str]:
        """Their names; no host is asked."""
        return list(self._parts.hosts)

    def silent(self) -> dict[str, str]:
        """The hosts that did not answer when they were last asked by this object, each with the reason."""
        return {name: host.silence.reason for name, host in self._parts.made.items() if host.silence}

    def list(self) -> list[HostRow]:
        """Every host as it is now, this machine first; one that does not answer as it was last seen."""
        from tinycloud.engine.host_rows import list_rows

        return list_rows(self._parts)

    def show(self, name: str) -> HostRow:
        """One host; raises NotFound."""
        from tinycloud.engine.host_rows import get_row

        return get_row(self._parts, name)

    def processor(self, name: str) -> Shown | None:
        """The processor that machines see which may move, and whether this host limits it; None for a host alone, or a silent one."""
        from tinycloud.engine.host_rows import find_shown

        return find_shown(self._parts, name)

    def identity(self, name: str) -> HostIdentity | None:
        """A host's UUID, versions and processor; None when it does not answer."""
        identity: HostIdentity | None = self._engine.read_identity(name)
        return identity

    def add(
        self,
        target: str,
        name: str = "",
        *,
        labels: Mapping[str, str] = {},
        address: str = "",
        uri: str = "",
        memory_ratio: float = 1.0,
        cpu_ratio: float = 16.0,
        fix: bool = False,
    ) -> Added:
        """Make the server that ssh reaches by ``target`` a host, after a look at it; ``fix`` installs and prepares what is missing.

        ``local`` is this machine, once it was removed.
        Raises WrongInput, Unreachable, and Refused (``unfit-host``) with all that was found, with nothing changed but by ``fix``.
        """
        from tinycloud.engine.hosts import make_name

        entry = HostEntry(
            name or make_name(target),
            "" if target == LOCAL else target,
            uri=uri,
            address=address,
            labels=tuple(sorted(labels.items())),
            memory_ratio=memory_ratio,
            cpu_ratio=cpu_ratio,
        )
        added: Added = self._engine.add(entry, fix=fix)
        return added

    def set(self, name: str, **changes: Any) -> HostEntry:
        """Change what is said of a host: address, labels (``{"rack": None}`` removes one), memory_ratio, cpu_ratio, fence, uri, target."""
        entry: HostEntry = self._engine.set(name, **changes)
        return entry

    def drain(self, name: str, *, off: bool = False) -> HostEntry:
        """Place nothing new on a host; with ``off`` it takes machines again. What runs there stays where it is."""
        entry: HostEntry = self._engine.drain(name, off=off)
        return entry

    def rename(self, old: str, new: str, *, target: str = "") -> HostEntry:
        """Call a host by another name, and reach it by ``target``; nothing on it is touched. Raises Refused, Unfinished, Unreachable."""
        from tinycloud.engine.host_rename import rename

        return rename(self._parts, old, new, target)

    def remove(self, name: str, *, force: bool = False) -> HostEntry:
        """Forget a host that nothing of ours is on; ``force``: it is gone for good and switched off. Raises InUse, Unreachable."""
        entry: HostEntry = self._engine.remove(name, force=force)
        return entry

    # when one dies

    def check(self, looks: int = LIMIT) -> dict[str, Pulse]:
        """Look once at all hosts and say what is thought of each; one that missed so many looks in a row is suspected dead.

        Looks count together with those of a watch and of earlier checks, if they are not older than ten minutes.
        """
        from tinycloud.engine.beats import beat

        return beat(self._parts, looks)

    def fence(self, name: str, *, confirmed: bool = False, agree: Callable[[HostEntry], bool] | None = None) -> HostEntry:
        """Have a host off for sure, by its fence command or, ``confirmed``, by your word; then :meth:`heal` starts its machines elsewhere.

        Raises Refused (``no-fence``, ``host-answers``), ToolFailed (``fence-failed``), Declined when ``agree`` says no.
        """
        from tinycloud.engine.fencing import Fencing

        return Fencing(self._parts).fence(name, confirmed=confirmed, agree=agree)

    def unfence(self, name: str) -> Cleaned:
        """Let a fenced host in again that answers: copies of machines that run elsewhere by now are taken away there first."""
        from tinycloud.engine.fencing import Fencing

        return Fencing(self._parts).unfence(name)

    def heal(self, listener: Callable[[Event], None] | None = None) -> tuple[Healed, ...]:
        """Start machines of fenced hosts elsewhere that say ``recover: restart``; what became of each machine of hosts that are out."""
        from tinycloud.engine.heal import heal
        from tinycloud.engine.wish import Wish

        return tuple(heal(self._parts, Wish(listener=listener) if listener else Wish()))


def parse_labels(words: Iterable[str]) -> dict[str, str | None]:
    """``rack=b``; ``rack=`` takes the label away. Raises WrongInput."""
    from tinycloud.engine.hosts import parse_labels as parse

    return parse(words)
