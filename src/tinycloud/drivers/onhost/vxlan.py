"""Devices that join a network's bridge to the same network on other hosts. Those whose names we do not know are never touched.

A device that is there and right is left alone, whatever else changes: hosts that come and go are entries of it, so that nobody who is
joined by it loses a packet.
"""

import contextlib
import json
import os
import shlex
import subprocess
from typing import Any, NamedTuple

PORT = 4789
ASK_LINKS = ["ip", "-j", "-d", "link", "show", "type", "vxlan"]
ASK_ENTRIES = ["bridge", "-j", "fdb", "show"]
EVERYBODY = "00:00:00:00:00:00"  # the entry for what goes to all: one for each of the other hosts


class Overlay(NamedTuple):
    """As of tinycloud.model.firewall.Overlay."""

    device: str
    bridge: str
    vni: int
    local: str
    peers: tuple[str, ...]
    mtu: int


def read_wanted(parts: list[dict[str, Any]]) -> list[Overlay]:
    """What parts, as of Part.as_dict, say; by device."""
    return sorted(
        {
            Overlay(name, bridge, vni, local, tuple(peers), mtu)
            for part in parts
            for name, bridge, vni, local, peers, mtu in part.get("overlays", ())
        }
    )


def read_present() -> dict[str, Overlay]:
    """Every VXLAN device, by name; ``bridge`` is empty for one that is a port of none."""
    links = ask(ASK_LINKS)
    return parse(links, ask(ASK_ENTRIES)) if any(links) else {}


def parse(links: list[dict[str, Any]], entries: list[dict[str, Any]]) -> dict[str, Overlay]:
    """From what is said to ASK_LINKS and ASK_ENTRIES."""
    return {link["ifname"]: make_overlay(link, entries) for link in links if "ifname" in link}


def make_overlay(link: dict[str, Any], entries: list[dict[str, Any]]) -> Overlay:
    """The number is 0 for one that is down, or has another port: it has to be made anew."""
    told = link.get("linkinfo", {}).get("info_data", {})
    local = told.get("local") or told.get("local6") or ""
    peers = tuple(sorted(it["dst"] for it in entries if (it.get("ifname"), it.get("mac")) == (link["ifname"], EVERYBODY) and "dst" in it))
    is_ours = told.get("port") == PORT and "UP" in link.get("flags", ())
    return Overlay(link["ifname"], link.get("master", ""), told.get("id", 0) if is_ours else 0, local, peers, link.get("mtu", 0))


def ask(argv: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(argv, capture_output=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout or b"[]") if done.returncode == 0 else []
    return found


def are_there(wanted: list[Overlay]) -> bool:
    """A device whose bridge is not there is a port of none, until libvirt makes that."""
    present = read_present()
    return all(present.get(it.device) == (it if has_bridge(it) else it._replace(bridge="")) for it in wanted)


def settle(gone: list[Overlay], wanted: list[Overlay]) -> list[list[str]]:
    """What is wanted is made so, what only ``gone`` wanted is removed. Returns (device, why) of those that could not be made."""
    if not gone and not wanted:
        return []
    present, names = read_present(), {it.device for it in wanted}
    for old in gone:
        if old.device in present and old.device not in names:
            run(["ip", "link", "del", old.device])
    return [[it.device, trouble] for it in wanted if (trouble := ensure(it, present.get(it.device)))]


def ensure(wanted: Overlay, present: Overlay | None) -> str:
    """Returns what is wrong, empty when it is there."""
    if present and (present.vni, present.local) != (wanted.vni, wanted.local):
        run(["ip", "link", "del", wanted.device])
        present = None
    if present is None:
        if trouble := run(make_add(wanted)):
            return trouble
        with contextlib.suppress(FileNotFoundError), open(make_switch(wanted), "w") as file:
            file.write("1")
        if trouble := run(make_up(wanted)):
            return trouble
    elif present.mtu != wanted.mtu:
        run(["ip", "link", "set", wanted.device, "mtu", str(wanted.mtu)])
    before = present.peers if present else ()
    trouble = "".join(run(make_entry("append", wanted, peer)) for peer in wanted.peers if peer not in before)
    if has_bridge(wanted) and (present is None or present.bridge != wanted.bridge):
        trouble += run(make_quick(wanted)) or run(make_port(wanted))
    for peer in before:
        if peer not in wanted.peers:
            run(make_entry("del", wanted, peer))
    return trouble


def has_bridge(it: Overlay) -> bool:
    return os.path.exists(f"/sys/class/net/{it.bridge}/bridge")


def run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{argv[0]} ended with status {done.returncode}"


def make_add(it: Overlay) -> list[str]:
    """Without an interface, so that packets go as the routes say, and in pieces where the wire is too small for a frame with its head."""
    options = ["id", str(it.vni), "dstport", str(PORT), "local", it.local]
    return ["ip", "link", "add", it.device, "mtu", str(it.mtu), "type", "vxlan", *options]


def make_switch(it: Overlay) -> str:
    """What keeps the device from saying anything of its own on the network."""
    return f"/proc/sys/net/ipv6/conf/{it.device}/disable_ipv6"


def make_up(it: Overlay) -> list[str]:
    return ["ip", "link", "set", it.device, "up"]


def make_entry(verb: str, it: Overlay, peer: str) -> list[str]:
    return ["bridge", "fdb", verb, EVERYBODY, "dev", it.device, "dst", peer]


def make_port(it: Overlay) -> list[str]:
    return ["ip", "link", "set", it.device, "master", it.bridge]


def make_quick(it: Overlay) -> list[str]:
    """A new port of a bridge with STP is deaf for four seconds: just as long as QEMU says where a machine is that has moved."""
    return ["ip", "link", "set", it.bridge, "type", "bridge", "stp_state", "0"]


def make_lines(it: Overlay) -> list[str]:
    """For a shell: the device when it is gone, and what a new bridge needs."""
    there, bridge = (shlex.quote(f"/sys/class/net/{name}") for name in (it.device, it.bridge))
    return [
        f"[ -e {there} ] || {{ {shlex.join(make_add(it))}; echo 1 >{shlex.quote(make_switch(it))}; {shlex.join(make_up(it))}; }}",
        *(shlex.join(make_entry("append", it, peer)) for peer in it.peers),
        f"[ -e {bridge} ] && {shlex.join(make_quick(it))} && {shlex.join(make_port(it))}",
    ]
