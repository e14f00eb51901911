"""Machines move between two real hosts: with their memory, disks and connections; whatever is killed meanwhile, they are on exactly one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.conftest import Bench
from tests.live.inside import a_lab, fork, run_inside
from tinycloud.cloud import Cloud
from tinycloud.errors import Interrupted, TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tinycloud.engine.events import Event

STACK = """
stack: duo
networks: {front: {subnet: 10.66.0.0/24}}
groups:
  web: {image: nano, memory: 128 MiB, networks: [front], volumes: [{name: data, size: 32 MiB}]}
  peer: {image: nano, memory: 128 MiB, networks: [front], on: {host: local}}
"""
MIB = 1024**2
POOL = "/var/lib/libvirt/images/tinycloud"
slow = pytest.mark.skipif(not os.environ.get("TINYCLOUD_SLOW"), reason="takes minutes: make slow")
# what a guest does behind our back; nc ends when its input does, and the loop would when its shell is hung up on
LISTEN = 'setsid sh -c "sleep 9999 | nc -l -p 7000 > /tmp/got" > /dev/null 2>&1 < /dev/null &'
COUNT = "n=0; while true; do n=$((n+1)); echo $n; usleep 50000; done"
SPEAK = f"echo '{COUNT}' > /tmp/count; setsid sh -c \"sh /tmp/count | nc 10.66.0.11 7000\" > /dev/null 2>&1 < /dev/null &"
PING = 'setsid sh -c "ping -i 0.2 10.66.0.12 > /tmp/ping" > /dev/null 2>&1 < /dev/null &'


@pytest.fixture(scope="module")
def benches(nano_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Bench]]:
    """Two hosts; ``duo`` is up, all of it on the first."""
    with a_lab("migrate", 2) as lab:
        here, there = (Bench(host) for host in lab.hosts)
        here.run("host", "add", "root@h2")
        here.run("image", "import", str(nano_file), "--name", "nano")
        path = tmp_path_factory.mktemp("duo") / "duo.yaml"
        path.write_text(STACK)
        here.run("up", str(path), "--yes")
        if here.ls()["duo/web-1"]["host"] != "local":
            here.run("migrate", "duo/web-1", "local", "--yes")
        yield here, there


@pytest.fixture(autouse=True)
def _put_in_order(benches: tuple[Bench, Bench]) -> Iterator[None]:
    """Each test begins with the machine on the first host, and ends with it on exactly one, the other one clean."""
    here, there = benches
    yield
    where = here.ls()["duo/web-1"]["host"]
    bench, other = (here, there) if where == "local" else (there, here)
    assert "duo-web-1" in bench.virsh("list", "--all", "--name").split()
    assert list_left(other) == []
    if where != "local":
        here.run("migrate", "duo/web-1", "local", "--yes")


def list_left(bench: Bench) -> list[str]:
    """What a host has of the machine."""
    volumes = [name for name in bench.call(["ls", POOL]).out.split() if "web-1" in name or name.endswith(".part")]
    domains = [name for name in bench.virsh("list", "--all", "--name").split() if "web-1" in name]
    logs = [name for name in bench.call(["ls", "/var/log/libvirt/qemu"]).out.split() if name == "duo-web-1.console.log"]
    secrets = bench.virsh("secret-list").split()
    return [*volumes, *domains, *logs, *secrets]


def count_running(benches: tuple[Bench, Bench]) -> int:
    return sum("duo-web-1" in bench.virsh("list", "--state-running", "--name").split() for bench in benches)


def read_last(out: str) -> dict[str, Any]:
    """What the command says at the end."""
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    return last


def ask(bench: Bench, machine: str, words: str) -> str:
    return bench.run("exec", machine, "--", "sh", "-c", words).out


def test_a_connection_goes_on_while_its_machine_moves_there_and_back(benches: tuple[Bench, Bench]) -> None:
    here, there = benches
    rest = there.snapshot()
    ask(
        here,
        "duo/web-1",
        "echo kept > /tmp/kept; dd if=/dev/urandom of=/dev/vdb bs=1M count=4 2>/dev/null; sync; md5sum /dev/vdb > /tmp/sum",
    )
    ask(here, "duo/peer-1", f"{LISTEN} {PING} sleep 0.5")
    ask(here, "duo/web-1", f"{SPEAK} sleep 0.5")
    for target, source in (("h2", "local"), ("local", "h2")):
        begun = int(ask(here, "duo/peer-1", "tail -1 /tmp/got"))
        told = read_last(here.run("migrate", "duo/web-1", target, "--yes", "--json").out)
        assert (told["machine"], told["from"], told["to"], told["way"]) == ("duo/web-1", source, target, "live")
        assert 0 < told["downtime"] < 2
        row = here.ls()["duo/web-1"]
        assert (row["host"], row["state"]) == (target, "ready")
        assert int(ask(here, "duo/peer-1", f"while [ $(tail -1 /tmp/got) -lt {begun + 20} ]; do sleep 1; done; tail -1 /tmp/got")) > begun
    numbers = ask(here, "duo/peer-1", "killall -INT ping; sleep 0.5; cat /tmp/got").split()
    assert [int(it) for it in numbers] == list(range(1, len(numbers) + 1)), "every line came, once, in its order"
    lost = re.search(r"(\d+) packets transmitted, (\d+) packets received", ask(here, "duo/peer-1", "tail -3 /tmp/ping"))
    assert lost is not None
    assert int(lost[1]) - int(lost[2]) < 25, "no more than two moves' stillness and some moments"
    assert ask(here, "duo/web-1", "cat /tmp/kept; md5sum /dev/vdb | cmp - /tmp/sum && echo same").split() == ["kept", "same"]
    after = there.snapshot()
    assert {key: after[key] for key in ("domains", "networks", "links", "logs")} == {
        key: rest[key] for key in ("domains", "networks", "links", "logs")
    }
    assert "duo" not in " ".join(after["rules"])


def test_one_that_is_off_moves_with_its_disks_and_starts_there(benches: tuple[Bench, Bench]) -> None:
    here, _ = benches
    ask(here, "duo/web-1", "echo cold > /dev/vdb; sync")
    here.run("stop", "duo/web-1", "--force")
    told = read_last(here.run("migrate", "duo/web-1", "--yes", "--json").out)
    assert (told["to"], told["way"]) == ("h2", "cold")
    assert list_left(here) == []
    here.run("start", "duo/web-1")
    assert here.wait_for(lambda: try_to_ask(here, "head -c 4 /dev/vdb")) == "cold"
    assert count_running(benches) == 1


def try_to_ask(bench: Bench, words: str) -> str:
    done = bench.call([sys.executable, "-m", "tinycloud", "exec", "duo/web-1", "--", "sh", "-c", words])
    return done.out.strip() if done.status == 0 else ""


def move_and(do: Callable[[], None], at: str = "web-1:move") -> str:
    """Move the machine slowly, and do something as soon as bytes flow; returns the code of the error that came of it."""
    done: list[str] = []

    def hear(event: Event) -> None:
        if event.step == at and (event.kind == "part" or at != "web-1:move") and not done:
            done.append(event.text)
            do()

    try:
        with Cloud() as cloud:
            cloud.migrate("duo/web-1", "h2", bandwidth=8 * MIB, listener=hear)
    except TinycloudError as err:
        return err.kind if isinstance(err, Interrupted) else f"{err.kind}: {err.message} {err.facts}"
    return "moved"


def kill_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill_libvirtd(host: str) -> None:
    kill = "kill -9 $(cat /run/libvirtd.pid)"
    subprocess.run(["ssh", f"root@{host}", kill] if host != "h1" else ["sh", "-c", kill], check=True)


def in_a_child(work: Callable[[], Any]) -> bool:
    """True when it was killed."""
    child = fork()
    if child == 0:
        with suppress(BaseException):
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_ctrl_c_leaves_it_where_it_was(benches: tuple[Bench, Bench]) -> None:
    here, _ = benches
    assert run_inside(here.host, lambda: move_and(press_ctrl_c)) == "interrupted"
    assert here.ls()["duo/web-1"]["host"] == "local"
    assert count_running(benches) == 1


@pytest.mark.parametrize("at", ["web-1:move", pytest.param("web-1:arrive", marks=slow), "web-1:vacate"])
def test_after_a_kill_of_ours_it_is_where_both_hosts_say(benches: tuple[Bench, Bench], at: str) -> None:
    here, _ = benches
    assert run_inside(here.host, lambda: in_a_child(lambda: move_and(kill_ourselves, at)))
    assert count_running(benches) == 1
    here.run("resume", "duo", "--plain")
    assert count_running(benches) == 1
    assert here.ls()["duo/web-1"]["host"] == ("local" if at == "web-1:move" else "h2")


def bring_libvirtd_back(bench: Bench) -> None:
    bench.call(["libvirtd", "-d"])
    bench.wait_for(lambda: bench.call(["virsh", "-q", "uri"]).status == 0)


@pytest.mark.parametrize("which", ["h2", pytest.param("h1", marks=slow)])
def test_a_libvirtd_that_is_killed_meanwhile_is_waited_for_by_resume(benches: tuple[Bench, Bench], which: str) -> None:
    here, _ = benches
    said = run_inside(here.host, lambda: move_and(lambda: kill_libvirtd(which)))
    assert "libvirt" in said or "unreachable" in said, said
    bring_libvirtd_back(benches[which == "h2"])
    here.run("resume", "duo", "--plain")
    assert count_running(benches) == 1
    assert here.ls()["duo/web-1"]["host"] == "local"


@slow
def test_a_link_that_is_cut_meanwhile_is_given_up_and_mended_when_it_is_back(benches: tuple[Bench, Bench]) -> None:
    here, _ = benches
    switch = f"tc-{here.host.lab}"
    child = here.start("migrate", "duo/web-1", "h2", "--yes", "--json", "--bandwidth", "4 MiB")
    assert child.stdout is not None
    next(line for line in child.stdout if '"web-1:move"' in line and '"part"' in line)
    subprocess.run(["ip", "-n", switch, "link", "set", "h2", "down"], check=True)
    try:
        child.communicate(timeout=120)
        assert child.returncode == 1
        assert "duo-web-1" in here.virsh("list", "--state-running", "--name").split()
    finally:
        subprocess.run(["ip", "-n", switch, "link", "set", "h2", "up"], check=True)
    here.wait_for(lambda: here.call(["ssh", "root@h2", "true"]).status == 0)
    here.run("resume", "duo", "--plain")
    assert count_running(benches) == 1


def test_what_is_in_the_way_is_said_before_anything_is_touched(benches: tuple[Bench, Bench]) -> None:
    here, there = benches
    there.call(["nft", "add", "table", "inet", "shut"])
    there.call(["nft", "add", "chain", "inet", "shut", "in", "{ type filter hook input priority -200; }"])
    there.call(["nft", "add", "rule", "inet", "shut", "in", "tcp", "dport", "49152-49215", "drop"])
    try:
        err = here.run("migrate", "duo/web-1", "h2", "--yes", status=4).err
    finally:
        there.call(["nft", "delete", "table", "inet", "shut"])
    assert "cannot move to h2" in err
    assert "does not reach 198.18.0.2, ports 49152-49215" in err
    assert list_left(there) == []
