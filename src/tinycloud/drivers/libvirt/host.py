"""One host, here or far away, reached through libvirt: opened on first use, closed at the end."""

from __future__ import annotations

import os
import shlex
import threading
import time
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.firewall import Firewall, firewall
from tinycloud.drivers.foreseen import foresee
from tinycloud.drivers.ground import Ground, make_questions, read_cards
from tinycloud.drivers.host import Patience, Silence
from tinycloud.drivers.libvirt import sheets
from tinycloud.drivers.libvirt.domains import Domains
from tinycloud.drivers.libvirt.errors import guarded, load_libvirt, translate
from tinycloud.drivers.libvirt.facts import read_cpu_seconds, read_facts, read_identity, read_memory
from tinycloud.drivers.libvirt.far import open_far
from tinycloud.drivers.libvirt.moves import Moves
from tinycloud.drivers.libvirt.networks import Networks
from tinycloud.drivers.libvirt.processor import find_common, list_models, read_processor
from tinycloud.drivers.libvirt.secrets import Secrets
from tinycloud.drivers.libvirt.sheets import Sheets
from tinycloud.drivers.libvirt.streams import Lines
from tinycloud.drivers.libvirt.volumes import Volumes, list_pools
from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.records import HostIdentity, HostRecord, HostUsage
from tinycloud.drivers.space import make_question
from tinycloud.errors import Missing, TinycloudError
from tinycloud.model.host import HostEntry
from tinycloud.model.names import DEFAULT_POOL, make_pool_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tinycloud.drivers.shell import Shell
    from tinycloud.drivers.ssh_link import SshLink


_LANES: Final = 16
_STREAMS_NEAR: Final = 4
_STREAMS_FAR: Final = 2
"""Streams at a time: to another host each takes a session of the ssh connection, of which sshd allows ten."""


