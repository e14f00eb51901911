"""What a host knows of machines in the networks that it routes into: their MACs, and which host they are on.

Nobody is asked for an address over the wire, and no packet goes to everybody because nobody said who it is for. An entry is no more than
the first word: it moves to where a machine is heard from, as when it has moved, and it does not age.
"""

import os
import subprocess
from typing import Any, NamedTuple

BRIDGE = ["bridge", "-force", "-batch", "-"]
IP = ["ip", "-force", "-batch", "-"]


class Neighbour(NamedTuple):
    """As of tinycloud.model.firewall.Neighbour."""

    device: str
    bridge: str
    mac: str
    peer: str
    addresses: tuple[str, ...]


def read_wanted(parts: list[dict[str, Any]]) -> list[Neighbour]:
    """What parts, as of Part.as_dict, say."""
    rows = (row for part in parts for row in part.get("neighbours", ()))
    return sorted({Neighbour(device, bridge, mac, peer, tuple(addresses)) for device, bridge, mac, peer, addresses in rows})


def settle(gone: list[Neighbour], wanted: list[Neighbour]) -> list[list[str]]:
    """What is wanted is made so, what only ``gone`` wanted is removed. Returns (device, why) of those that could not be told.

    A device or a bridge that is not there is told when it is.
    """
    there = set(os.listdir("/sys/class/net")) if gone or wanted else set()
    macs, addresses = {(it.device, it.mac) for it in wanted}, {(it.bridge, each) for it in wanted for each in it.addresses}
    old = [it for it in gone if it.peer and it.device in there and (it.device, it.mac) not in macs]
    lost = [(it.bridge, each) for it in gone for each in it.addresses if it.bridge in there and (it.bridge, each) not in addresses]
    run(BRIDGE, [f"fdb del {it.mac} dev {it.device}{where}" for it in old for where in ("", " master")])
    run(IP, [f"neigh del {address} dev {bridge}" for bridge, address in lost])
    here = [it for it in wanted if it.device in there and it.bridge in there]
    trouble = run(BRIDGE, make_entries(here)) or run(IP, make_neighbours(here))
    return [[here[0].device, trouble]] if trouble else []


def run(argv: list[str], lines: list[str]) -> str:
    """Returns what is wrong with the first line that is refused."""
    if not lines:
        return ""
    done = subprocess.run(argv, input="\n".join([*lines, ""]), capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith("Command failed")]
    return "" if done.returncode == 0 else (said or [f"{argv[0]} ended with status {done.returncode}"])[0]


def make_entries(wanted: list[Neighbour]) -> list[str]:
    """For ``bridge -batch``: to which port of the bridge, and to which host. Neither holds a machine fast that is heard from elsewhere."""
    far = [it for it in wanted if it.peer]
    ports = [f"fdb replace {it.mac} dev {it.device} master static" for it in far]
    return ports + [f"fdb replace {it.mac} dev {it.device} dst {it.peer} dynamic extern_learn" for it in far]


def make_neighbours(wanted: list[Neighbour]) -> list[str]:
    """For ``ip -batch``."""
    return [f"neigh replace {each} lladdr {it.mac} dev {it.bridge} nud permanent" for it in wanted for each in it.addresses]


def make_lines(wanted: list[Neighbour]) -> list[str]:
    """For a shell: all of it; what is not there is not told."""
    if not wanted:
        return []
    lines = []
    for argv, text in ((BRIDGE, make_entries(wanted)), (IP, make_neighbours(wanted))):
        lines += [f"{' '.join(argv)} >/dev/null 2>&1 <<'.'", *text, "."]
    return lines
