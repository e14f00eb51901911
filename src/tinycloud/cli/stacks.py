"""Commands for stacks: plan, up, down, resume, rollback, ls, outputs, run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tinycloud.cli.asking import Asking
from tinycloud.cli.live import make_display
from tinycloud.cli.output import format_value, print_json, print_line, print_table
from tinycloud.cli.session import (
    complete_stack,
    json_option,
    keep_failed_option,
    open_cloud,
    parse_sets,
    plain_option,
    spare_option,
    stack_argument,
    wait_option,
    yes_option,
)
from tinycloud.cli.space import say_filling, say_woken
from tinycloud.errors import EXIT_CHANGES, WrongInput
from tinycloud.model.units import Duration

if TYPE_CHECKING:
    from tinycloud.views import Machine, Stack

_file = click.argument("file", type=click.Path(path_type=Path))
_sets = click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="An input; NAME=@FILE takes it from a file.")
_inputs = click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE", help="A YAML file of inputs.")
_replace = click.option("--replace", multiple=True, metavar="NAME", help="A machine, group or network that may be made anew.")


@click.command()
@_file
@_sets
@_inputs
@_replace
@click.option("--world", type=click.Path(path_type=Path), metavar="FILE", help="Plan on a saved world instead of the hosts.")
@spare_option
@json_option
def plan(
    file: Path,
    sets: tuple[str, ...],
    inputs: Path | None,
    replace: tuple[str, ...],
    world: Path | None,
    spare: str | None,
    as_json: bool,
) -> int:
    """Show what up would do. Exit status 0: nothing, 3: something."""
    from tinycloud.cli.show_plan import format_plan, plan_as_json
    from tinycloud.cli.system import load_world

    with open_cloud() as cloud:
        made = cloud.plan(file, parse_sets(sets, inputs), replace=replace, saved=load_world(world) if world else None, spare=spare or "")
    if as_json:
        print_json(plan_as_json(made))
    else:
        print("\n".join(format_plan(made, str(file))))
    return 0 if made.is_empty else EXIT_CHANGES


@click.command()
@_file
@_sets
@_inputs
@_replace
@spare_option
@yes_option
@keep_failed_option
@wait_option
@json_option
@plain_option
def up(
    file: Path,
    sets: tuple[str, ...],
    inputs: Path | None,
    replace: tuple[str, ...],
    spare: str | None,
    yes: bool,
    keep_failed: bool,
    wait: float,
    as_json: bool,
    plain: bool,
) -> None:
    """Make a stack file real."""
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        asking = Asking(display, yes=yes, source=str(file))
        given = parse_sets(sets, inputs)
        stack = cloud.up(
            file, given, replace=replace, keep_failed=keep_failed, wait=wait, spare=spare or "", agree=asking.agree, listener=display.hear
        )
        display.close()
        say_woken(cloud)
        if display.for_programs:
            print_line({"stack": stack.name, "changed": asking.changed, "seconds": asking.seconds, "machines": [m.ref for m in stack]})
        else:
            _say_up(stack, asking)


def _say_up(stack: Stack, asking: Asking) -> None:
    if waiting := [machine.ref for machine in stack if machine.state == "unreachable"]:
        print(f"left alone, for their hosts do not answer: {', '.join(waiting)}; tinycloud host list")
    if not asking.changed or asking.plan is None:
        print(f"{stack.name} has nothing to do" if waiting else f"{stack.name} is up; nothing to do")
        return
    print(f"{stack.name} is up in {Duration(asking.seconds)}")
    groups = sorted({machine.facts.mark.group for machine in stack})
    rows = stack.outputs() or {group: [_find_address(m) for m in stack.group(group)] for group in groups}
    rows |= dict.fromkeys(asking.plan.secrets, f"shown with: tinycloud outputs {stack.name} --secrets")
    _print_pairs(rows)


def _find_address(machine: Machine) -> str:
    return next((lease.address for lease in machine.addresses()), "-")


def _print_pairs(rows: dict[str, Any]) -> None:
    width = max((len(name) for name in rows), default=0)
    for name, value in rows.items():
        print(f"  {name:<{width}}  {format_value(value)}")


@click.command()
@stack_argument
@click.option("--volumes", is_flag=True, help="Also volumes marked keep.")
@yes_option
@wait_option
@json_option
@plain_option
def down(stack: str, volumes: bool, yes: bool, wait: float, as_json: bool, plain: bool) -> None:
    """Take a stack away, by its name or its file. Clean shutdown first, then all that carries its mark goes."""
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        asking = Asking(display, yes=yes)
        made = cloud.down(stack, volumes=volumes, wait=wait, agree=asking.agree, listener=display.hear)
        display.close()
        say_woken(cloud)
    if display.for_programs:
        print_line({"stack": made.stack, "removed": [f"{c.kind} {c.name}" for c in made.changes if c.act == "-"]})
        return
    print(f"{made.stack} is gone" + ("" if made.steps else "; nothing was left of it"))
    for change in made.changes:
        if change.act == "=":
            print(f"  {change.kind} {change.name} stays; tinycloud down {made.stack} --volumes removes it")


@click.command()
@click.argument("target", shell_complete=complete_stack)
@keep_failed_option
@wait_option
@json_option
@plain_option
def resume(target: str, keep_failed: bool, wait: float, as_json: bool, plain: bool) -> None:
    """Finish what was interrupted, or let paused machines go on."""
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        if cloud.has_unfinished(target):
            display.open()
            cloud.resume(target, listener=display.hear, keep_failed=keep_failed, wait=wait)
            display.close()
            _report(f"{target}: the execution is finished", as_json=display.for_programs)
            return
        for machine in cloud.machines(target):
            machine.unpause()
            _report(f"{machine.ref} is running", as_json=as_json)


@click.command()
@stack_argument
@wait_option
@json_option
@plain_option
def rollback(stack: str, wait: float, as_json: bool, plain: bool) -> None:
    """Undo what an interrupted execution did."""
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        display.open()
        cloud.rollback(stack, listener=display.hear, wait=wait)
        display.close()
        _report(f"{stack}: what the execution did was undone", as_json=display.for_programs)


def _report(text: str, *, as_json: bool) -> None:
    if as_json:
        print_line({"result": text})
    else:
        print(text)


@click.command()
@click.argument("ref", default="", shell_complete=complete_stack)
@json_option
def ls(ref: str, as_json: bool) -> None:
    """List machines: all, a stack's, a group's (shop/web)."""
    from tinycloud.cli.rows import HEAD, machine_as_json, make_rows

    with open_cloud() as cloud:
        found = cloud.machines(ref)
        used = cloud.disk_use(found)
        filling = cloud.space.filling()
    if as_json:
        print_json([machine_as_json(machine, used) for machine in found])
    elif found:
        print_table(HEAD, make_rows(found, used, time.time()))
    else:
        print("no machines; tinycloud up FILE makes some")
    if not as_json:
        say_filling(filling)


@click.command()
@stack_argument
@click.option("--secrets", is_flag=True, help="Show secret values, the generated ones too.")
@json_option
def outputs(stack: str, secrets: bool, as_json: bool) -> None:
    """Show a stack's outputs."""
    with open_cloud() as cloud:
        found = cloud.stack(stack)
        values = {**(found.secrets() if secrets else {}), **found.outputs(secrets=secrets)}
    if as_json:
        print_json(values)
    else:
        _print_pairs(values)


