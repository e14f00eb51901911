"""A file from one folder to another, straight between two scripts on this machine's loopback; and every way in which that does not work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.drivers.test_travel import BODY, MIB, part, read_same, target, way  # noqa: F401 - a fixture
from tinycloud.drivers.badge import make_badge
from tinycloud.drivers.onhost import meet
from tinycloud.drivers.shell import LocalShell
from tinycloud.drivers.travel import Way, carry, travel
from tinycloud.errors import Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinycloud.drivers.talk import Talk

HERE = "127.0.0.1"


class Counting(LocalShell):
    """Knows the children that it is talked with through, and how many bytes this process was told by them."""

    def __init__(self) -> None:
        super().__init__()
        self.children: list[Any] = []
        self.heard = 0

    def open(self, argv: Any, *, root: bool = False) -> Any:
        talk: Any = super().open(argv, root=root)
        read = talk.read

        def count(limit: float) -> bytes:
            piece: bytes = read(limit)
            self.heard += len(piece)
            return piece

        talk.read = count
        self.children.append(talk._child)
        return talk


@pytest.fixture
def straight(way: Way) -> tuple[Way, list[str]]:  # noqa: F811
    """The same way with an address, and which ways the bytes went."""
    heard: list[str] = []
    return replace(way, source=Counting(), target=Counting(), at=HERE, on_way=heard.append), heard


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def list_listeners(pid: int) -> list[int]:
    """The ports on which a child of ours listens."""
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[3].rpartition(":")[2]) for line in said.splitlines() if f"pid={pid}," in line]


def test_the_data_goes_straight_and_only_words_come_here(straight: tuple[Way, list[str]]) -> None:
    it, ways = straight
    heard: list[tuple[int, int]] = []
    assert travel(it, lambda done, total: heard.append((done, total))) == 2 * len(BODY)
    assert read_same(it)
    assert ways == [""]
    assert os.stat(it.path).st_blocks >= target(it).stat().st_blocks, "holes stay holes"
    assert heard[-1] == (2 * len(BODY), 2 * len(BODY))
    assert it.source.heard < 200, "of the bytes none came through here"  # type: ignore[attr-defined]
    assert sorted(os.listdir(it.folder)) == [target(it).name, f"{target(it).name}.json"]
    assert travel(it) == 0


def test_a_disk_is_carried_straight_and_one_that_is_there_is_not_touched(straight: tuple[Way, list[str]], tmp_path: Path) -> None:
    it, ways = straight
    place = tmp_path / "pool" / "disk"
    carry((it.source, it.path), (it.target, str(place)), "disk", lambda *n: None, at=HERE, on_way=ways.append)
    assert place.read_bytes() == (tmp_path / "source").read_bytes()
    assert ways == [""]
    with pytest.raises(Refused, match="exists"):
        carry((it.source, it.path), (it.target, str(place)), "disk", lambda *n: None, at=HERE)
    assert os.listdir(tmp_path / "pool") == ["disk"]


def test_an_interrupted_one_goes_on_where_it_was_and_nobody_listens_any_more(straight: tuple[Way, list[str]]) -> None:
    it, _ = straight
    slow = replace(it, source=Slow())

    def stop(done: int, total: int) -> None:
        if 0 < done < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        travel(slow, stop)
    begun = part(it).stat().st_size
    assert 0 < begun < 100 * MIB
    assert [child.poll() is not None for child in it.target.children] == [True]  # type: ignore[attr-defined]
    assert 0 < travel(it) < 2 * len(BODY)
    assert read_same(it)


class Slow(Counting):
    """The first that gives stops in the middle, and has to be killed."""

    given = False

    def open(self, argv: Any, *, root: bool = False) -> Any:
        words = [*argv]
        if words[-1] == "give" and not self.given:
            self.given = True
            words[3] = words[3].replace("import sys;", f"import sys;{_STOP}")
        return super().open(words, root=root)


_STOP = "import os,time;pread=os.pread;calls=[];os.pread=lambda *a:(calls.append(a),len(calls)==3 and time.sleep(100),pread(*a))[2];"


def test_what_is_wrong_is_refused_as_on_the_other_way(straight: tuple[Way, list[str]]) -> None:
    it, ways = straight
    with open(it.path, "r+b") as file:
        file.seek(5)
        file.write(b"!")
    with pytest.raises(Refused, match="image x of h1 is not what its name says"):
        travel(it)
    assert (ways, os.listdir(it.folder)) == ([""], [])


def test_a_full_target_is_refused_as_on_the_other_way(straight: tuple[Way, list[str]]) -> None:
    it, ways = straight

    class Small(LocalShell):
        def open(self, argv: Any, *, root: bool = False) -> Any:
            return super().open(["prlimit", "--fsize=1048576", *argv], root=root)

    with pytest.raises(Refused, match="no room for image x of h1: File too large"):
        travel(replace(it, target=Small()))
    assert (ways, os.listdir(it.folder)) == ([""], [])


@pytest.mark.parametrize("body", [b"", bytes(MIB), b"x"])
def test_files_with_little_in_them_go_too(straight: tuple[Way, list[str]], body: bytes, tmp_path: Path) -> None:
    it, ways = straight
    (tmp_path / "little").write_bytes(body)
    place = tmp_path / "pool" / "disk"
    carry((it.source, str(tmp_path / "little")), (it.target, str(place)), "disk", lambda *n: None, at=HERE, on_way=ways.append)
    assert (place.read_bytes(), ways) == (body, [""])


# where they do not meet


def test_where_nobody_is_let_to_the_port_it_goes_through_here_and_why_is_said(straight: tuple[Way, list[str]]) -> None:
    it, ways = straight

    class Deaf(LocalShell):
        """A host whose firewall refuses what comes: somebody else has the address that the source asks."""

        def open(self, argv: Any, *, root: bool = False) -> Any:
            words = [*argv]
            words[5] = json.dumps({**json.loads(words[5]), "to": ["127.0.0.1", 1]})
            return super().open(words, root=root)

    assert travel(replace(it, source=Deaf())) == 2 * len(BODY)
    assert read_same(it)
    assert ways == ["127.0.0.1:1: connection refused"]


def test_a_packet_filter_costs_three_seconds(straight: tuple[Way, list[str]]) -> None:
    """A queue of waiting connections that is full answers nobody, as a filter does not."""
    it, ways = straight
    with socket.socket() as door, contextlib.ExitStack() as knocks:
        door.bind((HERE, 0))
        door.listen(0)
        port = door.getsockname()[1]
        for _ in range(8):
            knock = knocks.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex((HERE, port))

        class Filtered(LocalShell):
            def open(self, argv: Any, *, root: bool = False) -> Any:
                words = [*argv]
                words[5] = json.dumps({**json.loads(words[5]), "to": [HERE, port]})
                return super().open(words, root=root)

        assert travel(replace(it, source=Filtered())) == 2 * len(BODY)
    assert read_same(it)
    assert ways == [f"{HERE}:{port}: timed out"]


@pytest.mark.parametrize("module", ["ssl", "os.memfd_create"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_python_that_cannot_does_not_matter(straight: tuple[Way, list[str]], side: str, module: str) -> None:
    it, ways = straight

    class Old(LocalShell):
        def open(self, argv: Any, *, root: bool = False) -> Any:
            words, less = [*argv], "sys.modules['ssl']=None" if module == "ssl" else "import os;del os.memfd_create"
            words[3] = words[3].replace("import sys;", f"import sys;{less};")
            return super().open(words, root=root)

    assert travel(replace(it, source=Old()) if side == "source" else replace(it, target=Old())) == 2 * len(BODY)
    assert read_same(it)
    assert len(ways) == 1
    assert "its python3 is too old" in ways[0]


def test_all_ports_in_use_do_not_matter(straight: tuple[Way, list[str]]) -> None:
    it, ways = straight

    class Used(LocalShell):
        def open(self, argv: Any, *, root: bool = False) -> Any:
            words = [*argv]
            used = "import errno,socket;socket.socket.bind=lambda *a:(_ for _ in ()).throw(OSError(errno.EADDRINUSE,'in use'))"
            words[3] = words[3].replace("import sys;", f"import sys;{used};")
            return super().open(words, root=root)

    assert travel(replace(it, target=Used())) == 2 * len(BODY)
    assert (read_same(it), ways) == (True, [f"{HERE}: in use"])


# who may give and take


def test_another_badge_is_neither_heard_nor_told_anything(straight: tuple[Way, list[str]]) -> None:
    """Somebody on the same wire finds the port, before the source comes and beside it."""
    it, ways = straight
    others: list[str] = []

    class Watched(Counting):
        def open(self, argv: Any, *, root: bool = False) -> Any:
            if argv[-1] == "give":  # the target listens by now
                (port,) = list_listeners(it.target.children[0].pid)  # type: ignore[attr-defined]
                for badge in (make_badge(), ""):
                    others.append(knock(port, badge))
            return super().open(argv, root=root)

    assert travel(replace(it, source=Watched())) == 2 * len(BODY)
    assert (read_same(it), ways) == (True, [""])
    assert others == ["refused", "refused"]


def knock(port: int, badge: str) -> str:
    """What becomes of a client with that badge, who believes any server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if badge:
        fd = os.memfd_create("badge")
        os.write(fd, badge.encode())
        context.load_cert_chain(f"/proc/self/fd/{fd}")
        os.close(fd)
    try:
        with context.wrap_socket(socket.create_connection((HERE, port), 30)) as line:
            line.sendall(b'{"size": 1, "data": 1}\n')
            return repr(line.recv(10)) if line.recv(1) else "refused"
    except OSError:
        return "refused"


