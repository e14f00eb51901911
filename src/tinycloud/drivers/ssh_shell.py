"""A shell on another host, over one shared ssh connection. It does what :class:`tinycloud.drivers.shell.LocalShell` does here.

sshd joins the words of a command and hands them to the person's login shell there: they are quoted for it in one place.
"""

from __future__ import annotations

import secrets
import shlex
import subprocess
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.shell import (
    DEFAULT_LIMIT,
    SBIN,
    Done,
    call,
    make_environment,
    make_missing_tool,
    make_no_root,
    make_too_late,
    make_tool_error,
)
from tinycloud.drivers.talk import LocalTalk
from tinycloud.errors import TinycloudError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tinycloud.drivers.ssh_link import SshLink
    from tinycloud.drivers.talk import Talk

# $1: "root" to become root; $2: seconds after which the host itself ends the tool, for then the link was cut and nobody else does; 0: none.
# ssh ends with 255 when it fails itself, so a tool's own 255 is told in another way. The shell stays: its $0 names the call.
_SCRIPT: Final = f"""\
export LC_ALL=C.UTF-8 PATH="$PATH{SBIN}"
rise=$1 limit=$2
shift 2
command -v "$1" >/dev/null 2>&1 || {{ echo "tinycloud: no $1" >&2; exit 127; }}
[ "$limit" = 0 ] || set -- timeout -s KILL "$limit" "$@"
if [ "$rise" = root ] && [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || {{ echo "tinycloud: no sudo" >&2; exit 127; }}
  set -- sudo -n -- "$@"
fi
"$@"
status=$?
[ $status -ne 255 ] || {{ echo "tinycloud: status 255" >&2; exit 254; }}
exit $status
"""
_END: Final = """\
read -r token
for pid in $(pgrep -f "$token"); do
  session=$(ps -o sid= -p "$pid") && pkill -KILL -s "${session# }"
done
"""
_GRACE: Final = 30.0
_LAST: Final = 10.0  # seconds for ending what was started
_SSH_FAILED: Final = 255


