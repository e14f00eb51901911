"""Two networks of a stack that lead to each other over hosts, over a wire of IPv6, and what leads in from outside: through a live move."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.live import agent
from tests.live.conftest import Bench
from tests.live.inside import a_lab
from tinycloud.model.names import make_bridge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)
STACK = """
stack: way
networks:
  front: {subnet: 10.60.0.0/24, subnet6: 'fd00:60::/64'}
  back: {subnet: 10.61.0.0/24, subnet6: 'fd00:61::/64'}
policies:
  site:
    inbound: [{tcp: 8080, from: {group: a}}, {icmp: true, from: {group: a}}, {tcp: 8082}, {tcp: 22, from: host}]
    outbound: [{udp: 53}]
groups:
  a: {image: nano, memory: 128 MiB, networks: [front], on: {host: local}}
  b: {image: nano, memory: 128 MiB, networks: [back], policies: [site], on: {role: far}}
forwards: [{host_port: 8082, to: b-1}]
floating: [{address: 198.18.0.100, to: b-1, interface: eth0}]
"""
FLOAT = "198.18.0.100"
COUNT = "i=0; while true; do i=$((i+1)); echo $i; usleep 50000; done"


@dataclass(frozen=True)
class Town:
    """a-1 is on the first host, b-1 on the second; the hosts know each other by IPv6."""

    hosts: tuple[Bench, Bench, Bench]

    @property
    def here(self) -> Bench:
        return self.hosts[0]

    def sh(self, machine: str, command: str) -> str:
        return self.here.call([sys.executable, "-m", "tinycloud", "exec", f"way/{machine}", "--", "sh", "-c", command]).out

    def check_ways(self) -> None:
        """What ``why`` says is what packets do."""
        six = self.here.run("why", "way/a-1", "--to", "way/b-1", "--port", "icmp", "--json")
        assert six.json["allowed"]
        assert self.here.run("why", "way/a-1", "--to", "way/b-1", "--port", "tcp/8080", "--json").json["allowed"]
        assert not self.here.run("why", "way/a-1", "--to", "way/b-1", "--port", "tcp/8081", "--json").json["allowed"]
        assert not self.here.run("why", "way/b-1", "--to", "way/a-1", "--port", "icmp", "--json").json["allowed"]
        tries = "nc -w 5 10.61.0.11 8080 </dev/null | head -1; echo; nc -w 2 10.61.0.11 8081 </dev/null | head -1"
        told = self.sh("a-1", f"ping -c 1 -W 5 10.61.0.11; ping -6 -c 1 -W 5 b-1; ping -c 1 -W 5 -s 1400 b-1.way; {tries}")
        assert told.count("1 packets received") == 3, told
        assert told.splitlines()[-2:] == ["1", ""], told
        assert "0 packets received" in self.sh("b-1", "ping -c 1 -W 2 10.60.0.11")


def list_hosts(bench: Bench, network: str) -> set[str]:
    return set(bench.run("network", "show", f"way/{network}", "--json").json["hosts"])


@pytest.fixture(scope="module")
def town(nano_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with a_lab("crossing", 3) as lab:
        made = Town(tuple(map(Bench, lab.hosts)))  # type: ignore[arg-type]
        for number, bench in enumerate(made.hosts, start=1):
            bench.call(["ip", "addr", "add", f"fd18::{number}/64", "dev", "eth0", "nodad"])
        made.here.run("host", "set", "local", "--address", "fd18::1")
        made.here.run("image", "import", str(nano_file), "--name", "nano")
        path = tmp_path_factory.mktemp("way") / "way.yaml"
        path.write_text(STACK)
        made.here.run("host", "add", "root@h2", "--address", "fd18::2", "--label", "role=far")
        made.here.run("up", str(path), "--yes")
        made.here.run("host", "add", "root@h3", "--address", "fd18::3", "--label", "role=far")
        serve = "(nc -ll -p 8080 -e sh /tmp/count & nc -ll -p 8081 -e sh /tmp/count & nc -ll -p 8082 -e cat &) >/dev/null 2>&1"
        made.sh("b-1", f"echo '{COUNT}' >/tmp/count; {serve} </dev/null")
        yield made


def test_networks_of_a_stack_lead_to_each_other_over_hosts_as_why_says_and_through_a_live_move(town: Town) -> None:
    town.check_ways()
    assert list_hosts(town.here, "back") == list_hosts(town.here, "front") == {"local", "h2"}
    assert "mtu 1430" in town.sh("a-1", "ip link show eth0"), "VXLAN over IPv6 takes 70 bytes"
    town.sh("a-1", "(sleep 999 | nc 10.61.0.11 8080 >/tmp/got 2>&1 &) ; sleep 0.5")
    outside = connect(town.here, FLOAT)
    assert echo(outside, "before") == "before"

    town.here.run("migrate", "way/b-1", "h3", "--yes")

    begun = int(town.sh("a-1", "tail -1 /tmp/got"))
    assert echo(outside, "after") == "after", "a floating address takes its connections along"
    last = int(town.sh("a-1", f"for n in $(seq 100); do [ $(tail -1 /tmp/got) -gt {begun} ] && break; sleep 0.2; done; tail -1 /tmp/got"))
    assert last > begun, "who only sends goes on, though its rules let it begin nothing"
    town.check_ways()
    outside.kill()
    outside.communicate()
    for address, answers in ((FLOAT, True), ("198.18.0.3", True), ("198.18.0.2", False)):
        assert ask(town.here, address) is answers, address


def test_hosts_have_what_leads_to_their_machines_and_no_more(town: Town) -> None:
    assert list_hosts(town.here, "back") == list_hosts(town.here, "front") == {"local", "h3"}
    left = town.hosts[1]
    assert left.virsh("net-list", "--all", "--name").split() == []
    assert "tx-" not in left.call(["ip", "-br", "link"]).out
    known = town.here.call(["ip", "neigh", "show", "dev", make_bridge("way", "back"), "nud", "permanent"]).out
    assert "10.61.0.11" in known
    town.here.run("host", "set", "local", "--label", "role=far")
    town.here.run("migrate", "way/b-1", "local", "--yes")
    town.here.run("host", "remove", "h3")
    assert town.here.call(["ip", "neigh", "show", "nud", "permanent"]).out == "", "on one host everybody is asked"


def connect(bench: Bench, address: str) -> subprocess.Popen[str]:
    """A connection that stays, from a host."""
    argv = bench.host.make_argv([sys.executable, "-I", agent.__file__, "stream", address, "8082"], folder="/")
    made = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


def echo(stream: subprocess.Popen[str], word: str) -> str:
    assert stream.stdin is not None
    assert stream.stdout is not None
    stream.stdin.write(f"{word}\n")
    stream.stdin.flush()
    return stream.stdout.readline().strip()


def ask(bench: Bench, address: str) -> bool:
    """Is there an answer at a new connection?"""
    argv = [sys.executable, "-I", agent.__file__, "stream", address, "8082"]
    return bench.call(argv, input="hello\n").out.splitlines() == ["ready", "hello"]
