"""What access rules cost: a machine's start, a host with a thousand machines, throughput between guests.

``python -m bench.access WHAT`` inside a lab host prints one JSON value; the rows are put together outside.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.lab import Place
from bench.plan_scale import NoVault, make_world
from tinycloud.drivers.firewall.firewall import Firewall
from tinycloud.drivers.onhost.nft_text import difference, renew
from tinycloud.drivers.shell import LocalShell
from tinycloud.plan import plan_up
from tinycloud.source import parse_stack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.firewall import Part
    from tinycloud.model.plan import Plan

COUNT = 1000
ROUNDS = 7
STREAMS = 15
BYTES = 1024**3
MIB_OF_GUESTS = 16
Row = tuple[str, float, float, str, str]


def make_policies(many: int, rules: int) -> dict[str, Any]:
    """``many`` policies of ``rules`` inbound rules each; port 5000 is open to the network, last of all."""
    peers = ("anywhere", "network", "host", "198.51.100.0/24", {"group": "web"})
    made: dict[str, Any] = {}
    for n in range(many):
        lines = [{"tcp": 1000 + 100 * n + k, "from": peers[k % len(peers)]} for k in range(rules - 1)]
        made[f"p{n}"] = {"inbound": [*lines, {"tcp": 5000, "from": "network"}]}
    return made


def make_plan(count: int, policies: dict[str, Any]) -> Plan:
    """The plan of ``count`` machines that have all of these policies."""
    body = {
        "stack": "rules",
        "networks": {"lan": {"subnet": "10.97.0.0/19", "access": "isolated"}},
        "policies": policies,
        "groups": {"web": {"count": count, "image": "nano", "networks": ["lan"], "policies": list(policies)}},
    }
    return plan_up(parse_stack(json.dumps(body), "stack.yaml", {}, lambda _name: NoVault()), make_world())


def find_part(plan: Plan) -> Part:
    (part,) = [part for name, part in plan.parts.items() if name.endswith("/exact")]
    return part


# inside a lab host


def time_rules() -> dict[str, float]:
    """Seconds to apply the rules of a thousand machines, and those of one more; of these also what nft alone takes."""
    firewall, policies = Firewall(LocalShell()), make_policies(2, 10)
    parts = [find_part(make_plan(count, policies)) for count in (COUNT, COUNT + 1)]
    before, after = (json.loads(json.dumps(part.as_dict())) for part in parts)
    alls, ones, kernels = [], [], []
    for _ in range(3):
        alls.append(_time_apply(firewall, parts[0]))
        kernels.append(_time_nft([*difference(before, after, []), *renew(1)]))
        _time_nft(difference(after, before, []))
        ones.append(_time_apply(firewall, parts[1]))
        firewall.remove("rules")
    return {"all": min(alls), "one": min(ones), "nft": min(kernels)}


def _time_nft(lines: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(["nft", "-f", "-"], input="\n".join([*lines, ""]), text=True, check=True)
    return time.perf_counter() - began


def _time_apply(firewall: Firewall, part: Part) -> float:
    began = time.perf_counter()
    firewall.apply("rules", part)
    return time.perf_counter() - began


def time_throughput() -> dict[str, float]:
    """Bytes a second from one guest to another, without and with policies; a guest is a namespace behind a tap's name, and nobody emulates
    a network card: the most that rules can cost. Without policies there is still what keeps guests honest.
    """
    plain, ruled = make_plan(2, {}), make_plan(2, make_policies(3, 10))
    bridge, marks = ruled.networks["lan"].bridge, [wanted.mark for wanted in ruled.machines.values()]
    _ip(f"link add {bridge} type bridge", f"link set {bridge} up")
    for n, mark in enumerate(marks):
        nic = mark.spec.nics[0]
        _ip(f"netns add bench{n}", f"link add {mark.tap(nic)} type veth peer name eth0 address {nic.mac} netns bench{n}")
        _ip(
            f"link set {mark.tap(nic)} master {bridge} up",
            f"-n bench{n} addr add {nic.address}/19 dev eth0",
            f"-n bench{n} link set eth0 up",
        )
    firewall, address = Firewall(LocalShell()), str(marks[1].spec.nics[0].address)
    seen: dict[str, list[float]] = {"without": [], "ruled": []}
    try:
        for _ in range(STREAMS):
            for name, plan in zip(seen, (plain, ruled), strict=True):
                firewall.apply("rules", find_part(plan))
                seen[name].append(_time_stream(address))
    finally:
        firewall.remove("rules")
        _ip("netns del bench0", "netns del bench1", f"link del {bridge}")
    return {name: statistics.median(rounds) for name, rounds in seen.items()}


def _ip(*lines: str) -> None:
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)


_TAKE = """
import socket
server = socket.create_server(("", 5000))
print("ready", flush=True)
line, piece = server.accept()[0], bytearray(1 << 20)
while line.recv_into(piece):
    pass
line.send(b".")
"""
_GIVE = """
import socket, sys, time
line = socket.create_connection((sys.argv[1], 5000))
began, piece = time.perf_counter(), bytes(1 << 20)
for _ in range(int(sys.argv[2]) >> 20):
    line.sendall(piece)