@click.command()
@click.argument("image")
@click.option("--name", default="", help="Its name [IMAGE-N].")
@click.option("--memory", default="512 MiB", show_default=True)
@click.option("--cpus", type=click.IntRange(1), default=1, show_default=True)
@click.option("--disk", help="Size of the root disk [the image's].")
@click.option("--volume", multiple=True, metavar="NAME:SIZE", help="A data disk.")
@click.option("--hypervisor", type=click.Choice(["auto", "kvm", "qemu"]), default="auto")
@click.option("--firmware", type=click.Choice(["bios", "uefi"]), default="bios")
@click.option("--graphics", type=click.Choice(["vnc", "none"]), default="vnc")
@click.option("--run", "commands", multiple=True, metavar="COMMAND", help="A shell command for its first start.")
@click.option("--ready", type=click.Choice(["started", "address", "ssh", "done"]), default="done", help="How far to wait.")
@keep_failed_option
@json_option
@plain_option
def run(
    image: str,
    name: str,
    disk: str | None,
    volume: tuple[str, ...],
    commands: tuple[str, ...],
    keep_failed: bool,
    as_json: bool,
    plain: bool,
    **simple: Any,
) -> None:
    """Run one machine from an image, without a file. It is a stack of its own: down NAME removes it."""
    group = simple
    if disk:
        group["disk"] = disk
    if volume:
        group["volumes"] = [_parse_volume(text) for text in volume]
    if commands:
        group["guest"] = {"run": list(commands)}
    with open_cloud() as cloud, make_display(as_json=as_json, plain=plain) as display:
        display.open()
        machine = cloud.run(image, name, listener=display.hear, keep_failed=keep_failed, **group)
        display.close()
    stack = machine.facts.mark.stack
    if display.for_programs:
        print_line({"machine": machine.ref, "address": machine.spec.address})
    else:
        print(f"{machine.ref} is {machine.state} at {machine.spec.address}\n  tinycloud ssh {stack}\n  tinycloud down {stack}")


def _parse_volume(text: str) -> dict[str, str]:
    name, colon, size = text.partition(":")
    if not colon:
        raise WrongInput(f"--volume {text!r}: expected NAME:SIZE", hint="--volume data:10GiB")
    return {"name": name, "size": size}


COMMANDS: Final = (up, plan, down, ls, run, outputs, resume, rollback)
