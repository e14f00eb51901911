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

PROBING = 4
"""Seconds: the kernel asks three times, one second apart."""


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


def ask_wire(address: str) -> bool:
    """Does it tell its MAC? What the kernel heard in the last half minute it does not ask again by itself, so it is told to.

    Without the right to say so, what it remembers counts: better one that is dead taken for alive than the other way round.
    """
    for entry in list_known(address):
        run(["ip", "neigh", "change", address, "lladdr", entry["lladdr"], "dev", entry["dev"], "nud", "probe"], 5)
    end = time.monotonic() + PROBING
    found = list_known(address)
    while any("PROBE" in entry["state"] for entry in found) and time.monotonic() < end:
        time.sleep(0.2)
        found = list_known(address)
    return any("REACHABLE" in entry["state"] for entry in found)


def list_known(address: str) -> list[dict[str, Any]]:
    """What the kernel has of the address, with a MAC."""
    done, text = run(["ip", "-j", "neigh", "show", address], 5)
    return [it for it in (json.loads(text or "[]") if done else []) if "lladdr" in it and "state" in it]


def run(argv: list[str], limit: float) -> tuple[bool, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=limit, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False, ""
    return done.returncode == 0, done.stdout


def hear(address: str, port: int, limit: float) -> str:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        tries = {"a connection": pool.submit(take_connection, address, port, limit), "ping": pool.submit(ask_ping, address, limit)}
        found = [word for word, it in tries.items() if it.result()]
    return found[0] if found else "the wire" if ask_wire(address) else ""


def main(addresses: dict[str, str], port: int, limit: float) -> dict[str, Any]:
    with concurrent.futures.ThreadPoolExecutor(max(1, min(16, len(addresses)))) as pool:
        found = {name: pool.submit(hear, address, port, limit) for name, address in addresses.items()}
    return {"done": {"heard": {name: how for name, it in found.items() if (how := it.result())}}}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
