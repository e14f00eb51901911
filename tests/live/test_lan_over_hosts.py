"""One LAN over three hosts: who reaches whom, what stays on each host, hosts that join, and what is put back when it is gone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live import forger
from tests.live.conftest import Bench
from tests.live.frames import BROADCAST, End, arp, ether, icmp6, ip, ip6, make_honest, padded, udp
from tests.live.inside import a_lab
from tinycloud.model.names import make_bridge, make_gateway_mac, make_link_local, make_overlay

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = """
stack: lan
networks: {front: {subnet: 10.60.0.0/24}, whole: {subnet: 10.61.0.0/24, mtu: 1500}}
policies:
  site: {inbound: [{tcp: 22, from: host}, {icmp: true, from: network}, {tcp: 8080, from: {group: a}}]}
groups:
  a: {image: nano, memory: 128 MiB, networks: [front, whole], on: {host: local}}
  b: {image: nano, memory: 128 MiB, networks: [front, whole], policies: [site], on: {host: h2}}
"""
THIRD = "  c: {image: nano, memory: 128 MiB, networks: [front], on: {host: h3}}\n"
BRIDGE = make_bridge("lan", "front")
DEVICE = make_overlay(BRIDGE)
GATEWAY = End(make_gateway_mac("lan", "front"), "10.60.0.1", make_link_local(make_gateway_mac("lan", "front")))
MIB = 1024**2


@dataclass(frozen=True)
class Town:
    """Three hosts, the first of which is the controller; a-1 runs on it, b-1 on the second."""

    hosts: tuple[Bench, Bench, Bench]
    file: Path

    @property
    def here(self) -> Bench:
        return self.hosts[0]

    def up(self, text: str = STACK) -> list[str]:
        """The lines of the plan that was carried out."""
        self.file.write_text(text)
        argv = [sys.executable, "-m", "tinycloud", "plan", str(self.file)]
        plan = self.here.call(argv).out.splitlines()
        self.here.run("up", str(self.file), "--yes")
        return plan

    def sh(self, machine: str, command: str, status: int | None = 0) -> str:
        done = self.here.call([sys.executable, "-m", "tinycloud", "exec", f"lan/{machine}", "--", "sh", "-c", command])
        assert status in (None, done.status), f"{machine}: {command}: {done.status}\n{done.out}{done.err}"
        return done.out

    def pings(self, machine: str, target: str, wait: int = 10) -> bool:
        """True as soon as one comes back."""
        return "bytes from" in self.sh(machine, f"for n in $(seq {wait}); do ping -c 1 -W 1 {target} && exit; done", status=None)

    def fetch(self, machine: str, port: int, network: str = "front") -> int:
        """How many bytes of the file on b-1 come through a network."""
        address = self.find_end("b-1", network).address
        call = f"printf 'GET /big HTTP/1.0\\r\\n\\r\\n' | timeout 60 nc -w 5 {address} {port} >/tmp/answer"
        text = self.sh(machine, f"{call}; grep -a -i content-length: /tmp/answer; wc -c </tmp/answer", status=None).lower()
        return int(text.split("content-length:")[1].split()[0]) if int(text.split()[-1]) > MIB else 0

    def find_end(self, machine: str, network: str = "front") -> End:
        rows = self.here.run("network", "show", f"lan/{network}", "--json").json["machines"]
        row = next(row for row in rows if row["machine"] == f"lan/{machine}")
        return End(row["mac"], row["address"], make_link_local(row["mac"]))


@pytest.fixture(scope="module")
def town(nano_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with a_lab("lan-over-hosts", 3) as lab:
        made = Town(tuple(map(Bench, lab.hosts)), tmp_path_factory.mktemp("lan") / "lan.yaml")  # type: ignore[arg-type]
        for name in ("h2", "h3"):
            made.here.run("host", "add", f"root@{name}")
        made.here.run("image", "import", str(nano_file), "--name", "nano")
        made.up()
        made.sh(
            "b-1",
            f"mkdir -p /tmp/www && head -c {MIB} /dev/urandom >/tmp/www/big && httpd -p 8080 -h /tmp/www && httpd -p 8081 -h /tmp/www",
        )
        yield made


def test_machines_on_two_hosts_reach_each_other_by_name_and_every_gateway_its_own(town: Town) -> None:
    assert town.pings("a-1", "b-1")
    assert town.pings("b-1", "a-1.lan")
    for machine in ("a-1", "b-1"):
        assert town.pings(machine, GATEWAY.address)
        assert GATEWAY.mac in town.sh(machine, "arp -n")
        assert "mtu 1450" in town.sh(machine, "ip link show eth0")


def test_whole_streams_pass_and_rules_hold_across_hosts_as_why_says(town: Town) -> None:
    assert town.fetch("a-1", 8080) == MIB
    assert "mtu 1500" in town.sh("a-1", "ip link show eth1")
    assert town.fetch("a-1", 8080, "whole") == MIB, "larger than the wire, with the head of VXLAN: it goes in pieces"
    assert town.here.run("why", "lan/a-1", "--to", "lan/b-1", "--port", "tcp/8080", "--json").json["allowed"]
    told = town.here.run("why", "lan/a-1", "--to", "lan/b-1", "--port", "tcp/8081", "--json").json
    assert not told["allowed"]
    assert town.fetch("a-1", 8081) == 0


def list_frames(a: End, b: End) -> dict[str, str]:
    """What is the gateway's own, by name; a guest that learns from them learns nothing wrong."""
    every, v4, v6 = "33:33:00:00:00:01", 0x0800, 0x86DD
    frames = {
        "dhcp-call": (BROADCAST, a.mac, v4, ip("0.0.0.0", "255.255.255.255", udp(68, 67))),
        "dhcp-offer": (BROADCAST, a.mac, v4, ip(a.address, "255.255.255.255", udp(67, 68))),
        "dhcp-six": (every, a.mac, v6, ip6(a.local, "ff02::1", udp(547, 546), 17)),
        "arp-from-gateway": (BROADCAST, a.mac, 0x0806, arp(1, (GATEWAY.mac, GATEWAY.address), b.address)),
        "arp-to-gateway": (BROADCAST, a.mac, 0x0806, arp(1, (a.mac, a.address), GATEWAY.address)),
        "router": (every, a.mac, v6, ip6(a.local, "ff02::1", icmp6(134))),
        "where-is-a-router": (every, a.mac, v6, ip6(a.local, "ff02::1", icmp6(133))),
        "where-is-the-gateway": (every, a.mac, v6, ip6(a.local, "ff02::1", icmp6(135, GATEWAY.local))),
        "i-am-the-gateway": (every, a.mac, v6, ip6(a.local, "ff02::1", icmp6(136, GATEWAY.local))),
        "from-gateway-mac": (BROADCAST, GATEWAY.mac, v4, ip(a.address, b.address, udp(4000, 4000))),
        "stp": ("01:80:c2:00:00:00", a.mac, 0x88B5, bytes(50)),
    }
    return {name: padded(ether(*words, name)) for name, words in frames.items()}


