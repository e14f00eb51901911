"""Runs inside a network namespace, with python3 alone: answers on every port that is asked about, or asks others.

``serve TCP… -- UDP…`` answers until it is killed. ``ask`` reads ``[[number, target, protocol, port, hoped], …]`` from stdin and writes the
numbers of those that were answered. ``stream ADDRESS PORT`` holds a connection and echoes each line of stdin through it.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence

GRACE = 0.7
"""How much longer than everybody who should be answered those are listened for who should not."""
LIMIT = 30.0


def serve(tcp: Sequence[str], udp: Sequence[str]) -> None:
    found = selectors.DefaultSelector()
    for kind, ports in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)):
        for port in ports:
            it = socket.socket(socket.AF_INET6, kind)
            it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            it.bind(("::", int(port)))
            if kind == socket.SOCK_STREAM:
                it.listen(64)
            found.register(it, selectors.EVENT_READ, kind == socket.SOCK_STREAM)
    print("ready", flush=True)
    while True:
        for key, _ in found.select():
            end = key.fileobj
            assert isinstance(end, socket.socket)
            if key.data is True:
                connection, _ = end.accept()
                found.register(connection, selectors.EVENT_READ, None)
            elif key.data is False:
                words, sender = end.recvfrom(2048)
                end.sendto(words, sender)
            else:
                answer(found, end)


def answer(found: selectors.BaseSelector, connection: socket.socket) -> None:
    try:
        words = connection.recv(2048)
        if words:
            connection.sendall(words)
            return
    except OSError:
        pass
    found.unregister(connection)
    connection.close()


def checksum(words: bytes) -> int:
    total = sum(int(word) for word in struct.unpack(f"!{len(words) // 2}H", words))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class Asking:
    def __init__(self, number: int, target: str, protocol: str, port: int, hoped: bool) -> None:
        self.number, self.protocol, self.hoped = number, protocol, hoped
        info = socket.getaddrinfo(target, port or None, type=socket.SOCK_DGRAM)[0]
        self.family, self.to = info[0], info[4]
        kinds = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "icmp": (socket.SOCK_RAW, self.icmp)}
        self.socket = socket.socket(self.family, *kinds[protocol])
        self.socket.setblocking(False)
        if protocol == "tcp":
            self.socket.connect_ex(self.to)
        elif protocol == "udp":
            self.socket.connect(self.to)

    @property
    def icmp(self) -> int:
        return socket.IPPROTO_ICMP if self.family == socket.AF_INET else socket.IPPROTO_ICMPV6

    def say(self) -> None:
        """Again and again, but for TCP, which does so by itself."""
        try:
            if self.protocol == "udp":
                self.socket.send(str(self.number).encode())
            elif self.protocol == "icmp":
                kind = 8 if self.family == socket.AF_INET else 128
                blank = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, self.number)
                told = struct.pack("!BBHHH", kind, 0, checksum(blank), os.getpid() & 0xFFFF, self.number)
                self.socket.sendto(told, self.to)
        except OSError:
            pass

    def hears(self) -> bool:
        try:
            if self.protocol == "tcp":
                return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and bool(self.socket.getpeername())
            words, _ = self.socket.recvfrom(2048)
            if self.protocol == "udp":
                return words == str(self.number).encode()
            header = (words[0] & 15) * 4 if self.family == socket.AF_INET else 0
            kind, _, _, pid, number = struct.unpack("!BBHHH", words[header : header + 8])
            return kind in (0, 129) and (pid, number) == (os.getpid() & 0xFFFF, self.number)
        except OSError:
            return False


def ask(questions: list[tuple[int, str, str, int, bool]]) -> None:
    asking = [Asking(*question) for question in questions]
    answered: set[int] = set()
    began, said = time.monotonic(), 0.0
    end: float | None = None
    while end is None or time.monotonic() < end:
        now = time.monotonic()
        if now - said > 0.3:
            said = now
            for it in asking:
                if it.number not in answered:
                    it.say()
        for it in asking:
            if it.number not in answered and it.hears():
                answered.add(it.number)
        if end is None and (all(it.number in answered for it in asking if it.hoped) or now - began > LIMIT):
            end = time.monotonic() + GRACE
        time.sleep(0.02)
    print(json.dumps(sorted(answered)))


def stream(address: str, port: str) -> None:
    connection = socket.create_connection((address, int(port)), timeout=LIMIT)
    print("ready", flush=True)
    for line in sys.stdin:
        connection.sendall(line.encode())
        print(connection.recv(2048).decode(), end="", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        cut = sys.argv.index("--")
        serve(sys.argv[2:cut], sys.argv[cut + 1 :])
    elif sys.argv[1] == "ask":
        ask(json.load(sys.stdin))
    else:
        stream(*sys.argv[2:])
