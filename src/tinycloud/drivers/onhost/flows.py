"""Connections of a machine, as the kernel's connection tracking has them: read on the host that it leaves, put in where it has come to.

Arguments: ``do``: ``read``, ``write`` or ``drop``; ``addresses`` of the machine, ``floating``: those by which it is known outside. To be
written are DATA. Done with ``{"flows": [[family, hex], …]}``, or ``{"written": how many}``, ``{"dropped": how many}``.

A connection whose address somebody translates stays behind, but for a floating address, which comes along; those are what is dropped, so
that whoever asks under the old host's address is told at once that nobody is there. Formats: linux/netlink.h,
linux/netfilter/nfnetlink_conntrack.h. ``struct.pack`` without padding is enough, for each attribute starts at a multiple of four.
"""

import errno
import ipaddress
import json
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

NETFILTER, NEW, GET, DELETE = 12, 1 << 8, 1 << 8 | 1, 1 << 8 | 2
REQUEST, ACK, DUMP, CREATE = 1, 4, 0x300, 0x400
ERROR, DONE = 2, 3
KNOWN = (0, errno.EEXIST, errno.EOPNOTSUPP, errno.EBUSY)
"""It is there already, and what was said of it changes nothing."""
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
    source, target, ports, _ = read_tuple(flow[ORIG])
    answerer, asker, *_ = read_tuple(flow[REPLY])
    known = addresses | floating
    if is_translated(flow) and not ports:
        return False
    return is_of(flow, addresses) and (source == asker or asker in known) and (target == answerer or target in known)


def is_of(flow: Attributes, addresses: set[str]) -> bool:
    """It began there, or is answered there."""
    return bool({read_tuple(flow[ORIG])[0], read_tuple(flow[REPLY])[0]} & addresses)


def is_translated(flow: Attributes) -> bool:
    source, target, *_ = read_tuple(flow[ORIG])
    answerer, asker, *_ = read_tuple(flow[REPLY])
    return (source, target) != (asker, answerer)


def pack(flow: Attributes) -> bytes:
    """What is said of it to the other kernel, which works out the answer's addresses of one that it is to translate."""
    answer = _turn(flow[ORIG]) if is_translated(flow) else flow[REPLY]
    out = put(ORIG, flow[ORIG], nested=True) + put(REPLY, answer, nested=True) + put(STATUS, _pack_status(flow[STATUS]))
    out += put(TIMEOUT, flow[TIMEOUT]) if TIMEOUT in flow else b""
    out += put(MARK, flow[MARK]) if MARK in flow else b""
    out += put(PROTOINFO, _pack_state(flow[PROTOINFO]), nested=True) if PROTOINFO in flow else b""
    return out + _pack_nat(flow)


def _turn(body: bytes) -> bytes:
    """A tuple the other way round, of a protocol with ports."""
    parts = parse(body)
    ip, proto = parse(parts[1]), parse(parts[2])
    pairs = ((1, 2), (2, 1)) if 1 in ip else ((3, 4), (4, 3))
    addresses = b"".join(put(kind, ip[other]) for kind, other in pairs)
    ports = put(1, proto[1]) + put(2, proto[3]) + put(3, proto[2])
    return put(1, addresses, nested=True) + put(2, ports, nested=True)


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


def list_flows(link: socket.socket) -> Iterator[tuple[int, Attributes]]:
    for family in (int(socket.AF_INET), int(socket.AF_INET6)):
        for said, body in call(link, GET, DUMP, family, b""):
            flow = parse(body[4:]) if said != ERROR else {}
            if {ORIG, REPLY, STATUS} <= flow.keys():
                yield family, flow


def read(link: socket.socket, addresses: set[str], floating: set[str]) -> list[tuple[int, str]]:
    return [(family, pack(flow).hex()) for family, flow in list_flows(link) if travels(flow, addresses, floating)]


def write(link: socket.socket, flows: list[tuple[int, str]]) -> int:
    """Of one that is there already the numbers of its next packet are believed, too."""
    return sum(tell(link, NEW, CREATE, family, bytes.fromhex(text)) for family, text in flows)


def drop(link: socket.socket, addresses: set[str]) -> int:
    ours = [(family, flow[ORIG]) for family, flow in list_flows(link) if is_translated(flow) and is_of(flow, addresses)]
    return sum(tell(link, DELETE, 0, family, put(ORIG, body, nested=True)) for family, body in ours)


def tell(link: socket.socket, kind: int, flags: int, family: int, body: bytes) -> bool:
    """False for what is there, or gone, already. Raises OSError."""
    for said, answer in call(link, kind, flags | ACK, family, body):
        trouble = -struct.unpack_from("=i", answer)[0] if said == ERROR else 0
        if trouble not in (*KNOWN, errno.ENOENT):
            raise OSError(trouble, "connection tracking takes no such entry")
        return not trouble
    return False


def main(do: str, addresses: list[str] | None = None, floating: list[str] | None = None) -> dict[str, Any]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as link:
        link.bind((0, 0))
        if do == "write":
            return {"written": write(link, json.loads(globals()["DATA"]))}
        if do == "drop":
            return {"dropped": drop(link, set(addresses or ()))}
        return {"flows": read(link, set(addresses or ()), set(floating or ()))[:MOST]}


if __name__ == "__main__":
    print(json.dumps({"done": main(**json.loads(sys.argv[1]))}))
