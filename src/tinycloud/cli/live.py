"""A plan being carried out: a line for each thing that moves on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tinycloud.cli.output import print_line
from tinycloud.model.units import Duration

if TYPE_CHECKING:
    from rich.text import Text

    from tinycloud.engine.events import Event

_DOING = {
    "image.bring": "looking for it",
    "image.send": "sending it",
    "network.create": "making the network",
    "network.update": "changing reservations",
    "network.remove": "removing the network",
    "firewall.apply": "bringing them into force",
    "pool.create": "making the pool",
    "disk.create": "making its disk",
    "disk.copy": "copying its image onto its disk",
    "disk.prepare": "preparing disks",
    "disk.resize": "growing its disk",
    "seed.write": "writing its seed",
    "volume.remove": "removing its disk",
    "machine.define": "defining",
    "machine.undefine": "undefining",
    "machine.start": "starting",
    "machine.stop": "shutting down",
    "machine.ready": "waiting for it to start",
    "machine.resume": "resuming",
    "machine.live": "changing it live",
    "network.copy": "making the network",
    "disk.bring": "copying its disk",
    "disk.share": "telling the host of its disk",
    "disk.leave": "forgetting its disk",
    "machine.hold": "making ready",
    "machine.move": "moving",
    "machine.arrive": "settling in",
    "machine.vacate": "clearing the old host",
}
_NEXT = {"started": "waiting for an address", "address": "waiting for ssh", "ssh": "guest set-up"}
_DID = {
    "image.send": "there",
    "network.create": "made",
    "network.update": "changed",
    "network.copy": "made",
    "network.remove": "removed",
    "firewall.apply": "in force",
    "pool.create": "made",
    "disk.prepare": "prepared",
    "machine.live": "changed live",
    "machine.undefine": "removed",
    "machine.resume": "running",
}


@dataclass
class Row:
    """One thing that moves: when it began, what it reached, what it is doing."""

    subject: str
    began: float
    levels: list[str] = field(default_factory=list)
    doing: str = ""
    open: int = 0
    state: str = "waiting"
    ended: float = 0.0


@dataclass
class Rows:
    """All rows, fed by events; drawing is somebody else's."""

    rows: dict[str, Row] = field(default_factory=dict)
    title: str = ""
    note: str = ""
    """What became of a Ctrl-C, until things are undone."""
    undoing: bool = False

    def feed(self, event: Event) -> None:
        if event.kind == "begin":
            self.title = f"{event.text}  execution {event.execution}"
        if event.kind == "end":
            for row in self.rows.values():
                row.state = "done" if row.state == "waiting" else row.state
        if event.kind in ("stopping", "undoing"):
            self.note = event.text
        if not event.subject:
            return
        row = self.rows.setdefault(event.subject, Row(event.subject, event.at))
        getattr(self, f"_{event.kind}", self._other)(row, event)

    def _start(self, row: Row, event: Event) -> None:
        row.open += 1
        if event.action == "machine.start":
            row.began = event.at  # what a person waits for is counted from power-on, not from when its disk was made
        row.state, row.doing = "working", _DOING.get(event.action, event.action)

    def _progress(self, row: Row, event: Event) -> None:
        row.levels.append(f"{event.text} {Duration(event.at - row.began)}")
        row.doing = _NEXT.get(event.text, "")

    def _part(self, row: Row, event: Event) -> None:
        row.doing = event.text

    def _done(self, row: Row, event: Event) -> None:
        row.open -= 1
        if word := _DID.get(event.action):
            row.levels.append(word)
        if row.open <= 0:
            row.state, row.ended, row.doing = "done" if row.levels else "waiting", event.at, ""

    def _failed(self, row: Row, event: Event) -> None:
        row.state, row.ended, row.doing = "failed", event.at, event.text

    def _undoing(self, row: Row, event: Event) -> None:
        self.undoing = True
        row.state, row.doing = "working", "undoing"

    def _undone(self, row: Row, event: Event) -> None:
        row.state, row.ended, row.doing, row.levels = "undone", event.at, "", ["undone"]

    def _other(self, row: Row, event: Event) -> None:
        return


