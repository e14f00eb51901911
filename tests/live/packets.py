"""A host, the machines of a world and somebody outside as network namespaces: real packets through real nftables, without any guest.

Nothing of it touches the machine's own namespace. A machine's NIC is a veth with its tap's name, MAC and address, on its network's bridge.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.nft import BASE, INET
from tinycloud.plan.ends import list_subnets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.model.world import Machine, Network, World

AGENT = str(Path(__file__).with_name("agent.py"))
OUTSIDE = "203.0.113.5"
_GATE = "203.0.113.1"
TCP = ("22", "80", "443", "5432")
UDP = ("53", "5000")


@dataclass
class Town:
    """Namespaces ``PREFIX-…``; :meth:`close` removes them with all that runs in them."""

    world: World
    prefix: str
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    def make(cls, world: World) -> Town:
        """A closed one, of this process; what killed processes left is removed."""
        for line in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.splitlines():
            owner = re.match(r"tcn(\d+)-\S+", line)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                subprocess.run(["ip", "netns", "del", owner[0]], check=False)
        return cls(world, f"tcn{os.getpid()}")

    def open(self) -> None:
        self._make(self.namespaces)
        self._sh("host", self._host_lines())
        self._sh("outside", [f"ip addr add {OUTSIDE}/24 dev eth0", "ip link set eth0 up", f"ip route add default via {_GATE}"])
        for machine in self.world.machines:
            self._sh(machine.ref, self._machine_lines(machine))
        servers = [self._start(name, "serve", *TCP, "--", *UDP) for name in self.namespaces]
        for server in servers:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", self.namespaces[name]], capture_output=True, check=False)

    @property
    def namespaces(self) -> dict[str, str]:
        """End of a question → its namespace."""
        ends = ["host", "outside", *(machine.ref for machine in self.world.machines)]
        return {end: f"{self.prefix}-{end.replace('/', '.')}" for end in ends}

    def _make(self, names: dict[str, str]) -> None:
        for name in names.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
            lines = ["ip link set lo up", "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.icmp_ratelimit=0"]
            subprocess.run(["ip", "netns", "exec", name, "sh", "-ec", "\n".join(lines)], check=True)

    def _host_lines(self) -> list[str]:
        """The host with its bridges, and the other end of each NIC in the machine's namespace."""
        lines = ["sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0"]
        lines += ["sysctl -qw net.ipv6.conf.all.forwarding=1"]
        for network in self.world.networks:
            lines += [f"ip link add {network.bridge} type bridge"]
            for subnet in map(ip_network, list_subnets(network)):
                lines += [f"ip addr add {subnet[1]}/{subnet.prefixlen} dev {network.bridge}"]
            lines += [f"ip link set {network.bridge} up"]
        for machine in self.world.machines:
            for n, nic in enumerate(machine.mark.spec.nics):
                tap = machine.mark.tap(nic)
                lines += [f"ip link add {tap} type veth peer name eth{n} address {nic.mac} netns {self.namespaces[machine.ref]}"]
                lines += [f"ip link set {tap} master {self._network(machine, nic.network).bridge} up"]
        lines += [f"ip link add eth0 type veth peer name eth0 netns {self.namespaces['outside']}"]
        return [*lines, f"ip addr add {_GATE}/24 dev eth0", "ip link set eth0 up"]

    def _machine_lines(self, machine: Machine) -> list[str]:
        lines = []
        for n, nic in enumerate(machine.mark.spec.nics):
            lines += [f"ip link set eth{n} up"]
            for subnet, address in zip(list_subnets(self._network(machine, nic.network)), (nic.address, nic.address6), strict=False):
                net = ip_network(subnet)
                lines += [f"ip addr add {address}/{net.prefixlen} dev eth{n}"]
                lines += [] if nic.side else [f"ip route add default via {net[1]} dev eth{n}"]
        return lines

    def _network(self, machine: Machine, name: str) -> Network:
        return self.world.networks_by_ref[f"{machine.mark.stack}/{name}"][0]

    def _sh(self, end: str, lines: Iterable[str]) -> None:
        subprocess.run(["ip", "netns", "exec", self.namespaces[end], "sh", "-ec", "\n".join(lines)], check=True)

    def _start(self, end: str, *words: str) -> subprocess.Popen[str]:
        argv = ["ip", "netns", "exec", self.namespaces[end], sys.executable, "-I", AGENT, *words]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    # what tests do with it

    def load(self, text: str, bridges: Iterable[str]) -> None:
        """Apply one transaction to the host; frames of ``bridges`` come before its rules."""
        subprocess.run(["ip", "netns", "exec", self.namespaces["host"], "nft", "-f", "-"], input=text, text=True, check=True)
        self._sh("host", [f"ip link set {bridge} type bridge nf_call_iptables 1 nf_call_ip6tables 1" for bridge in sorted(bridges)])

    def list_table(self) -> dict[str, Any]:
        """The inet table of the host, as nft tells programs of it."""
        argv = ["ip", "netns", "exec", self.namespaces["host"], "nft", "-j", "-t", "list", "table", *INET.split()]
        told: dict[str, Any] = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
        return told

    def ask(self, questions: Sequence[tuple[str, str, str, int, bool]]) -> list[bool]:
        """Were they answered? Each is (source, address, protocol, port, hoped for); all are asked at the same time."""
        numbered: dict[str, list[list[object]]] = {}
        for number, (source, *rest) in enumerate(questions):
            numbered.setdefault(source, []).append([number, *rest])
        asking = {source: self._start(source, "ask") for source in numbered}
        for source, process in asking.items():
            assert process.stdin is not None
            process.stdin.write(json.dumps(numbered[source]))
            process.stdin.close()
            process.stdin = None
        answered = {number for process in asking.values() for number in json.loads(process.communicate(timeout=90)[0])}
        return [number in answered for number in range(len(questions))]

    def hold(self, source: str, address: str, port: int) -> Stream:
        """A TCP connection that stays."""
        return Stream(self._start(source, "stream", address, str(port)))


@dataclass
class Stream:
    process: subprocess.Popen[str]

    def __post_init__(self) -> None:
        assert self.hear() == "ready"

    def echo(self, word: str) -> str:
        """What comes back."""
        self.say(word)
        return self.hear()

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    @property
    def has_answer(self) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], 0)[0])


def read_base() -> str:
    return BASE.read_text()