line.shutdown(socket.SHUT_WR)
line.recv(1)
print(time.perf_counter() - began)
"""


def _time_stream(address: str) -> float:
    python = [sys.executable, "-I", "-c"]
    take = ["taskset", "-c", "1", "ip", "netns", "exec", "bench1", *python, _TAKE]
    with subprocess.Popen(take, stdout=subprocess.PIPE, text=True) as taker:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
        give = ["taskset", "-c", "0", "ip", "netns", "exec", "bench0", *python, _GIVE, address, str(BYTES)]
        seconds = float(subprocess.run(give, check=True, capture_output=True, text=True).stdout)
    return BYTES / seconds


# outside


def make_file(folder: Path, name: str, declared: dict[str, Any], **more: object) -> str:
    body = {
        "stack": name,
        "networks": {"lan": {"subnet": "10.91.0.0/24" if declared else "10.92.0.0/24", "access": "isolated"}},
        "policies": declared,
        "groups": {
            "web": {
                "image": "nano",
                "memory": "96 MiB",
                "networks": ["lan"],
                "policies": list(declared),
                "ready": "started",
                "stop_timeout": "1 s",
                **more,
            }
        },
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(body))
    return str(path)


def time_starts(place: Place, folder: Path) -> dict[str, float]:
    """Seconds that rules and start of a machine take together in an up, medians of rounds in turn."""
    files = {"ruled": make_file(folder, "ruled", make_policies(3, 10)), "plain": make_file(folder, "plain", {})}
    seen: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(ROUNDS):
        for name, file in files.items():
            seen[name].append(_sum_steps(place.tinycloud("up", file, "--yes", "--json").out.splitlines()))
            place.tinycloud("down", name, "--yes")
    return {f"{name}_start": statistics.median(rounds) for name, rounds in seen.items()}


_GUEST_TAKE = "mkfifo /tmp/open; exec 3<>/tmp/open; while :; do nc -l -p 5000 <&3; done >/dev/null 2>&1 &"
_GUEST_GIVE = "read a _ </proc/uptime; dd if=/dev/zero bs=64k count={} 2>/dev/null | nc {} 5000; read b _ </proc/uptime; echo $a $b"


def time_guests(place: Place, folder: Path) -> dict[str, float]:
    """Bytes a second from one guest to another, without and with policies that come and go while they run."""
    policies = make_policies(3, 10)
    policies["p0"]["inbound"].append({"tcp": 22, "from": "host"})
    for name, used in (("plain", []), ("ruled", list(policies))):
        (folder / name).mkdir()
        make_file(folder / name, "pair", policies, count=2, ready="ssh", policies=used)
    seen: dict[str, list[float]] = {"plain": [], "ruled": []}
    place.tinycloud("up", str(folder / "plain/pair.yaml"), "--yes")
    place.tinycloud("exec", "pair/web-2", "--", "sh", "-c", _GUEST_TAKE)
    (target,) = (row["address"] for row in json.loads(place.tinycloud("ls", "--json").out) if row["machine"] == "web-2")
    for _ in range(ROUNDS):
        for name, rounds in seen.items():
            place.tinycloud("up", str(folder / name / "pair.yaml"), "--yes")
            give = _GUEST_GIVE.format(16 * MIB_OF_GUESTS, target)
            began, ended = map(float, place.tinycloud("exec", "pair/web-1", "--", "sh", "-c", give).out.split()[-2:])
            rounds.append(MIB_OF_GUESTS / (ended - began))
    place.tinycloud("down", "pair", "--yes")
    return {f"{name}_guests": statistics.median(rounds) for name, rounds in seen.items()}


def _sum_steps(lines: Iterable[str]) -> float:
    """How long the steps took that start a machine: its rules before, and itself."""
    at: dict[tuple[str, str], float] = {}
    for event in map(json.loads, lines):
        if event.get("action") in ("firewall.apply", "machine.start"):
            at[event["kind"], event["step"]] = event["at"]
    return sum(ended - at["start", step] for (kind, step), ended in at.items() if kind == "done" and not step.endswith(":exact"))


def measure(place: Place, folder: Path) -> dict[str, float]:
    inside = {what: json.loads(place.time([sys.executable, "-m", "bench.access", what]).out) for what in ("rules", "throughput")}
    return {**inside["rules"], **inside["throughput"], **time_starts(place, folder), **time_guests(place, folder)}


def list_rows(seen: dict[str, float]) -> list[Row]:
    """What, seen, at most, unit, note."""
    more = 1000 * (seen["ruled_start"] - seen["plain_start"])
    starts = f"{1000 * seen['ruled_start']:.0f} ms against {1000 * seen['plain_start']:.0f} ms: rules and start, medians of {ROUNDS}"
    guests = f"{seen['ruled_guests']:.0f} MiB/s with, {seen['plain_guests']:.0f} MiB/s without; two guests, medians of {ROUNDS} in turn"
    speeds = f"{seen['ruled'] / 1024**3:.2f} GiB/s with, {seen['without'] / 1024**3:.2f} GiB/s without; medians of {STREAMS} in turn"
    return [
        ("start of a machine with three policies of ten rules, more than without", more, 30, "ms", starts),
        (f"rules of {COUNT:,} machines, 20 each, in one transaction", seen["all"], 1, "s", "process on the host and all"),
        (f"rules of one machine more beside {COUNT:,}: the transaction", seen["nft"], 0.05, "s", f"{seen['one']:.2f} s with our processes"),
        ("guest to guest with policies, as long as without", seen["plain_guests"] / seen["ruled_guests"], 1 / 0.95, "x", guests),
        ("the same between two namespaces on a bridge, the limit", seen["without"] / seen["ruled"], 1 / 0.95, "x", speeds),
    ]


if __name__ == "__main__":
    print(json.dumps({"rules": time_rules, "throughput": time_throughput}[sys.argv[1]]()))
