"""Labs: several hosts, several labs, and nothing left of them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live.inside import a_lab
from tinycloud.errors import Clash, Missing, NotFound
from tinycloud.lab import Lab, get_lab, list_labs, open_lab
from tinycloud.lab.lab import FOLDER

WORK = ("ip", "-br", "link"), ("iptables", "-S"), ("nft", "list", "ruleset")


def own_state() -> list[str]:
    """This machine's own links, firewall, mounts and namespaces: what no lab may touch."""
    told = [subprocess.run(argv, capture_output=True, text=True, check=False).stdout for argv in WORK]
    return [
        *told,
        Path("/proc/self/mounts").read_text().replace("nsfs /run/netns", ""),
        str(sorted(os.listdir("/run/libvirt")) if Path("/run/libvirt").exists() else []),
    ]


def traces(name: str) -> list[str]:
    """What is left of a lab: namespaces, processes, files."""
    namespaces = [p.name for p in Path("/run/netns").glob(f"tc-{name}*")] if Path("/run/netns").exists() else []
    processes = [
        line
        for line in subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout.splitlines()
        if f"/{name}/h" in line
    ]
    return [*namespaces, *processes, *map(str, FOLDER.glob(name))]


def run(lab: Lab, host: str, *argv: str) -> str:
    words = lab.get_host(host).make_argv(argv, folder="/")
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_two_hosts_have_libvirt_and_ssh_of_their_own_and_reach_each_other() -> None:
    before = own_state()
    with a_lab("pair", 2) as lab:
        assert run(lab, "h1", "hostname") == "h1\n"
        assert run(lab, "h1", "ssh", "h2", "hostname") == "h2\n"
        assert "qemu+ssh://h2/system" in run(lab, "h1", "virsh", "-c", "qemu+ssh://h2/system", "uri")
        uuids = {run(lab, host, "virsh", "capabilities").split("<uuid>")[1][:36] for host in ("h1", "h2")}
        assert len(uuids) == 2
        assert own_state()[1:3] == before[1:3]
    assert traces(lab.name) == []
    assert own_state() == before


def test_ctrl_c_is_for_the_command_inside_and_the_person_waits_for_its_end() -> None:
    with a_lab("ctrl-c") as lab:
        argv = [sys.executable, "-m", "tinycloud", "--lab", lab.name, "watch"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        with child:
            assert child.stdout is not None
            assert "Ctrl-C ends it" in child.stdout.readline()
            os.killpg(child.pid, signal.SIGINT)
            assert child.wait(60) >= 0, "what stands between was ended by it, and the command goes on"
        left = lab.hosts[0].make_argv(["pgrep", "-f", "tinycloud --lab"], folder="/")
        assert subprocess.run(left, check=False).returncode == 1


def test_labs_stand_side_by_side_and_go_alone() -> None:
    with a_lab("one") as one, a_lab("two") as two:
        run(one, "h1", "virsh", "net-create", _net("lan"))
        assert run(two, "h1", "virsh", "-q", "net-list", "--all") == ""
        one.close()
        assert traces(one.name) == []
        assert run(two, "h1", "virsh", "uri") == "qemu:///system\n\n"
        assert {lab.name for lab in list_labs()} >= {two.name}


def _net(name: str) -> str:
    path = Path(f"/tmp/{name}-{os.getpid()}.xml")
    path.write_text(f"<network><name>{name}</name><bridge name='{name}0'/><ip address='10.99.0.1' prefix='24'/></network>")
    return str(path)


def test_a_lab_that_is_open_is_given_again_and_another_size_refused() -> None:
    with a_lab("again") as lab:
        assert open_lab(lab.name, 1) == get_lab(lab.name)
        with pytest.raises(Clash, match="has 1 hosts"):
            open_lab(lab.name, 2)


@pytest.mark.parametrize("delay", [0.02, 0.08, 0.15])
def test_after_a_killed_lab_up_lab_down_leaves_nothing(delay: float) -> None:
    name = f"t-killed-{os.getpid()}"
    child = subprocess.Popen([sys.executable, "-m", "tinycloud", "lab", "up", "--name", name, "--hosts", "3"], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not (FOLDER / name).exists() and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(delay)  # where in its work it is killed is the point of this test
    child.send_signal(signal.SIGKILL)
    child.wait()
    subprocess.run([sys.executable, "-m", "tinycloud", "lab", "down", "--name", name], check=True, stdout=subprocess.DEVNULL)
    assert traces(name) == []


def test_a_host_whose_first_process_dies_is_gone_with_all_it_ran() -> None:
    with a_lab("init") as lab:
        host = lab.get_host("h1")
        from tinycloud.lab.processes import find_init, list_in_namespace

        pid = find_init(host.namespace)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 10
        while list_in_namespace(host.namespace):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert not host.running


def test_an_unknown_lab_is_answered_with_the_nearest() -> None:
    with a_lab("known") as lab, pytest.raises(NotFound) as caught:
        get_lab(lab.name[:-1] + "x")
    assert lab.name in caught.value.hint


def test_without_root_a_lab_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match="a lab needs root"):
        open_lab("nobody", 1)
