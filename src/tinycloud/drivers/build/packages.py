"""The distribution's packages, unpacked without being installed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tinycloud.errors import Missing, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tinycloud.drivers.shell import Shell

_PATIENCE = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20")
_RELATIONS = ("--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances")


def find_first_known(shell: Shell, names: Iterable[str]) -> str | None:
    """The first of ``names`` that the package lists know, or None."""
    for name in names:
        if "Package:" in shell.run(["apt-cache", "show", "--no-all-versions", name], check=False).text:
            return name
    return None


def list_depends(shell: Shell, *names: str, recurse: bool = False) -> list[str]:
    """The packages that ``names`` depend on, themselves included; real names only, sorted."""
    argv = ["apt-cache", "depends", *_RELATIONS, *(["--recurse"] if recurse else []), *names]
    words = re.findall(r"^(?:\s*\|?(?:Pre)?Depends:\s*)?([a-z0-9][a-z0-9.+-]+)$", shell.run(argv).text, re.MULTILINE)
    return sorted({*names, *words})


def find_versions(shell: Shell, names: Sequence[str]) -> list[str]:
    """``name=version`` of the candidates, for a cache key; answered from the lists, without the network."""
    text = shell.run(["apt-cache", "show", "--no-all-versions", *names]).text
    found = re.findall(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)", text, re.MULTILINE)
    if not found:
        raise Missing("the package lists are empty", hint="apt-get update")
    return sorted(f"{name}={version}" for name, version in found)


def fetch(shell: Shell, names: Sequence[str], into: Path) -> list[Path]:
    """Download packages into a folder; raises Missing when the lists are older than the archive."""
    into.mkdir(parents=True, exist_ok=True)
    try:
        shell.run(["env", "-C", str(into), "apt-get", *_PATIENCE, "download", "-q", *names], limit=600)
    except ToolFailed as err:
        raise Missing(
            f"cannot download {names[0]}", facts=err.facts, hint="apt-get update, with a network that reaches the archive"
        ) from err
    return sorted(into.glob("*.deb"))


def unpack(shell: Shell, debs: Iterable[Path], into: Path) -> None:
    """Unpack packages into a folder; runs none of their scripts."""
    for deb in debs:
        shell.run(["dpkg", "-x", str(deb), str(into)], limit=300)
