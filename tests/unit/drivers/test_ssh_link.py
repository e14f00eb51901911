"""The shared connection to a host: whom it trusts, what it survives, and what it says when there is none."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.far import Far, far_away, far_shell
from tinycloud.drivers.ssh_link import SshLink, ensure_private, make_control_folder, write_program
from tinycloud.errors import Missing, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with far_away(tmp_path_factory.mktemp("far")) as far:
        yield far


@pytest.fixture
def far(server: Far) -> Iterator[Far]:
    """The server, known by its key, as at first."""
    yield server
    server.configure()
    server.know((server.folder / "host_key.pub").read_text())


@pytest.fixture
def state(far: Far) -> Iterator[Path]:
    """A state folder with a name short enough for a socket, wherever the tests run; a connection made from it ends with the test."""
    with TemporaryDirectory(prefix="tc-", dir="/tmp") as folder:
        yield Path(folder)
        with suppress(FileNotFoundError):
            far.link(Path(folder)).end()


def find_master(state: Path) -> int:
    said = subprocess.run(["pgrep", "-f", f"ControlMaster=yes .*ControlPath={state}/ssh/"], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0])


def test_the_socket_is_for_its_owner_alone(far: Far, state: Path) -> None:
    far_shell(far, state).run(["true"])
    assert stat.S_IMODE((state / "ssh").stat().st_mode) == 0o700
    assert find_master(state)


def test_several_commands_and_several_shells_share_one_connection(far: Far, state: Path) -> None:
    far_shell(far, state).run(["true"])
    master = find_master(state)
    logins = (far.folder / "log").read_text().count("Accepted publickey")
    for _ in range(3):
        far_shell(far, state).run(["true"])
    assert (far.folder / "log").read_text().count("Accepted publickey") == logins
    assert find_master(state) == master


def test_a_socket_whose_client_is_gone_is_no_hindrance(far: Far, state: Path) -> None:
    shell = far_shell(far, state)
    shell.run(["true"])
    os.kill(find_master(state), signal.SIGKILL)
    assert [path for path in (state / "ssh").iterdir() if path.is_socket()], "kill -9 leaves it"
    assert shell.run(["echo", "again"]).text == "again\n"


def test_a_client_that_is_stuck_keeps_nobody_waiting(far: Far, state: Path) -> None:
    shell = far_shell(far, state)
    shell.run(["true"])
    stuck = find_master(state)
    os.kill(stuck, signal.SIGSTOP)
    try:
        assert shell.run(["echo", "again"], limit=20).text == "again\n"
    finally:
        os.kill(stuck, signal.SIGKILL)


def test_a_server_that_was_started_anew_is_reached_again(far: Far, state: Path) -> None:
    shell = far_shell(far, state)
    shell.run(["true"])
    far.stop()
    with pytest.raises(Unreachable, match=r'^host "far" \(far\) does not answer by ssh$') as caught:
        shell.run(["true"])
    assert "Connection refused" in caught.value.facts[-1]
    assert caught.value.hint == "look whether this works: ssh far true"
    far.start()
    assert shell.run(["echo", "again"]).text == "again\n"


def test_a_host_whose_key_is_not_known_is_never_trusted(far: Far, state: Path) -> None:
    far.know("")
    for strictness in ("ask", "no", "off"):
        far.configure(f"  StrictHostKeyChecking {strictness}\n")
        with pytest.raises(Unreachable) as caught:
            far_shell(far, state).run(["true"])
        assert caught.value.hint == "ssh far   (once by hand: compare its key, and say yes)"
        assert not (far.folder / "known").read_text()


def test_a_host_with_another_key_than_before_is_refused(far: Far, state: Path) -> None:
    far.know((far.folder / "key.pub").read_text())
    far.configure("  StrictHostKeyChecking no\n")
    with pytest.raises(Unreachable) as caught:
        far_shell(far, state).run(["true"])
    assert "Host key verification failed." in caught.value.facts


def test_who_is_not_let_in_is_told_how(far: Far, state: Path) -> None:
    far.configure("  IdentitiesOnly yes\n  IdentityFile /nowhere\n  PubkeyAuthentication no\n")
    with pytest.raises(Unreachable) as caught:
        far_shell(far, state).run(["true"])
    assert caught.value.hint.startswith("ssh-copy-id far, or ssh-add")
    assert caught.value.kind == "unreachable-host"


def test_a_name_that_nobody_knows_is_told(state: Path) -> None:
    link = SshLink("x", "no-such-host.invalid", state / "ssh")
    with pytest.raises(Unreachable) as caught:
        link.ensure()
    assert "Could not resolve hostname" in caught.value.facts[0]


def test_who_listens_hears_what_could_be_typed_here(far: Far, state: Path) -> None:
    heard: list[str] = []
    far_shell(far, state, heard.append).run(["cat", "a b"], input=b"hunter2", check=False)
    assert heard == ["ssh far -- 'cat '\"'\"'a b'\"'\"''"]
    done = subprocess.run(heard[0], shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == "cat: 'a b': No such file or directory\n"


def test_the_way_to_guests_leads_through_the_connection(far: Far, state: Path) -> None:
    shell = far_shell(far, state)
    shell.run(["true"])
    command = " ".join(shell.jump).replace("%h:%p", f"127.0.0.1:{far.port}")
    assert subprocess.run(["sh", "-c", f"exec {command} </dev/null"], capture_output=True, check=False).stdout.startswith(b"SSH-2.0")


def test_a_long_state_folder_has_its_sockets_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert make_control_folder(Path("/var/lib/tinycloud")) == Path("/var/lib/tinycloud/ssh")
    deep = tmp_path / ("x" * 80)
    folder = make_control_folder(deep)
    assert folder.parent == tmp_path
    assert folder != make_control_folder(deep / "other")


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Missing, match="is not ours"):
        ensure_private(tmp_path / "link")
    (tmp_path / "open").mkdir(mode=0o755)
    ensure_private(tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_program_is_whole_while_others_write_the_same(tmp_path: Path) -> None:
    program, text = tmp_path / "program", "#!/bin/sh\nexit 7\n"

    def use() -> tuple[str, int]:
        write_program(program, text)
        return program.read_text(), stat.S_IMODE(program.stat().st_mode)

    with ThreadPoolExecutor(4) as pool:
        ends = [pool.submit(use) for _ in range(100)]
    assert {end.result() for end in ends} == {(text, 0o700)}
    assert os.listdir(tmp_path) == ["program"]
