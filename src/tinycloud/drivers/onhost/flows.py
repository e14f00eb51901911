"""Connections of a machine, as the kernel's connection tracking has them: read on the host that it leaves, put in where it has come to.

Arguments: ``do``: ``read`` or ``write``; ``addresses`` of the machine, ``floating``: those by which it is known outside. To be written
are DATA. Done with ``{"flows": [[family, hex], …]}``, or ``{"written": how many}``.

A connection whose address somebody translates stays behind, but for a floating address, which comes along. Formats: linux/netlink.h,
linux/netfilter/nfnetlink_conntrack.h. ``struct.pack`` without padding is enough, for each attribute starts at a multiple of four.
"""

import ipaddress
import json
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

NETFILTER, NEW, GET = 12, 1 << 8, 1 << 8 | 1
REQUEST, ACK, DUMP, CREATE = 1, 4, 0x300, 0x400
ERROR, DONE = 2, 3
THERE = 17  # EEXIST
ORIG, REPLY, STATUS, PROTOINFO, NAT_SRC, TIMEOUT, MARK, NAT_DST = 1, 2, 3, 4, 6, 7, 8, 13
NESTED, KIND = 0x8000, 0x3FFF
LIBERAL = 0x08  # the sequence numbers that were seen do not travel: those of the next packet are believed
MOST = 100_000

Attributes = dict[int, bytes]


def parse(body: bytes) -> Attributes:
    found, at = {}, 0
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        found[kind & KIND] = body[at + 4 : at + length]
        at += max(4, -(-length // 4) * 4)
    return found


def put(kind: int, body: bytes, *, nested: bool = False) -> bytes:
    return struct.pack("=HH", len(body) + 4, kind | (NESTED if nested else 0)) + body + bytes(-len(body) % 4)


def read_tuple(body: bytes) -> tuple[str, str, bytes, bytes]:
    """(source, target, source's port, target's port); the ports are empty where there are none."""
    parts = parse(body)
    ip, proto = parse(parts.get(1, b"")), parse(parts.get(2, b""))
    source, target = (ip.get(four) or ip.get(six, b"") for four, six in ((1, 3), (2, 4)))
    return _show(source), _show(target), proto.get(2, b""), proto.get(3, b"")


def _show(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed)) if packed else ""


def travels(flow: Attributes, addresses: set[str], floating: set[str]) -> bool:
    """Is it one of the machine's, under addresses that it keeps?"""
    source, target, *_ = read_tuple(flow[ORIG])
    answerer, asker, *_ = read_tuple(flow[REPLY])
    known = addresses | floating
    return bool({source, answerer} & addresses) and (source == asker or asker in known) and (target == answerer or target in known)


def pack(flow: Attributes) -> bytes:
    """What is said of it to the other kernel."""
    out = put(ORIG, flow[ORIG], nested=True) + put(REPLY, flow[REPLY], nested=True) + put(STATUS, _pack_status(flow[STATUS]))
    out += put(TIMEOUT, flow[TIMEOUT]) if TIMEOUT in flow else b""
    out += put(MARK, flow[MARK]) if MARK in flow else b""
    out += put(PROTOINFO, _pack_state(flow[PROTOINFO]), nested=True) if PROTOINFO in flow else b""
    return out + _pack_nat(flow)


def _pack_status(body: bytes) -> bytes:
    """An answer was seen, it is in use: the rest the other kernel says itself. As the kernel's enum ip_conntrack_status."""
    return struct.pack("!I", struct.unpack("!I", body)[0] & 0b0110 | 0b1000)


def _pack_state(body: bytes) -> bytes:
    """TCP's is told with its flags; others' as it is."""
    state = parse(body)
    if 1 not in state:
        return body
    inner = parse(state[1])
    lines = [put(kind, inner[kind]) for kind in (1, 2, 3) if kind in inner]
    for kind in (4, 5):
        flags = inner.get(kind, b"\0\0")[0] | LIBERAL
        lines.append(put(kind, bytes([flags, flags])))
    return put(1, b"".join(lines), nested=True)


def _pack_nat(flow: Attributes) -> bytes:
    source, target, *_ = read_tuple(flow[ORIG])
    answerer, asker, answers, asks = read_tuple(flow[REPLY])
    out = b"" if target == answerer else put(NAT_DST, _pack_range(answerer, answers), nested=True)
    return out if source == asker else out + put(NAT_SRC, _pack_range(asker, asks), nested=True)


def _pack_range(address: str, port: bytes) -> bytes:
    packed = ipaddress.ip_address(address).packed
    low, high = (1, 2) if len(packed) == 4 else (4, 5)
    ports = put(3, put(1, port) + put(2, port), nested=True) if port else b""
    return put(low, packed) + put(high, packed) + ports


def call(link: socket.socket, kind: int, flags: int, family: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, body) of what the kernel answers."""
    link.send(struct.pack("=IHHII", 20 + len(body), kind, REQUEST | flags, 1, 0) + struct.pack("=BBH", family, 0, 0) + body)
    while True:
        told, at = link.recv(1 << 20), 0
        while at + 16 <= len(told):
            length, said, *_ = struct.unpack_from("=IHHII", told, at)
            if said == DONE:
                return
            yield said, told[at + 16 : at + length]
            if said == ERROR:
                return
            at += -(-length // 4) * 4


def read(link: socket.socket, addresses: set[str], floating: set[str]) -> Iterator[tuple[int, str]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        for said, body in call(link, GET, DUMP, family, b""):
            flow = parse(body[4:]) if said != ERROR else {}
            if {ORIG, REPLY, STATUS} <= flow.keys() and travels(flow, addresses, floating):
                yield int(family), pack(flow).hex()


def write(link: socket.socket, flows: list[tuple[int, str]]) -> int:
    """One that is there already stays as it is."""
    written = 0
    for family, text in flows:
        for said, body in call(link, NEW, CREATE | ACK, family, bytes.fromhex(text)):
            trouble = -struct.unpack_from("=i", body)[0] if said == ERROR else 0
            if trouble not in (0, THERE):
                raise OSError(trouble, "connection tracking takes no such entry")
            written += not trouble
    return written


def main(do: str, addresses: list[str] | None = None, floating: list[str] | None = None) -> dict[str, Any]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as link:
        link.bind((0, 0))
        if do == "write":
            return {"written": write(link, json.loads(globals()["DATA"]))}
        return {"flows": list(read(link, set(addresses or ()), set(floating or ())))[:MOST]}


if __name__ == "__main__":
    print(json.dumps({"done": main(**json.loads(sys.argv[1]))}))
