"""Networks with real guests: who gets out and who gets in; and that the rules stay, whatever happens to the host's firewall and libvirt."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Bench

OUTSIDE = "203.0.113.2"
FIRST = "10.77.0.11"
STACK = """
stack: wall
networks:
  front: {subnet: 10.77.0.0/24}
  site: {subnet: 10.78.0.0/24, access: routed}
  closed: {subnet: 10.79.0.0/24, access: isolated}
groups:
  closed: {image: nano, memory: 128 MiB, networks: [closed]}
  front: {image: nano, memory: 128 MiB, networks: [front]}
  site: {image: nano, memory: 128 MiB, networks: [site]}
"""
OPEN_OUTSIDE = f"""
ip netns add out
ip link add o0 type veth peer name eth0 netns out
ip addr add 203.0.113.1/24 dev o0
ip link set o0 up
ip -n out addr add {OUTSIDE}/24 dev eth0
ip -n out link set eth0 up
ip -n out link set lo up
"""


@pytest.fixture(scope="module")
def file(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stack, up, and a namespace that knows no way to its guests: who is not translated gets no answer from there."""
    path = tmp_path_factory.mktemp("wall") / "stack.yaml"
    path.write_text(STACK)
    assert bench.call(["sh", "-ec", OPEN_OUTSIDE]).status == 0
    bench.run("up", str(path), "--yes")
    yield path
    if bench.ls():
        bench.run("down", "wall", "--yes")


def gets_out(bench: Bench, machine: str = "front-1") -> bool:
    return bench.call([sys.executable, "-m", "tinycloud", "ssh", f"wall/{machine}", "--", f"ping -c1 -W2 {OUTSIDE}"]).status == 0


def list_marks(bench: Bench) -> list[str]:
    return re.findall(r'"([0-9a-f]{12})"', bench.call(["nft", "list", "set", "inet", "tinycloud", "parts"]).out)


def flush(bench: Bench) -> None:
    bench.call(["nft", "flush", "ruleset"])
    assert not list_marks(bench)


def restart_libvirt(bench: Bench) -> None:
    """What doctor says of libvirt's own rules, which a flush takes away too; without them libvirt starts no network."""
    bench.call(["sh", "-c", "kill $(cat /run/libvirtd.pid); while [ -e /run/libvirtd.pid ]; do sleep 0.1; done; libvirtd -d"])
    bench.wait_for(lambda: "LIBVIRT_FWI" in bench.call(["nft", "list", "chains"]).out)
    bench.wait_for(lambda: bench.virsh("uri"))


def test_a_network_lets_out_and_in_whom_its_access_says(bench: Bench, file: Path) -> None:
    assert gets_out(bench, "front-1"), "its address is translated"
    assert not gets_out(bench, "site-1"), "it has its own address outside, to which there is no way yet"
    assert not gets_out(bench, "closed-1")
    subnets = ("10.77.0.0/24", "10.78.0.0/24", "10.79.0.0/24")
    for subnet in subnets:
        bench.call(["ip", "-n", "out", "route", "add", subnet, "via", "203.0.113.1"])
    try:
        assert gets_out(bench, "site-1")
        for address, answers in ((FIRST, False), ("10.78.0.11", True), ("10.79.0.11", False)):
            done = bench.call(["ip", "netns", "exec", "out", "busybox", "ping", "-c1", "-W2", address])
            assert (done.status == 0) == answers, address
    finally:
        for subnet in subnets:
            bench.call(["ip", "-n", "out", "route", "del", subnet])


def test_what_was_flushed_is_seen_by_plan_and_doctor_and_an_up_puts_it_back(bench: Bench, file: Path) -> None:
    flush(bench)
    assert not gets_out(bench)
    (change,) = bench.run("plan", str(file), "--json", status=3).json["changes"]
    assert (change["kind"], change["name"], change["price"]) == ("access", "rules", "live")
    findings = {it["topic"]: it for it in bench.run("doctor", "--json", status=1).json}
    assert findings["access rules"]["state"] == "problem"
    assert findings["libvirt rules"]["state"] == "problem"
    restart_libvirt(bench)
    bench.run("up", str(file), "--yes")
    assert gets_out(bench)
    assert bench.run("plan", str(file)).out.rstrip().endswith("nothing to do.")


def test_a_watch_puts_back_what_was_flushed(bench: Bench, file: Path) -> None:
    flush(bench)
    watch = bench.start("watch")
    try:
        bench.wait_for(lambda: list_marks(bench))
    finally:
        bench.call(["pkill", "-INT", "-f", "tinycloud watch"])
        watch.communicate(timeout=60)


def test_libvirt_started_anew_puts_them_back_before_a_machine_starts_and_with_a_network(bench: Bench, file: Path) -> None:
    """Hooks are found when libvirtd starts, as it does with the host."""
    before = list_marks(bench)
    restart_libvirt(bench)
    assert list_marks(bench) == before, "they need no libvirt"
    assert gets_out(bench), "nor do machines"
    flush(bench)
    for words in (["destroy", "wall-closed-1"], ["start", "wall-closed-1"]):
        assert bench.call(["virsh", *words]).status == 0
    assert list_marks(bench) == before
    for words in (["destroy", "wall-site-1"], ["net-destroy", "wall-site"]):
        assert bench.call(["virsh", *words]).status == 0
    restart_libvirt(bench)
    bench.call(["nft", "delete table inet tinycloud; delete table bridge tinycloud"])
    assert bench.call(["virsh", "net-start", "wall-site"]).status == 0
    assert list_marks(bench) == before
    bench.run("up", str(file), "--yes")


def test_where_docker_drops_forwards_guests_get_out_and_where_another_table_drops_doctor_says_what_to_type(
    bench: Bench, file: Path
) -> None:
    bench.call(["sh", "-ec", "iptables -N DOCKER; iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER; iptables -P FORWARD DROP"])
    assert gets_out(bench)
    notes = {it["topic"]: it for it in bench.run("doctor", "--json", status=0).json}
    assert notes["table ip filter"]["state"] == "note"
    chain = "add table inet mine; add chain inet mine passing { type filter hook forward priority 5; policy drop; }"
    assert bench.call(["nft", chain]).status == 0
    assert not gets_out(bench)
    problems = {it["topic"]: it for it in bench.run("doctor", "--json", status=1).json}
    text = problems["table inet mine"]["text"]
    for command in text.partition("To let them pass: ")[2].split("; "):
        assert bench.call(["sh", "-c", command]).status == 0, command
    assert gets_out(bench)
    bench.call(["nft", "delete table inet mine"])
    bench.call(["sh", "-c", "iptables -P FORWARD ACCEPT; iptables -D FORWARD -j DOCKER-USER; iptables -X DOCKER-USER; iptables -X DOCKER"])


def test_a_down_leaves_nothing_of_it(bench: Bench, file: Path) -> None:
    bench.run("down", "wall", "--yes")
    assert "tinycloud" not in bench.call(["nft", "list", "tables"]).out
    places = ["/var/lib/tinycloud/firewall", "/etc/libvirt/hooks/qemu.d", "/etc/libvirt/hooks/network.d"]
    assert [bench.call(["test", "-e", place]).status for place in places] == [1, 1, 1]
