"""What stands beside the tables of a firewall: switches of bridges, floating addresses, devices that join networks to other hosts."""

import contextlib
import json
import os
import subprocess
from typing import Any

from tinycloud.drivers.onhost import neighbours, vxlan

METRIC = "7432"  # tells the addresses that we put on an interface from all others; it orders nothing, for they have no network of their own

Plain = dict[str, Any]
"""A part, as of Part.as_dict."""


def collect(parts: list[Plain], word: str) -> set[Any]:
    """What all parts together say."""
    return {tuple(item) if isinstance(item, list) else item for part in parts for item in part.get(word, ())}


def list_switches(bridge: str) -> list[str]:
    """What has a bridge's frames pass the inet tables."""
    return [f"/sys/class/net/{bridge}/bridge/nf_call_{tables}" for tables in ("iptables", "ip6tables")]


def local_switch(bridge: str) -> str:
    return f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet"


def settle_links(gone: Plain, parts: list[Plain]) -> Plain:
    """What ``parts`` want is made so, what only ``gone`` wanted is taken back.

    Returns the addresses that are new (``added``), those whose interface is not there (``absent``), and the devices that could not be
    made (``unjoined``: device, why).
    """
    filtered, local, addresses = (collect(parts, word) for word in ("filtered", "local", "addresses"))
    for bridge in collect([gone], "filtered") - filtered:
        switch(list_switches(bridge), on=False)
    for bridge in collect([gone], "local") - local:
        switch([local_switch(bridge)], on=False)
    if filtered:
        ensure_bridge_filter()
    for bridge in filtered:
        switch(list_switches(bridge), on=True)
    for bridge in local:
        switch([local_switch(bridge)], on=True)
    done = settle_addresses(collect([gone], "addresses") - addresses, addresses)
    unjoined = vxlan.settle(vxlan.read_wanted([gone]), vxlan.read_wanted(parts))
    return done | {"unjoined": [*unjoined, *neighbours.settle(neighbours.read_wanted([gone]), neighbours.read_wanted(parts))]}


def find_lost(parts: list[Plain]) -> bool:
    """True when a device that a part wants is not there, or is another."""
    wanted = vxlan.read_wanted(parts)
    return bool(wanted) and not vxlan.are_there(wanted)


def settle_addresses(gone: set[Any], wanted: set[Any]) -> Plain:
    """An address that is there already stays as it is, and one that is not from us is not taken away."""
    present = read_addresses() if gone or wanted else {}
    for address, link in gone:
        if present.get((address, link)) == METRIC:
            subprocess.run(["ip", "addr", "del", address, "dev", link], capture_output=True, check=False)
    absent = sorted(it for it in wanted if not os.path.exists(f"/sys/class/net/{it[1]}"))
    added = sorted(it for it in wanted if it not in present and it not in absent)
    for address, link in added:
        subprocess.run(put_address(address, link), check=True)
    return {"added": added, "absent": absent}


def read_addresses() -> dict[tuple[str, str], str]:
    """(address/prefix, interface) → its metric."""
    links = json.loads(subprocess.run(["ip", "-j", "addr", "show"], capture_output=True, check=True).stdout or "[]")
    items = [(link["ifname"], it) for link in links for it in link.get("addr_info", ()) if "local" in it]
    return {(f"{it['local']}/{it['prefixlen']}", name): str(it.get("metric", "")) for name, it in items}


def put_address(address: str, link: str) -> list[str]:
    """An IPv6 address would be one that the host itself goes out by, were it not said to be out of use for that (preferred_lft 0)."""
    more = ["nodad", "preferred_lft", "0"] if ":" in address else []
    return ["ip", "addr", "replace", address, "dev", link, "metric", METRIC, *more]


def switch(paths: list[str], *, on: bool) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError), open(path, "w") as file:
            file.write("1" if on else "0")


def ensure_bridge_filter() -> None:
    """The kernel's part that bridges ask; loaded, it asks for all bridges unless told otherwise at once."""
    if not os.path.exists("/proc/sys/net/bridge"):
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
        switch([f"/proc/sys/net/bridge/bridge-nf-call-{tables}" for tables in ("iptables", "ip6tables", "arptables")], on=False)
