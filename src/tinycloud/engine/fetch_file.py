"""A file of a host as a file of the machine that tinycloud runs on."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.travel import carry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts


def is_far(host: Host) -> bool:
    """True for a host that is not this machine."""
    return bool(host.entry.target)


def fetch_file(
    parts: Parts, host: Host, path: str, target: Path, *, replace: bool = False, progress: Callable[[int, int], None] | None = None
) -> int:
    """Copy it, whole or not at all, and give it to whoever called; returns what it takes. ``replace``: a file that is there may go."""
    part = target.with_name(f".{target.name[:100]}-{token_hex(8)}.part")
    try:
        carry((host.shell, path), (parts.shell, str(part)), target.name, progress or _ignore)
        args = {"part": str(part), "target": str(target), "replace": replace, "caller": True}
        return int(run_script(parts.shell, "settle", args, root=True, limit=3600)["stored"])
    except BaseException:
        parts.shell.run(["rm", "-f", "--", str(part)], root=True, check=False)
        raise


def _ignore(done: int, total: int) -> None:
    return
