"""Child processes on a host: argv lists, a time limit, stderr kept as a fact, root through ``sudo -n``."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tinycloud.drivers.talk import LocalTalk
from tinycloud.errors import Missing, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tinycloud.drivers.talk import Talk

DEFAULT_LIMIT = 60.0
SBIN = ":/usr/local/sbin:/usr/sbin:/sbin"

PACKAGES = {
    "qemu-img": "qemu-utils",
    "virsh": "libvirt-clients",
    "nft": "nftables",
    "ip": "iproute2",
    "ss": "iproute2",
    "ssh": "openssh-client",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "mcopy": "mtools",
    "syslinux": "syslinux",
    "extlinux": "extlinux",
    "depmod": "kmod",
    "fakeroot": "fakeroot",
    "mkfs.vfat": "dosfstools",
    "sfdisk": "fdisk",
    "python3": "python3",
    "qemu-nbd": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "guestfish": "guestfish",
    "guestmount": "guestmount",
    "guestunmount": "guestmount",
    "virt-sysprep": "guestfs-tools",
    "openssl": "openssl",
    "xz": "xz-utils",
    "bzip2": "bzip2",
    "zstd": "zstd",
}
"""Which Debian/Ubuntu package brings a tool."""


_OURS = ("TINYCLOUD_DATABASE", "PGPASSWORD")
"""What may hold a password that is no business of any child."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a child process ended. ``where`` is the host that it ran on, empty for this machine."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    where: str = ""

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


class Runner(Protocol):
    """Runs a tool on one host."""

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        root: bool = False,
        limit: float = DEFAULT_LIMIT,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        """Run ``argv`` and wait at most ``limit`` seconds. ``on_line`` hears each line of its output as it comes.

        ``root`` asks for root rights. With ``check`` a status other than 0 raises ToolFailed; a tool that is not
        there raises Missing with the package to install, in any case.
        """
        ...


class Shell(Runner, Protocol):
    """What else is done where tools run."""

    def open(self, argv: Sequence[str], *, root: bool = False) -> Talk:
        """Start ``argv`` to talk with it. Raises Missing as :meth:`run` does."""
        ...

    def hear(self, address: str, port: int, *, limit: float = 0.5) -> bytes:
        """The first bytes that a server says to whoever connects from this host; empty where nobody does.

        ``limit`` seconds to connect and four times that to speak.
        """
        ...

    def forward(self, address: str, port: int) -> AbstractContextManager[str]:
        """Have what this host reaches at ``address`` within reach of programs here: yields ``host:port``, good until the end."""
        ...

    @property
    def jump(self) -> tuple[str, ...]:
        """The ProxyCommand by which ssh gets from here to what only this host reaches; empty for this machine."""
        ...


class LocalShell:
    """Children of this process. ``on_run`` hears each command before it starts (``-v``); never its input."""

    jump: tuple[str, ...] = ()

    def __init__(self, on_run: Callable[[str], None] | None = None, env: Mapping[str, str] | None = None) -> None:
        self._on_run = on_run
        self._env = make_environment(env)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        root: bool = False,
        limit: float = DEFAULT_LIMIT,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        words = [*argv] if not root or os.geteuid() == 0 else ["sudo", "-n", "--", *argv]
        if self._on_run:
            self._on_run(shlex.join(words))
        done = self._call(words, argv[0], input, limit, on_line)
        if words[0] == "sudo" and done.status == 1 and done.stderr.startswith(b"sudo:"):
            raise make_no_root(argv[0], done)
        if check and done.status != 0:
            raise make_tool_error(done)
        return done

    def open(self, argv: Sequence[str], *, root: bool = False) -> Talk:
        words = [*argv] if not root or os.geteuid() == 0 else ["sudo", "-n", "--", *argv]
        if self._on_run:
            self._on_run(shlex.join(words))
        try:
            return LocalTalk(words, self._env)
        except FileNotFoundError as err:
            raise make_missing_tool(words[0]) from err

    def hear(self, address: str, port: int, *, limit: float = 0.5) -> bytes:
        try:
            with socket.create_connection((address, port), timeout=limit) as connection:
                connection.settimeout(limit * 4)
                return connection.recv(64)
        except OSError:
            return b""

    @contextmanager
    def forward(self, address: str, port: int) -> Iterator[str]:
        yield f"{address}:{port}"

    def _call(self, words: list[str], tool: str, input: bytes | None, limit: float, on_line: Callable[[str], None] | None) -> Done:
        try:
            return call(words, self._env, input, limit, on_line)
        except FileNotFoundError as err:
            raise make_missing_tool(words[0] if not shutil.which(words[0], path=self._env["PATH"]) else tool) from err
        except subprocess.TimeoutExpired as err:
            raise make_too_late(tool, limit, words) from err


