"""Commands for hosts that die: check, fence, unfence."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.hosts import group
from tinycloud.cli.live import make_display
from tinycloud.cli.output import paint, print_json, print_line, print_table
from tinycloud.cli.session import complete_host, json_option, open_cloud, plain_option, yes_option
from tinycloud.errors import Declined, Failed
from tinycloud.model.units import Duration
from tinycloud.plan.beats import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.engine.heal import Healed
    from tinycloud.engine.stale import Cleaned
    from tinycloud.model.host import HostEntry
    from tinycloud.plan.beats import Pulse

_host = click.argument("name", metavar="HOST", shell_complete=complete_host)


@group.command()
@click.option("--looks", type=click.IntRange(1), default=LIMIT, show_default=True, help="How many in a row a dead host misses.")
@json_option
def check(looks: int, as_json: bool) -> None:
    """Look at all hosts once: who answers, and what the others say of those that do not.

    Looks count together with those of a watch, and of checks in the last ten minutes.
    """
    with open_cloud() as cloud:
        pulses = cloud.hosts.check(looks)
        fenced = {row.name for row in cloud.hosts.list() if row.entry.fenced} if any(it.since for it in pulses.values()) else set()
    if as_json:
        print_json([_pulse_as_json(name, pulse) for name, pulse in pulses.items()])
        return
    print_table(("HOST", "STATE", "SILENT FOR", "WHY"), [_pulse_row(name, pulse) for name, pulse in pulses.items()])
    for name, pulse in pulses.items():
        if pulse.is_suspected and name not in fenced:
            hint = f"when it is off for sure: tinycloud host fence {name} --confirm"
            print(f"{paint('note', 'yellow', sys.stderr)}: {hint}", file=sys.stderr)


def _pulse_as_json(name: str, pulse: Pulse) -> dict[str, Any]:
    return {"host": name, "state": pulse.verdict, "missed": pulse.missed, "since": pulse.since or None, "text": pulse.text}


def _pulse_row(name: str, pulse: Pulse) -> tuple[str, ...]:
    return name, pulse.verdict, str(Duration(round(time.time() - pulse.since))) if pulse.since else "-", pulse.text or "-"


@group.command()
@_host
@click.option("--confirm", is_flag=True, help="You have looked: it is off. Its fence command is not run.")
@yes_option
@json_option
@plain_option
def fence(name: str, confirm: bool, yes: bool, as_json: bool, plain: bool) -> None:
    """Have a host off for sure, and start its machines elsewhere.

    Its fence command is run (tinycloud host set HOST --fence COMMAND), or --confirm takes your word for it. Only machines whose group says
    recover: restart are started elsewhere: those on storage that another host has too with their disks, those that are disposable anew.
    Fenced again, it is tried again for those that had no room.
    """
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        entry = cloud.hosts.fence(name, confirmed=confirm, agree=None if yes else _ask(confirm, for_programs=display.for_programs))
        if not display.for_programs:
            print(f"host {entry.name} is fenced; nothing is started on it until: tinycloud host unfence {entry.name}", flush=True)
        display.open()
        healed = cloud.hosts.heal(display.hear)
        display.close()
        if display.for_programs:
            print_line({"host": entry.name, "fenced": entry.fenced, "machines": [_healed_as_json(it) for it in healed]})
        else:
            print_healed(healed)
    _must_have_room(healed)


def _ask(confirm: bool, *, for_programs: bool) -> Callable[[HostEntry], bool]:
    def ask(entry: HostEntry) -> bool:
        if for_programs or not sys.stdin.isatty():
            raise Declined("there is nobody to ask", hint="add --yes")
        what = (
            "its machines will be started elsewhere: is it off for sure?" if confirm else f"this switches it off: {shlex.join(entry.fence)}"
        )
        try:
            return input(f"{entry.name}: {what}\ntype its name: ").strip() == entry.name
        except EOFError:
            return False

    return ask


def print_healed(healed: Sequence[Healed]) -> None:
    """A line for each machine of hosts that are out."""
    rows = [(it.ref, it.host, it.to or "-", _tell(it)) for it in healed]
    if not rows:
        print("no machine was on it")
        return
    print_table(("MACHINE", "WAS ON", "IS ON", "HOW"), rows)
    for it in healed:
        for fact in it.facts if it.meant and not it.to else ():
            print(f"  {it.ref}: {fact}", file=sys.stderr)


def _tell(it: Healed) -> str:
    return {"shared": "with its disks", "anew": "made anew"}.get(it.way, it.way) if it.to else it.reason


def _healed_as_json(it: Healed) -> dict[str, Any]:
    return {
        "machine": it.ref,
        "was_on": it.host,
        "on": it.to or None,
        "way": it.way or None,
        "reason": it.reason or None,
        "facts": list(it.facts),
    }


def _must_have_room(healed: Sequence[Healed]) -> None:
    """What was to start elsewhere and did not is an error, after all has been said."""
    left = [it.ref for it in healed if it.meant and not it.to]
    if left:
        raise Failed(f"{len(left)} of {len(healed)} machines did not start elsewhere: {', '.join(left)}", code="not-healed", hint=_HINT)


_HINT = "the reasons stand above; when there is room: the same command again"


@group.command()
@_host
@json_option
def unfence(name: str, as_json: bool) -> None:
    """Let a host in again that was fenced, and answers.

    Copies of machines that were started elsewhere meanwhile are taken away on it: they never run twice.
    """
    with open_cloud() as cloud:
        cleaned = cloud.hosts.unfence(name)
    if as_json:
        print_json({"host": name, "fenced": bool(cleaned.left), "gone": list(cleaned.gone), "left": list(cleaned.left)})
    else:
        _print_cleaned(name, cleaned)
    if cleaned.left:
        raise Failed(f"host {name} stays fenced: {len(cleaned.left)} old copies could not be taken away", code="not-clean")


def _print_cleaned(name: str, cleaned: Cleaned) -> None:
    for ref in cleaned.gone:
        print(f"{ref} runs elsewhere; its old copy is taken away")
    for text in cleaned.left:
        print(text, file=sys.stderr)
    if not cleaned.was_fenced:
        print(f"host {name} was not fenced")
    elif not cleaned.left:
        print(f"host {name} takes machines again; those that are its own start with: tinycloud up FILE")
