"""NICs of running machines: plugged in, set up by their guests, unplugged, while a TCP stream on another NIC goes on."""

from __future__ import annotations

from pathlib import Path

from tests.live.conftest import Bench

ONE = """
stack: nic
networks: {front: {subnet: 10.63.0.0/24}}
groups: {web: {count: 2, image: nano, memory: 128 MiB, networks: [front]}}
"""
TWO = """
stack: nic
networks: {front: {subnet: 10.63.0.0/24}, back: {subnet: 10.64.0.0/24, access: isolated}}
groups: {web: {count: 2, image: nano, memory: 128 MiB, networks: [front, back]}}
"""
ASK = "ip link set eth1 up; udhcpc -i eth1 -n -q -s /etc/nano/dhcp >/dev/null 2>&1; ip -4 -o addr show eth1"


def inside(bench: Bench, machine: str, script: str) -> str:
    return bench.run("exec", f"nic/{machine}", "--", "sh", "-c", script).out.strip()


def begin_stream(bench: Bench) -> None:
    """A line every fifth of a second from web-2 to web-1, in one connection."""
    inside(bench, "web-1", "tail -f /dev/null | nc -l -p 5000 >/tmp/stream 2>/dev/null &")
    send = "while sleep 0.2; do date; done | { nc web-1 5000; touch /tmp/broken; }"
    inside(bench, "web-2", f"({send}) </dev/null >/dev/null 2>&1 &")
    bench.wait_for(lambda: read_stream(bench) > 0)


def read_stream(bench: Bench) -> int:
    return int(inside(bench, "web-1", "wc -c </tmp/stream"))


def must_flow(bench: Bench) -> None:
    before = read_stream(bench)
    bench.wait_for(lambda: read_stream(bench) > before)
    assert inside(bench, "web-2", "ls /tmp") == "", "it never broke off"


def test_nics_and_networks_come_and_go_while_a_stream_goes_on(bench: Bench, tidy: dict[str, list[str]], tmp_path: Path) -> None:
    file = tmp_path / "nic.yaml"
    file.write_text(ONE)
    bench.run("up", str(file), "--yes")
    started = {ref: row["started"] for ref, row in bench.ls().items()}
    begin_stream(bench)
    file.write_text(TWO)
    bench.run("up", str(file), "--yes")
    assert bench.run("plan", str(file)).out.endswith("nothing to do.\n")
    assert [inside(bench, f"web-{n}", ASK).split()[3] for n in (1, 2)] == ["10.64.0.11/24", "10.64.0.12/24"]
    inside(bench, "web-1", "ping -c 2 -W 5 -I eth1 10.64.0.12")
    must_flow(bench)
    file.write_text(ONE)
    bench.run("up", str(file), "--yes")
    must_flow(bench)
    assert inside(bench, "web-1", "ls /sys/class/net").split() == ["eth0", "lo"]
    assert {ref: row["started"] for ref, row in bench.ls().items()} == started
    file.write_text(TWO)
    bench.run("up", str(file), "--yes")
    bench.run("reboot", "nic/web-2")
    bench.wait_for(lambda: has_second(bench), 120)
    bench.run("down", "nic", "--yes")


def has_second(bench: Bench) -> bool:
    """True when the guest itself has set up what its seed tells of by now."""
    return "1 packets received" in bench.call(["busybox", "ping", "-c", "1", "-W", "1", "10.64.0.12"]).out
