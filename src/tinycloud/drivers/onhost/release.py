"""Has a network's DHCP server forget leases of machines that are gone, as if they had given them back (DHCPRELEASE).

It keeps an address for whoever had it last, for as long as that one was told, and gives it to nobody else: not even to the one for
whom it is reserved by now. Arguments: ``bridge``, ``leases`` (``[[mac, address], …]``), ``status`` (libvirt's file of leases). Done
with ``{"kept": [addresses that it does not let go of]}``. https://www.rfc-editor.org/rfc/rfc2131 (2, 4.4.6).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import sys
import time
from typing import Any

_ADDRESS_OF = 0x8915  # SIOCGIFADDR
_SERVER = 67
_WAIT, _AGAIN = 3.0, 0.1


def main(bridge: str, leases: list[list[str]], status: str) -> dict[str, Any]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        server = fcntl.ioctl(sender, _ADDRESS_OF, struct.pack("256s", bridge.encode()))[20:24]
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())  # the server asks where it comes from
        end = time.monotonic() + _WAIT
        while (kept := [row for row in leases if row in read_leases(status)]) and time.monotonic() < end:
            for mac, address in kept:
                sender.sendto(make_release(mac, socket.inet_aton(address), server), (socket.inet_ntoa(server), _SERVER))
            time.sleep(_AGAIN)
    return {"kept": [address for _, address in kept]}


def read_leases(status: str) -> list[list[str]]:
    """[mac, address] of each; none as long as nobody ever asked for one. libvirt's helper writes the file whole or not at all."""
    try:
        with open(status) as file:
            rows = json.loads(file.read() or "[]")
    except FileNotFoundError:
        return []
    return [[str(row.get("mac-address", "")).lower(), str(row.get("ip-address", ""))] for row in rows]


def make_release(mac: str, address: bytes, server: bytes) -> bytes:
    """The message of a client to its server: it needs its address no more."""
    nobody, hardware = bytes(4), bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!BBBB4sHH4s4s4s4s16s192x", 1, 1, 6, 0, os.urandom(4), 0, 0, address, nobody, nobody, nobody, hardware)
    return head + bytes.fromhex("63825363") + bytes((53, 1, 7, 54, 4)) + server + b"\xff"


if __name__ == "__main__":
    print(json.dumps({"done": main(**json.loads(sys.argv[1]))}))
