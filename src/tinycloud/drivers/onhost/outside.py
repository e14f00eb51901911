"""Puts floating addresses on interfaces of this host, tells the neighbours, and lets the host itself use forwards as localhost.

Argument: ``{"metric": N, "addresses": [["198.51.100.10/32", "eth0"], …], "gone": [the same], "local": [bridges], "plain": [bridges]}``.
Done with ``{"added": [addresses], "absent": [interfaces and bridges that are not there]}``.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path
from typing import Any

NET = Path("/sys/class/net")
LOCAL = "/proc/sys/net/ipv4/conf/{}/route_localnet"


def main(args: dict[str, Any]) -> dict[str, Any]:
    absent = [name for _, name in args["addresses"] if not (NET / name).exists()]
    present = read_addresses()
    for address, name in args["gone"]:
        if present.get((ip_interface(address).ip, name)) == args["metric"]:
            ip("addr", "del", address, "dev", name)
    added = []
    for address, name in args["addresses"]:
        if name in absent or (ip_interface(address).ip, name) in present:
            continue
        more = ["nodad"] if ip_interface(address).version == 6 else []
        ip("addr", "replace", address, "dev", name, "metric", str(args["metric"]), *more)
        announce(name, ip_interface(address).ip)
        added.append(address)
    for value, bridges in (("1", args["local"]), ("0", args["plain"])):
        for bridge in bridges:
            try:
                Path(LOCAL.format(bridge)).write_text(value)
            except FileNotFoundError:
                absent.append(bridge)
    return {"added": added, "absent": sorted(set(absent))}


def ip(*words: str) -> bytes:
    done = subprocess.run(["ip", *words], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"ip {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def read_addresses() -> dict[tuple[IPv4Address | IPv6Address, str], Any]:
    """(address, interface) → its metric, None for one without."""
    links = json.loads(ip("-j", "addr", "show") or b"[]")
    items = ((link["ifname"], item) for link in links for item in link.get("addr_info", ()) if "local" in item)
    return {(ip_interface(item["local"]).ip, name): item.get("metric") for name, item in items}


def announce(name: str, address: IPv4Address | IPv6Address) -> None:
    """Tell who is on the wire where the address is from now on: a gratuitous ARP request, or an unsolicited neighbour advertisement.

    https://www.rfc-editor.org/rfc/rfc5227 (3), https://www.rfc-editor.org/rfc/rfc4861 (7.2.6). What is not Ethernet has no neighbours.
    """
    text = (NET / name / "address").read_text().strip()
    if (NET / name / "type").read_text().strip() != "1" or len(text) != 17:
        return
    mac = bytes.fromhex(text.replace(":", ""))
    frame = make_arp(mac, address.packed) if address.version == 4 else make_advert(mac, address.packed)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((name, 0))
            for _ in range(2):
                sender.send(frame)
    except OSError as err:  # the link is down: nobody is there to hear it
        print(f"{name}: {err}", file=sys.stderr)


def make_arp(mac: bytes, address: bytes) -> bytes:
    everybody, nobody = b"\xff" * 6, bytes(6)
    return everybody + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + address + nobody + address


def make_advert(mac: bytes, address: bytes) -> bytes:
    nodes = bytes.fromhex("ff020000000000000000000000000001")
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + address + struct.pack("!BB", 2, 1) + mac  # "override"
    pseudo = address + nodes + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return b"\x33\x33\x00\x00\x00\x01" + mac + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(body), 58, 255) + address + nodes + body


def checksum(text: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(text) // 2}H", text))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    print(json.dumps({"done": main(json.loads(sys.argv[1]))}))
