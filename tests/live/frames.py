"""Frames by hand: just enough of each protocol that a firewall knows what it is. Each carries its name, ``<name>``."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ether(target: str, source: str, kind: int, body: bytes, name: str) -> str:
    return (mac(target) + mac(source) + struct.pack("!H", kind) + body + f"<{name}>".encode()).hex()


def arp(operation: int, sender: tuple[str, str], target: str) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + mac(sender[0]) + socket.inet_aton(sender[1]) + bytes(6) + socket.inet_aton(target) + bytes(18)


def ip(source: str, target: str, body: bytes, protocol: int = 17) -> bytes:
    """With a name behind it that the length counts, for frames are cut to it."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body) + 40, 1, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target)
    )
    total = sum(struct.unpack("!10H", head))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", total) + head[12:] + body


def ip6(source: str, target: str, body: bytes, following: int = 58) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(body) + 40, following, 255)
    return head + IPv6Address(source).packed + IPv6Address(target).packed + body


def udp(source: int, target: int) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + 40, 0)


def icmp6(kind: int, about: str = "::") -> bytes:
    """The address that it is about follows eight bytes, as of neighbour discovery."""
    return struct.pack("!BBHI", kind, 0, 0, 0) + IPv6Address(about).packed


def padded(frame: str) -> str:
    """Long enough for what the heads say."""
    return frame + "00" * 60


@dataclass(frozen=True)
class End:
    mac: str
    address: str
    local: str
    """Its link-local address."""


def make_honest(me: End, other: End) -> dict[str, str]:
    """Frames that a guest may send, by name."""
    v4, v6, every = 0x0800, 0x86DD, "33:33:00:00:00:01"
    frames = {
        "ip": (other.mac, me.mac, v4, ip(me.address, other.address, udp(4000, 4000))),
        "arp": (BROADCAST, me.mac, 0x0806, arp(1, (me.mac, me.address), other.address)),
        "arp-probe": (BROADCAST, me.mac, 0x0806, arp(1, (me.mac, "0.0.0.0"), me.address)),
        "dhcp-discover": (BROADCAST, me.mac, v4, ip("0.0.0.0", "255.255.255.255", udp(68, 67))),
        "ip6": (other.mac, me.mac, v6, ip6(me.local, other.local, udp(4000, 4000), 17)),
        "solicit": (every, me.mac, v6, ip6(me.local, "ff02::1", icmp6(135, other.local))),
        "is-it-free": (every, me.mac, v6, ip6("::", "ff02::1", icmp6(135, me.local))),
        "advert": (every, me.mac, v6, ip6(me.local, "ff02::1", icmp6(136, me.local))),
        "where-is-a-router": (every, me.mac, v6, ip6(me.local, "ff02::1", icmp6(133))),
    }
    return {name: padded(ether(*words, name)) for name, words in frames.items()}


def make_forged(me: End, other: End, third: End) -> dict[str, str]:
    """Frames by which ``me`` says to ``other`` that it is ``third``, a router or a server; and one that hides from the inet tables by a
    VLAN tag, of number 0, which whoever gets it takes off.
    """
    v4, v6, every = 0x0800, 0x86DD, "33:33:00:00:00:01"
    frames = {
        "as-mac": (other.mac, third.mac, v4, ip(me.address, other.address, udp(4000, 4000))),
        "as-address": (other.mac, me.mac, v4, ip(third.address, other.address, udp(4000, 4000))),
        "as-both": (other.mac, third.mac, v4, ip(third.address, other.address, udp(4000, 4000))),
        "as-nobody": (other.mac, me.mac, v4, ip("0.0.0.0", other.address, udp(68, 67))),
        "arp-reply": (other.mac, me.mac, 0x0806, arp(2, (me.mac, third.address), other.address)),
        "arp-call": (BROADCAST, me.mac, 0x0806, arp(1, (me.mac, third.address), third.address)),
        "arp-mac": (other.mac, me.mac, 0x0806, arp(2, (third.mac, me.address), other.address)),
        "dhcp-server": (BROADCAST, me.mac, v4, ip(me.address, "255.255.255.255", udp(67, 68))),
        "as-address6": (other.mac, me.mac, v6, ip6(third.local, other.local, udp(4000, 4000), 17)),
        "as-global6": (other.mac, me.mac, v6, ip6("fd00::99", other.local, udp(4000, 4000), 17)),
        "advert-of-third": (every, me.mac, v6, ip6(me.local, "ff02::1", icmp6(136, third.local))),
        "router": (every, me.mac, v6, ip6(me.local, "ff02::1", icmp6(134))),
        "redirect": (other.mac, me.mac, v6, ip6(me.local, other.local, icmp6(137, third.local))),
        "dhcp-server6": (every, me.mac, v6, ip6(me.local, "ff02::1", udp(547, 546), 17)),
        "tagged": (other.mac, me.mac, 0x8100, struct.pack("!HH", 0, v4) + ip(me.address, other.address, udp(4000, 4000))),
        "another-protocol": (other.mac, me.mac, 0x88CC, bytes(40)),
    }
    return {name: padded(ether(*words, name)) for name, words in frames.items()}
