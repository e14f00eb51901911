"""Scripts that run on a host, where the bytes are: standard library alone, handed to the host's own python3 by stdin.

A host needs nothing of ours, and a large file goes neither through this process nor over its network. Each script takes JSON as
its one argument and prints JSON lines: ``{"progress": [done, total]}`` now and then, at last ``{"done": {...}}``, or
``{"refused": {"code", "message", "facts", "hint"}}`` with status 0; anything else it says is a failure.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from tinycloud.drivers.shell import make_tool_error
from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tinycloud.drivers.shell import Shell

__all__ = ["run_script"]


def run_script(
    shell: Shell,
    name: str,
    args: Mapping[str, Any],
    *,
    data: Any = None,
    root: bool = False,
    limit: float = 3600.0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run ``NAME.py`` of this folder on the shell's host and return what it was ``done`` with.

    ``data`` is what is too much for an argument: the script finds it, as JSON, in ``DATA``. ``progress`` hears (bytes done, bytes in all;
    0 when unknown). Raises Refused with the code the script gives, ToolFailed when it breaks.
    """
    script = (resources.files(__package__ or "tinycloud.drivers.onhost") / f"{name}.py").read_bytes()
    if data is not None:
        script = f"DATA = {json.dumps(data)!r}\n".encode() + script
    last: dict[str, Any] = {}

    def hear(line: str) -> None:
        nonlocal last
        last = json.loads(line)
        if "progress" in last and progress:
            progress(*last["progress"])

    done = shell.run(["python3", "-I", "-", json.dumps(dict(args))], input=script, root=root, limit=limit, check=False, on_line=hear)
    if "refused" in last:
        told = last["refused"]
        raise Refused(told["message"], code=told["code"], facts=told.get("facts", ()), hint=told.get("hint", ""))
    if done.status != 0 or "done" not in last:
        raise make_tool_error(done)
    result: dict[str, Any] = last["done"]
    return result
