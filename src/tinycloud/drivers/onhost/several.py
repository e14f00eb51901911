"""Runs on a host: several questions to its own tools, asked at the same time, in one session.

Argument: ``{"commands": [[...], ...]}``; it is done with ``{"answers": [[status, stdout, stderr] or null, ...]}``, null for a tool that is
not there.
"""

from __future__ import annotations

import json
import subprocess
import sys

TYPE_CHECKING = False  # typing costs 10 ms, on every host
if TYPE_CHECKING:
    from typing import Any


def start(argv: list[str]) -> Any:
    try:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        return None


def main(args: dict[str, Any]) -> None:
    answers: list[list[Any] | None] = []
    for child in [start(argv) for argv in args["commands"]]:
        if child is None:
            answers.append(None)
        else:
            out, err = child.communicate()
            answers.append([child.returncode, out, err])
    print(json.dumps({"done": {"answers": answers}}))


main(json.loads(sys.argv[1]))
