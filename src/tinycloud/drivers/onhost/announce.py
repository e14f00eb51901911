"""Tells the neighbours of this host where addresses are from now on, so that they do not go on sending elsewhere.

Argument: ``{"addresses": [["198.51.100.10/32", "eth0"], …]}``. Done with ``{"silent": [addresses whose link is down]}``.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path
from typing import Any

NET = Path("/sys/class/net")


def main(addresses: list[list[str]]) -> dict[str, Any]:
    return {"silent": [address for address, name in addresses if not announce(name, ip_interface(address).ip)]}


def announce(name: str, address: IPv4Address | IPv6Address) -> bool:
    """A gratuitous ARP request, or an unsolicited neighbour advertisement, twice; False when the link is down.

    https://www.rfc-editor.org/rfc/rfc5227 (3), https://www.rfc-editor.org/rfc/rfc4861 (7.2.6). What is not Ethernet has no neighbours.
    """
    text = (NET / name / "address").read_text().strip()
    if (NET / name / "type").read_text().strip() != "1" or len(text) != 17:
        return True
    mac = bytes.fromhex(text.replace(":", ""))
    frame = make_arp(mac, address.packed) if address.version == 4 else make_advert(mac, address.packed)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((name, 0))
            for _ in range(2):
                sender.send(frame)
    except OSError:
        return False
    return True


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
    print(json.dumps({"done": main(**json.loads(sys.argv[1]))}))