class LibvirtHost:
    """A host with its domains, networks and volumes, and a shell on it.

    One connection serves all threads: libvirt's protocol carries several calls at once. Streams have their own.
    """

    silence: Silence | None = None

    def __init__(
        self,
        name: str,
        uri: str,
        shell: Shell,
        state: Path,
        *,
        entry: HostEntry | None = None,
        patience: Patience = Patience(),
        link: SshLink | None = None,
    ) -> None:
        """``link``: the host is another machine, and this is the way to it."""
        self.name = name
        self.uri = uri
        self.shell = shell
        self.entry = entry or HostEntry(name)
        self.patience = patience
        self._state = state
        self._link = link
        self._lock = threading.Lock()
        self._open: Any = None
        self._lines = Lines(self._connect, _STREAMS_NEAR if link is None else _STREAMS_FAR)
        self._failed: tuple[float, TinycloudError] | None = None
        """When a connection failed last, and how."""
        self._virsh: tuple[str, ...] = ("virsh", "-c", uri)

    @property
    def _conn(self) -> Any:
        asked = time.monotonic()
        with self._lock:
            if self._open is None or not self._open.isAlive():
                if self._failed is not None and self._failed[0] > asked:
                    raise copy(self._failed[1])  # others ask at the same time: one failure, which may take seconds, is enough for all
                try:
                    self._open = self._connect()
                except TinycloudError as err:
                    self._failed = (time.monotonic(), err)
                    raise
            return self._open

    def _connect(self) -> Any:
        if self._link is not None:
            conn, uri = open_far(self._link, self.uri)
            self._virsh = ("virsh", "-c", uri)
            return conn
        libvirt = load_libvirt()
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as err:
            failure = translate(err, f"cannot connect to {self.uri}")
            if failure.hint.endswith("--fix") and self.uri == "qemu:///system" and os.geteuid() != 0:
                return self._connect_by_sudo(failure)
            raise failure from err

    def _connect_by_sudo(self, failure: TinycloudError) -> Any:
        """A user outside the libvirt group who may use sudo: let libvirt's own helper carry the protocol as root."""
        from tinycloud.drivers.ssh_link import write_program

        try:
            self.shell.run(["true"], root=True)
        except Missing as err:
            failure.facts = (*failure.facts, *err.facts)
            raise failure from err
        helper = self._state / "libvirt-by-sudo"
        write_program(helper, f"#!/bin/sh\nexec sudo -n {shlex.join(['virt-ssh-helper', 'qemu:///system'])}\n")
        self._virsh = ("sudo", "-n", "virsh", "-c", self.uri)
        with guarded(f"connect to {self.uri} through sudo"):
            return load_libvirt().open(f"qemu+ext:///system?command={helper}")

    def make_virsh_argv(self, *words: str) -> list[str]:
        """``virsh`` for this host, with the rights that the connection needed."""
        return [*self._virsh, *words]

    @property
    def _lanes(self) -> int:
        """How many questions are on their way at a time; what is near answers before the next thread runs."""
        return 1 if self._link is None else _LANES

    @property
    def domains(self) -> Domains:
        return Domains(self._conn, self.shell, self._lanes)

    @property
    def networks(self) -> Networks:
        return Networks(self._conn, self.shell, self._lanes)

    @property
    def volumes(self) -> Volumes:
        return self.pool(DEFAULT_POOL)

    @property
    def secrets(self) -> Secrets:
        return Secrets(self._conn)

    @property
    def moves(self) -> Moves:
        return Moves(self._conn, self.shell)

    @property
    def firewall(self) -> Firewall:
        return Firewall(self.shell)

    def read_ground(self, folder: str) -> Ground:
        """Of another host in one session."""
        if self._link is None:
            return Ground(self.shell, self.firewall, Sheets(self.shell).read_all)
        runner = foresee(self.shell, (*make_questions(folder), *firewall.QUESTIONS, sheets.QUESTION, make_question(folder)), root=True)
        return Ground(runner, Firewall(runner), Sheets(runner).read_all, read_cards(runner, folder))

    def pool(self, name: str) -> Volumes:
        """A pool by the name that people give it; one that does not exist holds nothing."""
        return Volumes(self._conn, make_pool_name(name), self.shell, self._lines, self._lanes)

    def list_pools(self) -> list[str]:
        return list_pools(self._conn)

    @cached_property
    def _facts(self) -> HostRecord:
        return read_facts(self._conn)

    def read_facts(self) -> HostRecord:
        """The host's facts, read once for the life of this object but for the free memory."""
        return replace(self._facts, memory_free=read_memory(self._conn)[1])

    def read_identity(self) -> HostIdentity:
        return read_identity(self._conn)

    def read_usage(self) -> HostUsage:
        total, free = read_memory(self._conn)
        return HostUsage(read_cpu_seconds(self._conn), total - free)

    def admit(self, numbers: Mapping[str, int]) -> tuple[str, ...]:
        """Note numbers of leases, and say which are over."""
        return tuple(run_script(self.shell, "fence", {"numbers": dict(numbers)}, root=True, limit=60)["over"])

    @cached_property
    def _processors(self) -> dict[str, str]:
        return {}

    def read_processor(self, hypervisor: str = "kvm") -> str:
        """Read once for the life of this object."""
        if hypervisor not in self._processors:
            self._processors[hypervisor] = read_processor(self._conn, hypervisor)
        return self._processors[hypervisor]

    def list_models(self, hypervisor: str) -> tuple[str, ...]:
        """Read once for the life of this object."""
        if hypervisor not in self._models:
            self._models[hypervisor] = list_models(self._conn, hypervisor)
        return self._models[hypervisor]

    @cached_property
    def _models(self) -> dict[str, tuple[str, ...]]:
        return {}

    def find_common(self, processors: Sequence[str], hypervisor: str = "kvm") -> str:
        return find_common(self._conn, processors, hypervisor)

    def listen(self, on_event: Callable[[], None]) -> None:
        """Hear of changes and disk errors of domains; from then on a connection that is closed is not heard."""
        from tinycloud.drivers.libvirt.events import register, start_loop

        start_loop()
        self.close()  # libvirt tells only connections that were opened after its loop began
        with guarded(f"listen to {self.uri}"):
            register(self._conn, on_event)

    def close(self) -> None:
        """Close the connection. One whose host is silent is left as it is: somebody waits in it still, and it ends with this process."""
        if self.silence is not None:
            return
        with self._lock:
            self._lines.close()
            if self._open is not None:
                self._open.close()
                self._open = None