def make_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child is started with: English words, and the sbin folders too, which hold half of the tools and which few have in PATH."""
    own = {key: value for key, value in os.environ.items() if key not in _OURS}
    return {**own, "PATH": os.environ.get("PATH", "/usr/bin:/bin") + SBIN, "LC_ALL": "C.UTF-8", **(env or {})}


def call(
    words: Sequence[str],
    env: Mapping[str, str],
    input: bytes | None,
    limit: float,
    on_line: Callable[[str], None] | None = None,
    *,
    end: Callable[[], None] = lambda: None,
) -> Done:
    """Run a child to its end. Raises FileNotFoundError, and TimeoutExpired after having ended it.

    ``end`` is called when it was ended, for what it began elsewhere and which may hold its pipes.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    # In a process group of its own: Ctrl-C is for us, and we decide whether a child may finish.
    with subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env), process_group=0) as child:
        try:
            if on_line is None:
                stdout, stderr = child.communicate(input, timeout=limit)
            else:
                stdout, stderr = _communicate(child, input, limit, on_line)
        except BaseException:
            _end_group(child.pid)
            end()
            raise
    return Done(tuple(words), child.returncode, stdout, stderr)


def _communicate(child: subprocess.Popen[bytes], input: bytes | None, limit: float, on_line: Callable[[str], None]) -> tuple[bytes, bytes]:
    """As ``Popen.communicate``, with each line of output told as it comes, in this thread: what ``on_line`` raises ends the child."""
    end = time.monotonic() + limit
    feeder = threading.Thread(target=_feed, args=(child, input), daemon=True)
    errors: list[bytes] = []
    listener = threading.Thread(target=lambda: errors.append(child.stderr.read()) if child.stderr else None, daemon=True)
    feeder.start()
    listener.start()
    lines: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        half = b""
        while True:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise subprocess.TimeoutExpired(child.args, limit)
            chunk = os.read(child.stdout.fileno(), 65536)  # type: ignore[union-attr]
            lines.append(chunk)
            *whole, half = re.split(rb"[\r\n]", half + chunk)  # a tool that draws its progress over itself ends it with \r
            for line in whole if chunk else [half] * bool(half):
                on_line(line.decode(errors="replace"))
            if not chunk:
                break
    child.wait(max(0.1, end - time.monotonic()))
    listener.join(max(0.1, end - time.monotonic()))
    return b"".join(lines), b"".join(errors)


def _feed(child: subprocess.Popen[bytes], input: bytes | None) -> None:
    if child.stdin is not None:
        with suppress(BrokenPipeError), child.stdin:
            child.stdin.write(input or b"")


def _end_group(leader: int) -> None:
    """End a child and its own children; a tool that runs as root through sudo is not ours to end, and ends by itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def make_no_root(tool: str, done: Done) -> Missing:
    """The error for a sudo that asks for a password."""
    return Missing(
        f"{tool} needs root rights{_on(done.where)}, and sudo does not give them without a password",
        facts=[done.stderr.decode(errors="replace").strip()],
        hint="run it as root, or allow it in sudoers (NOPASSWD)",
    )


def make_missing_tool(tool: str, where: str = "") -> Missing:
    """The error for a tool that is not installed, naming its package."""
    package = PACKAGES.get(tool)
    hint = f"apt-get install {package}" if package else f"install the package that provides {tool}"
    return Missing(f"{tool} is not installed{_on(where)}", hint=hint)


def make_too_late(tool: str, limit: float, words: Sequence[str], where: str = "") -> ToolFailed:
    """The error for a child that was ended after its time."""
    return ToolFailed(f"{tool}{_on(where)} did not finish within {limit:.0f} s", facts=[shlex.join(words)])


def make_tool_error(done: Done, lines: int = 8) -> ToolFailed:
    """The error for a child that ended badly: its status and its last words."""
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-lines:]
    tool = next((word for word in done.argv if word not in ("sudo", "-n", "--")), "child")
    how = f"was ended by signal {-done.status}" if done.status < 0 else f"ended with status {done.status}"
    return ToolFailed(f"{tool}{_on(done.where)} {how}", facts=said or [shlex.join(done.argv)])


def _on(where: str) -> str:
    return f" on {where}" if where else ""
