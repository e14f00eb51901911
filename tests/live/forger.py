"""Runs inside a network namespace, with python3 alone: sends frames as they are, or hears which of them come.

``send`` reads ``[frame in hex, …]`` from stdin. ``hear`` says ``ready``, listens until stdin ends, and writes the names, ``<name>``, that stood
in the frames which came. A second word is the interface.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys

ALL = 0x0003  # ETH_P_ALL


def open_link() -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    link.bind((sys.argv[2] if len(sys.argv) > 2 else "eth0", ALL))
    return link


def send() -> None:
    link = open_link()
    for frame in json.load(sys.stdin):
        link.send(bytes.fromhex(frame))


def hear() -> None:
    link, names = open_link(), set()
    link.setblocking(False)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([link, sys.stdin], [], [])
        if link in ready:
            names |= {name.decode() for name in re.findall(rb"<([a-z0-9-]+)>", link.recv(4096))}
        elif sys.stdin in ready:
            break
    print(json.dumps(sorted(names)))


if __name__ == "__main__":
    {"send": send, "hear": hear}[sys.argv[1]]()