class Display:
    """Shows events from :meth:`open` to :meth:`close`; as a context manager it is closed at the end in any case."""

    for_programs = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Begin to draw."""

    def close(self) -> None:
        """Stop drawing. Safe to repeat."""

    def hear(self, event: Event) -> None:
        raise NotImplementedError


class JsonLines(Display):
    """One JSON object a line, for programs; how far a step is, at most once a second."""

    for_programs = True

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def hear(self, event: Event) -> None:
        if event.kind == "part":
            if event.at - self._told.get(event.step, -_PAUSE) < _PAUSE:
                return
            self._told[event.step] = event.at
        print_line(event.as_json())


_PAUSE = 1.0


_SIGNS = {"done": ("✓", "green"), "failed": ("✗", "red"), "undone": ("↺", "yellow"), "working": ("", ""), "waiting": (" ", "")}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Live(Display):
    """Rows that redraw themselves on a terminal, through rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._rows = Rows()
        self._lock = threading.Lock()
        self._tick = 0
        self._console = Console()
        self._live = RichLive(console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=False)

    def open(self) -> None:
        self._live.start()

    def close(self) -> None:
        self._live.stop()

    def hear(self, event: Event) -> None:
        with self._lock:
            self._rows.feed(event)

    def _draw(self) -> Text:
        from rich.text import Text

        with self._lock:
            self._tick += 1
            rows = list(self._rows.rows.values())
            note = self._rows.note
            out = Text(self._rows.title + "\n", no_wrap=True, overflow="ellipsis")
        width = max((len(row.subject) for row in rows), default=0)
        most = max(4, self._console.size.height - 5)
        for row in self._pick(rows, most):
            sign, colour = _SIGNS[row.state]
            out.append(f"  {sign or _SPINNER[self._tick % len(_SPINNER)]} ", style=colour or "default")
            out.append(f"{row.subject:<{width}}  ")
            out.append(
                " · ".join([*row.levels, *([row.doing] if row.doing else [])]) + "\n", style="dim" if row.state == "waiting" else "default"
            )
        if len(rows) > most:
            out.append(f"    … and {len(rows) - most} more\n", style="dim")
        if note:
            out.append(f"  {note}\n", style="yellow")
        return out

    def _pick(self, rows: list[Row], most: int) -> list[Row]:
        """What fits on the screen: failures and work in progress first, in the order they began."""
        if len(rows) <= most:
            return rows
        order = {"failed": 0, "working": 1, "waiting": 2, "undone": 3, "done": 4}
        chosen = {id(row) for row in sorted(rows, key=lambda row: order[row.state])[:most]}
        return [row for row in rows if id(row) in chosen]


class Lines(Display):
    """What :class:`Live` shows at the end of each row, a line each, for logs that people read."""

    def __init__(self) -> None:
        self._rows = Rows()
        self._lock = threading.Lock()
        self._said: dict[str, list[str]] = {}

    def hear(self, event: Event) -> None:
        with self._lock:
            self._say(event)

    def _say(self, event: Event) -> None:
        self._rows.feed(event)
        if event.kind in ("begin", "stopping"):
            print(self._rows.title if event.kind == "begin" else f"  {event.text}", flush=True)
        row = self._rows.rows.get(event.subject)
        if row is None or row.state not in ("done", "failed", "undone"):
            return
        words = [*row.levels, *([row.doing] if row.doing else [])]
        new = [word for word in words if word not in self._said.get(row.subject, [])]
        self._said[row.subject] = words
        if new:
            print(f"  {_SIGNS[row.state][0]} {row.subject:<12} {' · '.join(new)}", flush=True)


def make_display(*, as_json: bool, plain: bool) -> Display:
    """JSON lines when asked for or when nobody watches; ``plain`` keeps lines readable there."""
    if as_json or not (plain or sys.stdout.isatty()):
        return JsonLines()
    return Live() if sys.stdout.isatty() and not plain else Lines()
