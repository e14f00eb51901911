"""Runs on a host: is there anybody at another address? A second opinion on a host that does not answer the controller.

Argument: ``{"addresses": {NAME: ADDRESS}, "port", "limit"}``. Says ``{"done": {"heard": {NAME: HOW}}}`` with each that gave a sign of life:
it took or refused a connection, answered a ping, or told its MAC on the wire a moment ago.
"""

import concurrent.futures
import json
import socket
import subprocess
import sys
import time
from typing import Any


def take_connection(address: str, port: int, limit: float) -> bool:
    try:
        socket.create_connection((address, port), limit).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def ask_ping(address: str, limit: float) -> bool:
    return run(["ping", "-n", "-c", "2", "-i", "0.3", "-w", str(max(1, int(limit))), address], limit + 2)[0]


def ask_wire(address: str, seconds: float) -> bool:
    """Has it told its MAC in these last seconds? Its state alone is no proof: it stays REACHABLE for half a minute after the last word."""
    done, text = run(["ip", "-s", "-j", "neigh", "show", address], 5)
    found = json.loads(text or "[]") if done else []
    return any("REACHABLE" in entry.get("state", ()) and entry.get("confirmed", 0) <= seconds for entry in found)


def run(argv: list[str], limit: float) -> tuple[bool, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=limit, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False, ""
    return done.returncode == 0, done.stdout


def hear(address: str, port: int, limit: float) -> str:
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        tries = {"a connection": pool.submit(take_connection, address, port, limit), "ping": pool.submit(ask_ping, address, limit)}
        found = [word for word, it in tries.items() if it.result()]
    return found[0] if found else "the wire" if ask_wire(address, time.monotonic() - began) else ""


def main(addresses: dict[str, str], port: int, limit: float) -> dict[str, Any]:
    with concurrent.futures.ThreadPoolExecutor(max(1, min(16, len(addresses)))) as pool:
        found = {name: pool.submit(hear, address, port, limit) for name, address in addresses.items()}
    return {"done": {"heard": {name: how for name, it in found.items() if (how := it.result())}}}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
