"""Runs on a host: does a stream get from here to ports of another address? Nobody listens there yet: being refused is well.

Argument: ``{"address", "ports", "limit"}``. Says ``{"done": {"why"}}``: what was met instead, empty when the other host itself answered.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any


def find_block(address: str, port: int, limit: float) -> str:
    try:
        socket.create_connection((address, port), limit).close()
    except ConnectionRefusedError:
        return ""
    except TimeoutError:
        return "nobody answers, a firewall drops it"
    except OSError as err:
        return err.strerror or str(err)
    return ""


def main(args: dict[str, Any]) -> None:
    found = [find_block(args["address"], port, args["limit"]) for port in args["ports"]]
    print(json.dumps({"done": {"why": next(filter(None, found), "")}}))


main(json.loads(sys.argv[1]))
