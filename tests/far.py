"""A host behind ssh that is this machine: an sshd of the test's own on loopback, and an ``ssh`` that knows the way."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.drivers.ssh_link import SshLink
from tinycloud.drivers.ssh_shell import SshShell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
PidFile {folder}/sshd.pid
"""
_SSH = """\
Host far
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/key
  UserKnownHostsFile {folder}/known
"""


class Far:
    """What is in ``folder``: the server's and the client's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for key in ("host_key", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "sshd.conf").write_text(_SSHD.format(port=self.port, folder=folder))
        self.configure()
        self.know((folder / "host_key.pub").read_text())

    def know(self, key: str) -> None:
        """Make this the key that the client knows the server by."""
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {' '.join(key.split()[:2])}\n" if key else "")

    def configure(self, more: str = "") -> None:
        """The client's configuration, handed to it by a program of its name that stands first in PATH."""
        (self.folder / "ssh.conf").write_text(_SSH.format(port=self.port, folder=self.folder) + more)
        (self.folder / "bin").mkdir(exist_ok=True)
        program = self.folder / "bin/ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh", path="/usr/bin:/bin")} -F {self.folder}/ssh.conf "$@"\n')
        program.chmod(0o755)

    def start(self) -> None:
        with suppress(PermissionError):
            Path("/run/sshd").mkdir(exist_ok=True)
        subprocess.run(["/usr/sbin/sshd", "-f", str(self.folder / "sshd.conf"), "-E", str(self.folder / "log")], check=True)
        _wait(lambda: (self.folder / "sshd.pid").exists())

    def stop(self) -> None:
        """End the server and every connection to it."""
        pid = self.folder / "sshd.pid"
        if not pid.exists():
            return
        server = int(pid.read_text())
        for child in _children(server):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        os.kill(server, signal.SIGKILL)
        _wait(lambda: not Path(f"/proc/{server}").exists())
        pid.unlink()

    def link(self, state: Path) -> SshLink:
        return SshLink("far", "far", state / "ssh")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait(what: Callable[[], bool], limit: float = 30.0) -> None:
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def far_away(folder: Path) -> Iterator[Far]:
    """A server that runs, with the client's program first in PATH; at the end neither it nor a connection is left."""
    far, path = Far(folder), os.environ["PATH"]
    os.environ["PATH"] = f"{folder}/bin:{path}"
    try:
        far.start()
        yield far
    finally:
        far.stop()
        os.environ["PATH"] = path


def far_shell(far: Far, state: Path, on_run: Callable[[str], None] | None = None) -> SshShell:
    return SshShell(far.link(state), on_run)