@pytest.mark.parametrize(
    ("sender", "ear", "honest"),
    [("device", "tap", {"arp", "solicit", "advert"}), ("bridge", "device", {"arp", "ip", "ip6", "solicit", "advert"})],
    ids=["what another host lets pass is stopped on arrival", "nothing of it is sent"],
)
def test_what_is_the_gateways_own_does_not_pass_between_hosts(town: Town, sender: str, ear: str, honest: set[str]) -> None:
    """To the tap comes what the machine's policies let in, on top."""
    a, b = town.find_end("a-1"), town.find_end("b-1")
    here, there = town.hosts[:2]
    frames = {name: frame for name, frame in make_honest(a, b).items() if name in ("arp", "ip6", "solicit", "advert", "ip")}
    tap = next(name for name in there.call(["ls", f"/sys/class/net/{BRIDGE}/brif"]).out.split() if name != DEVICE)
    came = hear(there, {"tap": tap, "device": DEVICE}[ear], here, {"device": DEVICE, "bridge": BRIDGE}[sender], frames | list_frames(a, b))
    assert came == honest


def hear(there: Bench, ear: str, here: Bench, device: str, frames: dict[str, str]) -> set[str]:
    """Send frames on a device of one host; the names of those that came to a device of the other."""
    argv = there.host.make_argv([sys.executable, forger.__file__, "hear", ear], folder="/")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        for _ in range(2):
            done = here.call([sys.executable, forger.__file__, "send", device], input=json.dumps(list(frames.values())))
            assert done.status == 0, done.err
        out, _ = listener.communicate(timeout=60)
    return set(json.loads(out))


def test_a_host_that_joins_costs_nobody_a_connection(town: Town) -> None:
    """Nor a packet, on a bridge with policies: it would be rejected while libvirt puts its own rules back, were an address reserved in its XML."""
    town.sh("a-1", "ping -i 0.02 -c 20000 10.60.0.12 >/tmp/pings 2>&1 & echo $! >/tmp/ping.pid")
    plan = town.up(STACK + THIRD)
    assert any("also on h3" in line for line in plan)
    lost = town.sh("a-1", "kill -INT $(cat /tmp/ping.pid); sleep 1; tail -2 /tmp/pings")
    sent, came = map(int, re.findall(r"(\d+) packets", lost))
    assert sent > 100
    assert sent - came <= 1, f"at most the last one, on its way when it ended: {lost}"
    for machine, target in (("c-1", "a-1"), ("c-1", GATEWAY.address), ("a-1", "c-1"), ("b-1", "c-1")):
        assert town.pings(machine, target), f"{machine} → {target}"
    shown = town.here.run("network", "show", "lan/front", "--json").json
    assert sorted(shown["hosts"]) == ["h2", "h3", "local"]


def test_a_device_that_somebody_took_away_is_put_back_by_up_watch_and_libvirts_hook(town: Town) -> None:
    there, address = town.hosts[1], town.find_end("b-1").address  # by name it is found in the other network too
    there.call(["ip", "link", "del", DEVICE])
    assert not town.pings("a-1", address, wait=2)
    assert any("put back" in line for line in town.up(STACK + THIRD))
    assert town.pings("a-1", address)

    there.call(["ip", "link", "del", DEVICE])
    with town.here.start("watch", "--json") as watch:
        assert watch.stdout is not None
        said = next(line for line in watch.stdout if json.loads(line)["kind"] == "rules")
        watch.terminate()
    assert json.loads(said)["subject"] == "h2"
    assert town.pings("a-1", address)

    there.call(["ip", "link", "del", DEVICE])
    there.call(["/etc/libvirt/hooks/network.d/tinycloud", "lan-front", "started", "begin", "-"])
    assert town.pings("a-1", address)
    assert town.here.run("plan", str(town.file)).out.splitlines()[-1] == "nothing to do."


def test_a_host_that_is_left_has_nothing_of_it(town: Town) -> None:
    plan = town.up()
    assert any("no longer on h3" in line for line in plan)
    left = town.hosts[2]
    assert left.virsh("net-list", "--all", "--name").split() == []
    assert DEVICE not in left.call(["ip", "-br", "link"]).out
    assert "tinycloud" not in left.call(["nft", "list", "tables"]).out
    assert town.pings("a-1", "b-1")
    town.here.run("down", "lan", "--yes")
    for bench in town.hosts[:2]:
        assert DEVICE not in bench.call(["ip", "-br", "link"]).out
