"""One shared ssh connection to a host: opened on first use by the person's own OpenSSH client, kept for some minutes after the last.

Everything that goes to the host is a session of it: tools, libvirt's protocol, the way to guests. The person's configuration, agent
and known_hosts count; nobody is asked anything, and a key that is not known is never trusted.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import stat
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.shell import make_environment, make_missing_tool
from tinycloud.errors import Missing, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST: Final = 85
"""Of a socket's path: the kernel takes 107 characters, and ssh adds a name of its own while it makes one."""
_KEEP: Final = 300  # seconds that a connection stays after its last use
_SESSIONS: Final = 7
"""How many sessions our commands have in one connection: sshd refuses more than 10 (MaxSessions), and libvirt has up to three of them."""
_OWN: Final = 6
"""How many connections we have beside it when all its places are taken for long: sshd turns away more than 10 at once (MaxStartups)."""
_PATIENCE: Final = 3.0
_GREETING: Final = 3.0
"""Seconds for our own client to greet us, https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.mux (1)."""

CONNECT_LIMIT: Final = 5
_OPTIONS: Final = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_LIMIT),
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "LogLevel": "ERROR",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
}


class SshLink:
    """The connection to ``target`` (``root@server2``, or a name of ssh's configuration), whose socket is in ``folder``."""

    def __init__(self, name: str, target: str, folder: Path) -> None:
        self.name = name
        self.target = target
        self._folder = folder
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_SESSIONS)
        self._own = threading.BoundedSemaphore(_OWN)

    @property
    def _path(self) -> Path:
        """Another target is another connection, also under the same name."""
        digits = sha256(self.target.encode()).hexdigest()[:8]
        return self._folder / f"{self.name[:16]}-{digits}"

    def make_flags(self, *, shared: bool = True) -> list[str]:
        """The client's options: in the shared connection if it stands, else, or if not ``shared``, in one of its own."""
        options = {**_OPTIONS, "ControlMaster": "no", "ControlPath": _escape(str(self._path)) if shared else "none"}
        return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

    def make_argv(self, *words: str, flags: Sequence[str] = (), shared: bool = True) -> list[str]:
        """``ssh`` to the host; of ``words``, which its shell reads, there is at most one."""
        return ["ssh", *self.make_flags(shared=shared), *flags, "--", self.target, *words]

    @contextmanager
    def session(self) -> Iterator[bool]:
        """A place in the shared connection, which stands then. False: all are taken, use one of your own. Raises Unreachable."""
        if self._places.acquire(timeout=_PATIENCE):
            try:
                self.ensure()
                yield True
            finally:
                self._places.release()
        else:
            with self._own:
                yield False

    def ensure(self) -> None:
        """Have the shared connection; returns at once when it stands. Raises Unreachable, Missing."""
        if self._answers():
            return
        with self._lock, self._alone():
            if not self._answers():
                self._path.unlink(missing_ok=True)  # of a client that is gone
                self._open()

    def _answers(self) -> bool:
        """The client that has the connection greets whoever comes. One that is stuck would let us in, and wait, for ever."""
        try:
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(_GREETING)
                door.connect(str(self._path))
                return bool(door.recv(1))
        except OSError:
            return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time makes the connection."""
        ensure_private(self._folder)
        with self._path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _open(self) -> None:
        options = {**_OPTIONS, **self._strictness(), "ControlMaster": "yes", "ControlPath": _escape(str(self._path))}
        options |= {"ControlPersist": str(_KEEP), "ClearAllForwardings": "yes"}
        argv = ["ssh", *(word for key, value in options.items() for word in ("-o", f"{key}={value}")), "-N", "-f", "--", self.target]
        with tempfile.TemporaryFile() as said:  # no pipe: the client that stays in the background would hold it open
            done = self._call(argv, said.fileno())
            said.seek(0)
            if done != 0:
                raise self.make_unreachable(said.read())

    def _call(self, argv: list[str], errors: int) -> int:
        """In a session of its own: a Ctrl-C is for us, and the connection serves others too."""
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=make_environment(),
                start_new_session=True,
            )
        except FileNotFoundError as err:
            raise make_missing_tool("ssh") from err
        try:
            return child.wait(CONNECT_LIMIT * 6)  # its own limit is for the first answer; agents and jumps come on top
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def _strictness(self) -> dict[str, str]:
        """The person's own setting, but for one: whoever said ``no`` to asking does not get a host trusted for it."""
        argv = ["ssh", "-G", "--", self.target]
        try:
            said = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=CONNECT_LIMIT, check=False).stdout
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return {}
        lax = {"stricthostkeychecking no", "stricthostkeychecking off", "stricthostkeychecking false"}
        return {"StrictHostKeyChecking": "yes"} if lax & set(said.splitlines()) else {}

    def make_unreachable(self, said: bytes) -> Unreachable:
        """The error for what ssh said when it ended."""
        lines = [line for line in said.decode(errors="replace").strip().splitlines() if line.strip() and not line.startswith("@@")]
        text = "\n".join(lines)
        by_hand = f"ssh {self.target}"
        if "Host key verification failed" in text:
            lines, hint = lines[-3:], f"{by_hand}   (once by hand: compare its key, and say yes)"
        elif "Permission denied" in text:
            hint = f"ssh-copy-id {self.target}, or ssh-add; it must work without a question: {by_hand} true"
        else:
            hint = f"look whether this works: {by_hand} true"
        return Unreachable(f'host "{self.name}" ({self.target}) does not answer by ssh', facts=lines[-5:], hint=hint)

    def write_helper(self, kind: str, words: Sequence[str]) -> Path:
        """A program that execs ``ssh`` with our options and its own arguments; ``words`` follow them. For libvirt, which takes a path."""
        ensure_private(self._folder)
        path = self._path.with_suffix(f".{kind}")
        rest = shlex.join(words) if words else '"$@"'
        write_program(path, f"#!/bin/sh\nexec {shlex.join(['ssh', *self.make_flags()])} {rest}\n")
        return path

    @contextmanager
    def forward(self, place: str) -> Iterator[int]:
        """A port of this machine's loopback that leads to ``place`` (``127.0.0.1:5900``) as seen from the host. Raises Unreachable."""
        self.ensure()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = ["-L", f"127.0.0.1:{port}:{place}"]
        self._control("forward", words)
        try:
            yield port
        finally:
            self._control("cancel", words)

    def _control(self, what: str, words: Sequence[str]) -> None:
        """Say something to the client that holds the connection."""
        argv = ["ssh", "-O", what, "-o", f"ControlPath={_escape(str(self._path))}", *words, "--", self.target]
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=CONNECT_LIMIT, check=False)
        if done.returncode != 0 and what == "forward":
            raise self.make_unreachable(done.stderr)

    def end(self) -> None:
        """Close the shared connection, whoever uses it."""
        if self._answers():
            self._control("exit", [])


def write_program(path: Path, text: str) -> None:
    """A program of ours, whole at any moment: others may run it, or write the same, meanwhile."""
    if not path.exists() or path.read_text() != text:
        draft = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        draft.write_text(text)
        draft.chmod(0o700)
        draft.replace(path)


def _escape(path: str) -> str:
    return path.replace("%", "%%")


def make_control_folder(state: Path) -> Path:
    """Where sockets are: in the state folder, or, for one with a long path, where its digest stands for it."""
    folder = state.absolute() / "ssh"
    if len(str(folder)) + 26 <= _LONGEST:
        return folder
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - checked to be ours before it is used
    return base / f"tinycloud-{os.geteuid()}-{sha256(str(folder).encode()).hexdigest()[:10]}"


def ensure_private(folder: Path) -> None:
    """A folder that only we may enter. Raises Missing for one that somebody else made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise Missing(f"the folder {folder} is not ours", hint="--state FOLDER, with a short path")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        folder.chmod(0o700)
