"""Reads the blocks of a page that are to be run.

A fence says so in its first line: ```` ```yaml file=NAME ```` is written to a file, ```` ```console live ```` holds commands after
``$ `` with what they print (``status=5``: how they end), ```` ```python live ```` a program, whose output a following ```` ```text ```` block shows.

What is shown counts as printed when it is equal but for what differs each time: spans of time, ids, dates, spaces, the order of what
runs at the same time. ``…`` stands
for anything in a line, alone in a line for any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_FENCE = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHANGING = (
    (r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", "DATE"),
    (r"(?<![\w.])\d+(\.\d+)? (ms|s|min|h|d)\b", "TIME"),
    (r"execution [0-9a-f]{4}|(?<=unfinished up )[0-9a-f]{4} \(\d\d:\d\d", "EXECUTION"),
    (r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b|(?<=nano )[0-9a-f]{7}", "SHA"),
    (r"\d+(\.\d+)?( MiB)? on disk|(?<!\S)\d+(\.\d+)?(?=/\d+ [KMGT]iB)", "USED"),
    (r"\d+(\.\d+)? [KMGT]iB free", "FREE"),
    (r"pid \d+", "PID"),
    (r"\s+", " "),
)


@dataclass(frozen=True)
class Block:
    """One fence: its language, its words, its text, and the text that shows its output."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int
    shown: str = ""

    @property
    def file(self) -> str | None:
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)

    @property
    def status(self) -> int:
        """The exit status that its commands end with: ``status=5``."""
        return next((int(word.removeprefix("status=")) for word in self.words if word.startswith("status=")), 0)


def read_blocks(page: Path) -> list[Block]:
    """The blocks that are written or run, in order."""
    text = page.read_text()
    found = [Block(m[1], tuple(m[2].split()), m[3], text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(text)]
    out = []
    for n, block in enumerate(found):
        after = found[n + 1] if n + 1 < len(found) else None
        shown = after.text if block.language == "python" and after and after.language == "text" else ""
        out.append(Block(block.language, block.words, block.text, block.line, shown))
    return [block for block in out if block.file or "live" in block.words]


def read_commands(text: str) -> list[tuple[str, str]]:
    """(command, what it prints) of a console block. A command goes on after a backslash at the end of a line."""
    out: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next((n for n, line in enumerate(lines) if not line.endswith("\\")), len(lines) - 1)
        out.append(("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])))
    return out


def normalise(line: str) -> str:
    for pattern, word in _CHANGING:
        line = re.sub(pattern, word, line)
    return line.strip()


def matches(shown: str, printed: str) -> bool:
    """True when the page shows what was printed."""
    lines = _in_order([normalise(line) for line in shown.splitlines() if line.strip()])
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n" for line in lines)
    text = "".join(f"{line}\n" for line in _in_order([normalise(line) for line in printed.splitlines() if line.strip()]))
    return re.fullmatch(pattern, text) is not None


def _in_order(lines: list[str]) -> list[str]:
    """What ends at about the same time may end in any order: lines with a tick that follow each other are sorted."""
    out: list[str] = []
    for ticked, run in groupby(lines, lambda line: line.startswith("✓")):
        found = list(run)
        out += sorted(found) if ticked else found
    return out
