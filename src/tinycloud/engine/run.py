"""What steps work with while one plan is carried out."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinycloud.engine.events import Event, Listener, ignore
from tinycloud.errors import Interrupted, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tinycloud.drivers.guest.inside import Guests
    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.drivers.host import Host
    from tinycloud.engine.lock import Locks
    from tinycloud.engine.offline import Editor
    from tinycloud.model.move import Moved
    from tinycloud.model.plan import NetworkWanted, Plan, Step, Wanted


@dataclass
class Run:
    """Hosts, keys, the plan, and the two ways out: telling somebody, and being told to stop."""

    hosts: Mapping[str, Host]
    keys: Keys
    guests: Guests
    plan: Plan
    edit: Editor
    """Edits disks that no machine uses."""
    templates: Mapping[str, str] = field(default_factory=dict)
    note: bytes = b""
    listener: Listener = ignore
    clock: Callable[[], float] = time.time
    execution: str = ""
    locks: Locks | None = None
    """Where the locks are that several programs share; None for a run that is alone."""
    backings: dict[tuple[str, str], str] = field(default_factory=dict)
    """(host, sha256) of an image → its path: found once, for none goes while disks are made on it."""
    listed: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """(host, pool) → the volumes that were there when the first of this run's steps asked."""
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    moved: dict[str, Moved] = field(default_factory=dict)
    """How the moves of this run went, by machine."""

    notes: dict[str, str] = field(default_factory=dict)
    """What steps said that is worth keeping, by step."""

    def host(self, step: Step) -> Host:
        return self.get_host(step.host)

    def get_host(self, name: str) -> Host:
        try:
            return self.hosts[name]
        except KeyError as err:
            raise NotFound(f'there is no host "{name}"') from err

    def machine(self, step: Step) -> Wanted:
        return self.plan.machines[step.args["machine"]]

    def network(self, step: Step) -> NetworkWanted:
        return self.plan.networks[step.args["network"].split("/", 1)[1]].on(step.host)

    def tell(self, kind: str, step: Step | None = None, text: str = "") -> None:
        at = time.monotonic() - self.began
        if step is None:
            self.listener(Event(kind, at, self.execution, text=text))
        else:
            self.listener(Event(kind, at, self.execution, step.id, step.kind, step.subject, text))

    def keep(self, kind: str, step: Step, text: str) -> None:
        """The same of a step, and when that has ended well it is written down among the events of its stack."""
        self.notes[step.id] = text
        self.tell(kind, step, text)

    def pause(self, seconds: float) -> None:
        """Wait; raises Interrupted as soon as the run is told to stop."""
        if self.stop.wait(seconds):
            raise Interrupted("stopped while waiting")