class SshShell:
    """Children of sshd on the host behind ``link``. ``on_run`` hears each command as it could be typed here; never its input."""

    def __init__(self, link: SshLink, on_run: Callable[[str], None] | None = None) -> None:
        self.link = link
        self._on_run = on_run
        self._env = make_environment()
        self._there: set[str] = set()

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
        self._tell(argv, root=root)
        token = _make_token()
        with self.link.session() as shared:
            words = self._wrap(argv, token, limit, root=root, shared=shared)
            try:
                done = call(words, self._env, input, limit, on_line, end=lambda: self._end(token, root=root))
            except FileNotFoundError as err:
                raise make_missing_tool("ssh") from err
            except subprocess.TimeoutExpired as err:
                raise make_too_late(argv[0], limit, argv, self.link.name) from err
        done = self._read(argv, done, root=root)
        if check and done.status != 0:
            raise make_tool_error(done)
        return done

    def _tell(self, argv: Sequence[str], *, root: bool) -> None:
        if self._on_run:
            self._on_run(shlex.join(["ssh", self.link.target, "--", shlex.join([*(["sudo", "-n", "--"] if root else []), *argv])]))

    def _wrap(self, argv: Sequence[str], token: str, limit: float, *, root: bool, shared: bool) -> list[str]:
        backstop = f"{limit + _GRACE:.0f}" if limit else "0"
        text = shlex.join(["sh", "-c", _SCRIPT, token, "root" if root else "self", backstop, *argv])
        return self.link.make_argv(text, shared=shared)

    def _read(self, argv: Sequence[str], done: Done, *, root: bool) -> Done:
        """What became of the tool, from what became of ssh. Raises Unreachable, Missing."""
        words, where, status, stderr = tuple(argv), self.link.name, done.status, done.stderr
        if status == _SSH_FAILED:
            raise self.link.make_unreachable(stderr)
        if status < 0:
            raise Unreachable(f"the ssh client of {where} was ended by signal {-status}", facts=[shlex.join(words)])
        if status == 127 and (missing := _find_missing(stderr)):
            raise make_missing_tool(missing, where)
        if status == 254 and stderr.endswith(b"tinycloud: status 255\n"):
            status, stderr = 255, stderr.removesuffix(b"tinycloud: status 255\n")
        elif 128 < status <= 192:  # as a shell tells of a signal
            status = 128 - status
        done = Done(words, status, done.stdout, stderr, where)
        if root and status == 1 and stderr.startswith(b"sudo:"):
            raise make_no_root(argv[0], done)
        return done

    def _end(self, token: str, *, root: bool) -> None:
        """End what a call started there: its client is gone, and sshd lets such children go on."""
        text = shlex.join(["sh", "-c", _SCRIPT, "tinycloud", "root" if root else "self", "10", "sh", "-c", _END])
        with suppress(TinycloudError, subprocess.TimeoutExpired), self.link.session() as shared:  # a link that is cut: it ends at its limit
            call(self.link.make_argv(text, shared=shared), self._env, token.encode() + b"\n", _LAST)

    def open(self, argv: Sequence[str], *, root: bool = False) -> Talk:
        self._require([*argv])
        self._tell(argv, root=root)
        places = ExitStack()
        shared = places.enter_context(self.link.session())
        token = _make_token()
        words = self._wrap(argv, token, 0, root=root, shared=shared)
        try:
            return SshTalk(words, argv[-1], lambda: self._end(token, root=root), places)
        except BaseException:
            places.close()
            raise

    def _require(self, argv: list[str]) -> None:
        """A talk cannot tell a missing tool from one that ends; asked once."""
        if argv[0] not in self._there:
            self.run(["sh", "-c", 'command -v "$1" >/dev/null || { echo "tinycloud: no $1" >&2; exit 127; }', "sh", argv[0]])
            self._there.add(argv[0])

    def hear(self, address: str, port: int, *, limit: float = 0.5) -> bytes:
        """Through the host's sshd, which connects: no process there."""
        try:
            with self.link.session() as shared:
                place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
                return _hear(self.link.make_argv(flags=["-W", place], shared=shared), self._env, limit * 5)
        except Unreachable:
            return b""

    @contextmanager
    def forward(self, address: str, port: int) -> Iterator[str]:
        """Through the host's sshd; only programs of this machine reach it."""
        with self.link.forward(f"[{address}]:{port}" if ":" in address else f"{address}:{port}") as here:
            yield f"127.0.0.1:{here}"

    @property
    def jump(self) -> tuple[str, ...]:
        words = self.link.make_argv()
        return (*(word.replace("%", "%%") for word in words[:-2]), "-W", "%h:%p", *words[-2:])


class SshTalk(LocalTalk):
    """A child of sshd that is talked with."""

    def __init__(self, argv: Sequence[str], tool: str, end: Callable[[], None], places: ExitStack) -> None:
        super().__init__(argv, make_environment(), tool)
        self._end, self._places = end, places

    def kill(self) -> None:
        super().kill()
        self._end()

    def _close_pipes(self) -> None:
        super()._close_pipes()
        self._places.close()


def _make_token() -> str:
    return f"tinycloud-{secrets.token_hex(8)}"


def _find_missing(stderr: bytes) -> str:
    """The tool that was not there, in our own words."""
    last = (stderr.decode(errors="replace").strip().splitlines() or [""])[-1]
    return last.removeprefix("tinycloud: no ") if last.startswith("tinycloud: no ") else ""


def _hear(argv: list[str], env: dict[str, str], limit: float) -> bytes:
    """The first bytes that come; its input stays open until then, for a connection ends with it."""
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, process_group=0
    ) as child:
        timer = threading.Timer(limit, child.kill)
        timer.start()
        try:
            heard: bytes = child.stdout.read1(64)  # type: ignore[union-attr]
            return heard
        finally:
            timer.cancel()
            child.kill()
