"""``balance``, and ``host drain --evacuate``: which machines should go where, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tinycloud.cli.asking import is_agreed
from tinycloud.cli.capacity import world_option
from tinycloud.cli.live import make_display
from tinycloud.cli.output import paint, print_json, print_line, print_table
from tinycloud.cli.session import json_option, open_cloud, plain_option, wait_option, yes_option
from tinycloud.errors import EXIT_CHANGES, Declined, WrongInput
from tinycloud.model.load import WATCH
from tinycloud.model.units import Bytes, Duration

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.cloud import Cloud
    from tinycloud.model.balance import Balance, Fullness

_SAMPLE: Final = "Measure load now, for so long; 0: not at all [what watch keeps, else 5]."


@click.command()
@click.option("--pack", is_flag=True, help="Empty as many hosts as can be, so that they may be switched off.")
@click.option("--most", type=click.IntRange(0), default=0, metavar="N", help="Move no more machines than that [as many as pay off].")
@click.option("--keep", multiple=True, metavar="MACHINE", help="Leave it where it is.")
@click.option("--price", type=click.FloatRange(0), default=1.0, show_default=True, help="How dear a move is; 0: every little helps.")
@click.option(
    "--sample",
    type=click.FloatRange(0),
    default=None,
    metavar="SECONDS",
    help=_SAMPLE,
)
@click.option("--spare", type=click.Choice(["auto", "0", "1"]), default=None, help="With --pack: hosts that may still die.")
@click.option("--apply", is_flag=True, help="Carry the moves out.")
@world_option
@yes_option
@wait_option
@json_option
@plain_option
def balance(
    pack: bool,
    most: int,
    keep: tuple[str, ...],
    price: float,
    sample: float | None,
    spare: str | None,
    apply: bool,
    world: Path | None,
    yes: bool,
    wait: float,
    as_json: bool,
    plain: bool,
) -> int:
    """Propose moves that make the hosts more evenly full. Exit status 0: none, 3: some.

    Every state between two moves fits and breaks no rule; a machine that is where it must not be goes first.
    """
    from tinycloud.cli.system import load_world

    if apply and world:
        raise WrongInput("a saved world cannot be changed", code="usage", hint="tinycloud balance --apply, without --world")
    with open_cloud() as cloud:
        saved = load_world(world) if world else None
        if pack:
            found = cloud.pack(spare=spare or "", saved=saved)
        else:
            found = cloud.balance(most=most, price=price, keep=keep, sample=sample, saved=saved)
        if apply and found.moves:
            carry_out(cloud, found, yes=yes, wait=wait, as_json=as_json, plain=plain)
            return 0
    _say(found, as_json=as_json)
    return EXIT_CHANGES if found.moves else 0


def _say(found: Balance, *, as_json: bool) -> None:
    if as_json:
        print_json(balance_as_json(found))
    else:
        print_balance(found)


def carry_out(cloud: Cloud, found: Balance, *, yes: bool, wait: float, as_json: bool, plain: bool) -> None:
    """Show the moves, ask, and make them."""
    with make_display(as_json=as_json, plain=plain) as display:
        if not yes:
            _must_agree(found, for_programs=display.for_programs)
        display.open()
        cloud.carry_out(found, wait=wait, listener=display.hear)
        display.close()
        if display.for_programs:
            print_line({"moved": [{"machine": it.machine, "from": it.source, "to": it.target} for it in found.moves]})
        else:
            print(f"{_count(len(found.moves), 'machine')} moved; score {found.score[0]:.1f} → {found.score[1]:.1f}")


def _must_agree(found: Balance, *, for_programs: bool) -> None:
    """Show the moves and ask; raises Declined."""
    if for_programs or not sys.stdin.isatty():
        raise Declined("there is nobody to ask", hint="add --yes")
    print_balance(found)
    if not is_agreed():
        raise Declined("you said no")


def evacuate_host(cloud: Cloud, name: str, *, yes: bool, wait: float, as_json: bool, plain: bool) -> int:
    """Let nothing new onto a host, and move everything away from it; 3 when something stays. Whoever says no has changed nothing."""
    if not yes and (proposed := cloud.evacuate(name)).moves:
        _must_agree(proposed, for_programs=as_json or not (plain or sys.stdout.isatty()))
    cloud.hosts.drain(name)
    found = cloud.evacuate(name)
    if found.moves:
        carry_out(cloud, found, yes=True, wait=wait, as_json=as_json, plain=plain)
    elif as_json:
        print_json(balance_as_json(found))
    else:
        print(f"nothing on {name} can be moved" if found.stuck else f"nothing is on {name}")
    if not as_json:
        _print_stuck(found)
    return EXIT_CHANGES if found.stuck else 0


def print_balance(found: Balance) -> None:
    """The moves, what they are good for, and what cannot be helped."""
    if found.moves:
        rows = [(str(n), it.machine, it.source, it.target, str(Bytes(it.cost)), it.reason) for n, it in enumerate(found.moves, 1)]
        print_table(("", "MACHINE", "FROM", "TO", "TRAVELS", "WHY"), rows)
        print()
    print_table(("HOST", "MACHINES", "MEMORY", "CPU"), [_host_row(it) for it in found.hosts])
    print(_sum(found))
    print(_tell_measured(found))
    _print_stuck(found)


def _print_stuck(found: Balance) -> None:
    for machine, reasons in found.stuck.items():
        print(f"{paint('note', 'yellow')}: {machine} should go, and no host can take it")
        for reason in reasons:
            print(f"  {reason}")


def _host_row(it: Fullness) -> tuple[str, ...]:
    return it.host, _pair(*map(str, it.machines)), _pair(*(f"{x:.0%}" for x in it.memory)), _pair(*(f"{x:.0%}" for x in it.cpu))


def _pair(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _sum(found: Balance) -> str:
    safe = _pair(*("any host may die" if it else "not every host may die" for it in found.safe))
    broken = f", {_pair(*map(str, found.broken))} where they must not be" if any(found.broken) else ""
    score = _pair(*(f"{it:.1f}" for it in found.score))
    if not found.moves:
        return f"nothing to move. Score {score}{broken}; {safe}."
    return f"{_count(len(found.moves), 'move')}, {Bytes(found.cost)} travel. Score {score} (0 empty, 100 full){broken}; {safe}."


def _tell_measured(found: Balance) -> str:
    """From where the load of machines is known, and for how long it was measured."""
    times = [Duration(round(it.seconds) if it.seconds >= 10 else it.seconds) for it in found.measured]
    parts = [f"over the last {time} by watch" if it.by == WATCH else f"for {time}" for it, time in zip(found.measured, times, strict=True)]
    if not parts:
        return "Load was not measured: each processor of a machine counts a tenth."
    if len(parts) > 1:
        parts = [f"of {_count(it.machines, 'machine')} {part}" for it, part in zip(found.measured, parts, strict=True)]
    return f"Load was measured {', '.join(parts)}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def balance_as_json(found: Balance) -> dict[str, Any]:
    """Moves in their order, and everything before and after."""
    return {
        "moves": [
            {
                "machine": it.machine,
                "from": it.source,
                "to": it.target,
                "cost": it.cost,
                "reason": it.reason,
                "turn": it.turn,
                "running": it.running,
            }
            for it in found.moves
        ],
        "score": list(found.score),
        "broken": list(found.broken),
        "safe": list(found.safe),
        "hosts": [{"host": it.host, "memory": list(it.memory), "cpu": list(it.cpu), "machines": list(it.machines)} for it in found.hosts],
        "stuck": {machine: list(reasons) for machine, reasons in found.stuck.items()},
        "measured": [{"by": it.by or None, "seconds": it.seconds, "machines": it.machines} for it in found.measured],
    }


COMMANDS: Final = (balance,)
