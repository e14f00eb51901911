"""What a person does with a machine: ssh, copy, console, screen, power, a machine without a file."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, Bench
from tests.live.console import talk

STACK = """
stack: use
networks: {lan: {subnet: 10.64.0.0/24}}
groups:
  box:
    count: 2
    image: nano
    memory: 128 MiB
    networks: [lan]
    guest:
      users: [{name: guest, password: secret-of-the-guest}]
"""


@pytest.fixture(scope="module")
def box(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    path = tmp_path_factory.mktemp("use") / "use.yaml"
    path.write_text(STACK)
    before = bench.snapshot()
    bench.run("up", str(path), "--yes")
    yield bench
    bench.run("down", str(path), "--yes")
    assert bench.snapshot() == before


def test_exec_gives_each_machine_its_line_and_the_worst_status(box: Bench) -> None:
    done = box.run("exec", "use/box", "--", "sh", "-c", "echo out; test $(hostname) = box-1 || exit 3", status=3)
    assert done.out == "box-1: out\nbox-2: out\n"


def test_ssh_hands_on_the_status_of_the_command(box: Bench) -> None:
    box.run("ssh", "use/box-1", "--", "exit 7", status=7)


def test_words_of_exec_arrive_as_they_are(box: Bench) -> None:
    assert box.run("exec", "use/box-1", "--", "echo", "a  b", "$HOME", "it's").out == "a  b $HOME it's\n"


def test_files_are_copied_both_ways(box: Bench, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(bytes(range(256)) * 400)
    box.run("cp", str(there), "use/box-1:/root/copy")
    box.run("cp", "use/box-1:/root/copy", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_a_machine_with_another_host_key_is_not_trusted(box: Bench) -> None:
    known = "/var/lib/tinycloud/keys/known"
    box.call(["mv", f"{known}/use-box-1", f"{known}/away"])
    box.call(["cp", f"{known}/use-box-2", f"{known}/use-box-1"])
    box.call(["sed", "-i", "s/^use-box-2/use-box-1/", f"{known}/use-box-1"])
    done = box.run("ssh", "use/box-1", "--", "true", status=255)
    box.call(["mv", f"{known}/away", f"{known}/use-box-1"])
    assert "Host key verification failed" in done.err
    box.run("ssh", "use/box-1", "--", "true")


def test_plain_ssh_uses_what_ssh_config_prints(box: Bench, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(box.run("ssh-config", "use").out)
    for name in ("use-box-1", "box-2.use", "box-2"):
        assert box.call(["ssh", "-F", str(config), name, "hostname"]).out == re.sub(r"^use-|\.use$", "", name) + "\n"


def test_the_inventory_reaches_machines_as_ansible_would(box: Bench) -> None:
    found = box.run("inventory", "--list").json
    assert found["use_box"]["hosts"] == ["use-box-1", "use-box-2"]
    facts = box.run("inventory", "--host", "use-box-2").json
    options = facts["ansible_ssh_common_args"].split()
    argv = ["ssh", *options, "-i", facts["ansible_ssh_private_key_file"], f"{facts['ansible_user']}@{facts['ansible_host']}", "hostname"]
    assert box.call(argv).out == "box-2\n"


def test_the_screen_is_where_vnc_says(box: Bench) -> None:
    host, port = box.run("vnc", "use/box-1").out.strip().split(":")
    script = f"import socket; s = socket.create_connection(('{host}', {port})); print(s.recv(12).decode())"
    assert box.call(["python3", "-c", script]).out.startswith("RFB 003.")


def test_show_prints_the_xml_and_the_command_line_that_runs_it(box: Bench) -> None:
    assert "<name>use-box-1</name>" in box.run("show", "use/box-1", "--xml").out
    said = box.run("show", "use/box-1", "--command").out
    assert "qemu-system" in said
    assert "use.box-1.disk-1.qcow2" in said


def test_a_machine_is_an_ordinary_process_of_the_host(box: Bench) -> None:
    assert box.call(["pgrep", "-cf", "guest=use-box-1"]).out.strip() == "1"


def test_power_verbs_do_what_they_say(box: Bench) -> None:
    def state() -> str:
        return str(box.ls()["use/box-2"]["state"])

    box.run("pause", "use/box-2")
    assert state() == "paused"
    box.run("ssh", "use/box-2", "--", "true", status=4)
    box.run("resume", "use/box-2")
    assert state() == "ready"
    box.run("stop", "use/box-2")
    assert state() == "stopped"
    box.run("pause", "use/box-2", status=4)
    box.run("start", "use/box-2")
    assert state() == "running"
    box.wait_for(lambda: _answers(box))
    before = box.run("ssh", "use/box-2", "--", "cat /proc/sys/kernel/random/boot_id").out
    box.run("reset", "use/box-2")
    box.wait_for(lambda: _answers(box) and box.run("ssh", "use/box-2", "--", "cat /proc/sys/kernel/random/boot_id").out != before)
    box.run("reboot", "use/box-2")
    box.run("stop", "use/box-2", "--force")
    assert state() == "stopped"


def _answers(box: Bench) -> bool:
    return box.call([str(ROOT / ".venv/bin/tinycloud"), "ssh", "use/box-2", "--", "true"]).status == 0


def test_up_starts_what_was_stopped(box: Bench) -> None:
    box.run("stop", "use/box-1", "--force")
    said = box.run("resume", "use/box-1", status=4).err
    assert "use/box-1 is stopped, not paused" in said


def test_the_console_logs_a_person_in_and_ctrl_bracket_leaves_it(box: Bench) -> None:
    box.run("start", "use/box-1")
    pid, terminal = pty.fork()
    if pid == 0:
        argv = box.host.make_argv([str(ROOT / ".venv/bin/tinycloud"), "console", "use/box-1"], folder="/")
        os.execvp(argv[0], argv)
    try:
        talk(terminal, "\r", "login:")
        talk(terminal, "guest\r", "Password:")
        talk(terminal, "secret-of-the-guest\r", "$")
        assert "guest" in talk(terminal, "id -un\r", "guest\r\n")
        os.write(terminal, b"\x1d")
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(terminal)


def test_a_machine_runs_without_a_file_and_goes_again(box: Bench) -> None:
    made = box.run(
        "run", "nano", "--memory", "128MiB", "--volume", "data:16MiB", "--run", "echo made > /root/made", "--json"
    ).out.splitlines()[-1]
    assert '"machine": "nano-1/vm-1"' in made
    assert box.run("ssh", "nano-1", "--", "cat /root/made; cat /sys/block/vdb/size").out == "made\n32768\n"
    box.run("down", "nano-1", "--yes")


def test_unknown_names_are_answered_with_the_nearest(box: Bench) -> None:
    assert 'did you mean "use/box-1"?' in box.run("ssh", "use/bax-1", "--", "true", status=2).err
    assert 'did you mean "pause"?' in box.run("paus", "use/box-1", status=2).err
