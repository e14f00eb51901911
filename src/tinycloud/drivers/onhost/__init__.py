"""Scripts that run on a host, where the bytes are: standard library alone, handed to the host's own python3 by stdin.

A host needs nothing of ours, and a large file goes neither through this process nor over its network. Each script takes JSON as
its one argument and prints JSON lines: ``{"progress": [done, total]}`` now and then, at last ``{"done": {...}}``, or
``{"refused": {"code", "message", "facts", "hint"}}`` with status 0; anything else it says is a failure.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.shell import make_tool_error
from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tinycloud.drivers.shell import Runner

__all__ = ["make_script", "run_script"]


_PACKAGE: Final = "tinycloud.drivers.onhost"
_PRELUDE: Final = """\
import sys, types
for n in range(3):
    sys.modules.setdefault("{package}".rsplit(".", n)[0], types.ModuleType("{package}".rsplit(".", n)[0])).__path__ = []
for name, text in {texts!r}.items():
    made = sys.modules["{package}." + name] = types.ModuleType("{package}." + name)
    setattr(sys.modules["{package}"], name, made)
    exec(compile(text, name + ".py", "exec"), made.__dict__)
"""
"""The host has nothing of ours to import from: what a script imports is handed to it."""


def make_script(name: str, data: Any = None, also: Sequence[str] = ()) -> bytes:
    """What the host's python3 is given."""
    script = _read(name)
    if also:
        texts = {module: _read(module).decode() for module in also}
        script = f"{_PRELUDE.format(package=_PACKAGE, texts=texts)}exec(compile({script.decode()!r}, '{name}.py', 'exec'))\n".encode()
    return script if data is None else f"DATA = {json.dumps(data)!r}\n".encode() + script


def _read(name: str) -> bytes:
    return (resources.files(_PACKAGE) / f"{name}.py").read_bytes()


def run_script(
    shell: Runner,
    name: str,
    args: Mapping[str, Any],
    *,
    data: Any = None,
    also: Sequence[str] = (),
    root: bool = False,
    limit: float = 3600.0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run ``NAME.py`` of this folder on the shell's host and return what it was ``done`` with.

    ``data`` is what is too much for an argument: the script finds it, as JSON, in ``DATA``. ``also`` are the modules of this folder that
    it imports, each after those that it imports itself. ``progress`` hears (bytes done, bytes in all;
    0 when unknown). Raises Refused with the code the script gives, ToolFailed when it breaks.
    """
    script = make_script(name, data, also)
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