def test_nothing_is_given_to_who_shows_another_badge() -> None:
    mine, other = make_badge(), make_badge()
    context = meet.make_context(other, server=True)
    context.verify_mode = ssl.CERT_NONE  # it would take anybody
    with socket.create_server((HERE, 0)) as door:

        def serve() -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(door.accept()[0], server_side=True).sendall(meet.WELCOME)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(OSError, match=r"(?i)certificate.verify.failed"):
            meet.call(HERE, door.getsockname()[1], mine)


def test_what_is_said_before_a_welcome_is_no_welcome() -> None:
    badge = make_badge()
    with socket.create_server((HERE, 0)) as door:

        def serve() -> None:
            with contextlib.suppress(OSError):
                meet.make_context(badge, server=True).wrap_socket(door.accept()[0], server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(OSError, match="does not let us in"):
            meet.call(HERE, door.getsockname()[1], badge)


def test_no_badge_is_seen_in_the_arguments_of_a_process(straight: tuple[Way, list[str]]) -> None:
    it, _ = straight
    said: list[str] = []
    travel(replace(it, source=LocalShell(on_run=said.append), target=LocalShell(on_run=said.append)))
    assert len(said) == 2
    assert not any("PRIVATE" in line or "CERT" in line for line in said)


# what dies in the middle


@pytest.fixture
def held(straight: tuple[Way, list[str]]) -> tuple[Way, list[str], Any, Any]:
    """A transfer that has begun straight and is slow; its two scripts."""
    it, ways = straight
    it = replace(it, source=Slow())
    return it, ways, it.source.children, it.target.children  # type: ignore[attr-defined]


def test_when_the_giver_is_killed_it_comes_through_here_from_where_it_was(held: Any) -> None:
    it, ways, givers, _ = held
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if done and not killed:
            killed.append(done)
            os.kill(givers[0].pid, signal.SIGKILL)

    assert 0 < travel(it, kill) < 2 * len(BODY)
    assert read_same(it)
    assert killed
    assert ways == ["", f"{HERE}: nothing came any more"]


def test_when_the_taker_is_killed_the_giver_ends_too_and_the_next_try_goes_on(held: Any) -> None:
    it, _, givers, takers = held

    def kill(done: int, total: int) -> None:
        if done:
            os.kill(takers[0].pid, signal.SIGKILL)

    with pytest.raises(ToolFailed, match="image x of h1 did not arrive"):
        travel(it, kill)
    assert givers[0].poll() is not None
    assert not target(it).exists()
    assert travel(it) < 2 * len(BODY)
    assert read_same(it)


DIE = """
import os, signal, sys
from tinycloud.drivers.travel import Way, travel
from tests.unit.drivers.test_travel_straight import Slow, Counting
it = Way(Slow(), sys.argv[1], Counting(), sys.argv[2], sys.argv[3], "image x of h1", at=sys.argv[4])
def die(done, total):
    if done:
        print(it.source.children[0].pid, it.target.children[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
travel(it, die)
"""


def test_when_the_controller_is_killed_both_end_and_the_next_try_goes_on(straight: tuple[Way, list[str]]) -> None:
    it, _ = straight
    died = subprocess.run([sys.executable, "-c", DIE, it.path, it.folder, it.sha, HERE], capture_output=True, text=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    wait_for(lambda: not any(is_alive(int(pid)) for pid in died.stdout.split()))
    assert 0 < part(it).stat().st_size < 100 * MIB
    assert 0 < travel(it) < 2 * len(BODY)
    assert read_same(it)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_when_the_controller_dies_before_they_met_nobody_goes_on_listening(straight: tuple[Way, list[str]]) -> None:
    it, _ = straight
    from tinycloud.drivers.travel import _Answers, _start

    args = {"folder": it.folder, "sha": it.sha, "card": "", "room": 0, "label": "x", "at": HERE}
    talk: Talk = _start(it.target, "take", args, make_badge())
    answers = _Answers(talk)
    assert answers.read(60) == {"begun": True}
    told = answers.read(60)
    child = it.target.children[0]  # type: ignore[attr-defined]
    assert list_listeners(child.pid) == [told["port"]]
    child.stdin.close()
    assert child.wait(60) != 0
    talk.kill()


def test_a_carried_disk_of_a_controller_that_died_leaves_nothing(straight: tuple[Way, list[str]], tmp_path: Path) -> None:
    it, _ = straight
    program = DIE.replace("import Way, travel", "import carry, Way").replace(
        "travel(it, die)", "carry((it.source, it.path), (it.target, it.folder + '/disk'), 'disk', die, at=it.at)"
    )
    died = subprocess.run([sys.executable, "-c", program, it.path, it.folder, it.sha, HERE], capture_output=True, text=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    wait_for(lambda: not any(is_alive(int(pid)) for pid in died.stdout.split()))
    assert os.listdir(tmp_path / "pool") == []
