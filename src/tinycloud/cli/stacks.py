"""Commands for stacks: plan, up, down, resume, rollback, ls, show, outputs, run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinycloud.cli.output import print_json, print_line, print_table
from tinycloud.cli.session import complete_stack, open_cloud, parse_sets
from tinycloud.errors import EXIT_CHANGES, Declined, WrongInput
from tinycloud.model.units import Duration

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan
    from tinycloud.views import Stack

File = Annotated[Path, typer.Argument(help="the stack file", metavar="FILE")]
Sets = Annotated[list[str], typer.Option("--set", help="an input: NAME=VALUE, or NAME=@FILE", metavar="NAME=VALUE")]
InputsFile = Annotated[Path | None, typer.Option("--inputs", help="a YAML file of inputs", metavar="FILE")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Replace = Annotated[list[str], typer.Option("--replace", help="machine, group or network that may be made anew", metavar="NAME")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
Plain = Annotated[bool, typer.Option("--plain", help="readable lines even where nobody watches")]
Wait = Annotated[float, typer.Option(help="seconds to wait for somebody else's work on the stack")]
KeepFailed = Annotated[bool, typer.Option("--keep-failed", help="leave things as they are after a failure, to look")]
StackName = Annotated[str, typer.Argument(help="a stack", metavar="STACK", autocompletion=complete_stack)]


def plan(
    file: File,
    sets: Sets = [],
    inputs: InputsFile = None,
    replace: Replace = [],
    world: Annotated[Path | None, typer.Option(help="plan on a saved world (tinycloud world) instead of the hosts", metavar="FILE")] = None,
    json: Json = False,
) -> int:
    """Show what up would do. Status 0: nothing, 3: something."""
    from tinycloud.cli.show_plan import format_plan, plan_as_json
    from tinycloud.cli.system import load_world

    with open_cloud() as cloud:
        made = cloud.plan(file, parse_sets(sets, inputs), replace=replace, saved=load_world(world) if world else None)
    if json:
        print_json(plan_as_json(made))
    else:
        print("\n".join(format_plan(made, str(file))))
    return 0 if made.is_empty else EXIT_CHANGES


def up(
    file: File,
    sets: Sets = [],
    inputs: InputsFile = None,
    replace: Replace = [],
    yes: Yes = False,
    keep_failed: KeepFailed = False,
    wait: Wait = 0.0,
    json: Json = False,
    plain: Plain = False,
) -> None:
    """Make a stack file real."""
    ask = _Asking(yes=yes, as_json=json, source=str(file))
    with open_cloud() as cloud, _listener(as_json=json, plain=plain) as board:
        ask.board = board
        stack = cloud.up(
            file, parse_sets(sets, inputs), replace=replace, keep_failed=keep_failed, wait=wait, agree=ask.agree, listener=board.hear
        )
        _say_up(stack, ask, as_json=json or not (sys.stdout.isatty() or plain))


class _Asking:
    """Shows a plan and asks; remembers what it showed."""

    def __init__(self, *, yes: bool, as_json: bool, source: str = "") -> None:
        self.yes = yes
        self.as_json = as_json
        self.source = source
        self.plan: Plan | None = None
        self.began = time.monotonic()
        self.board: Any = None

    def agree(self, plan: Plan) -> bool:
        from tinycloud.cli.show_plan import format_plan

        self.plan = plan
        if not self.yes:
            if self.as_json or not sys.stdin.isatty():
                raise Declined("there is nobody to ask", hint="add --yes")
            print("\n".join(format_plan(plan, self.source)))
            if input("go ahead? [y/N] ").strip().lower() not in ("y", "yes"):
                return False
        self.began = time.monotonic()
        self.board.open()
        return True


def _listener(*, as_json: bool, plain: bool = False) -> Any:
    from tinycloud.cli.live import make_listener

    return make_listener(as_json=as_json, text=plain)


def _say_up(stack: Stack, ask: _Asking, *, as_json: bool) -> None:
    changed = ask.plan is not None and not ask.plan.is_empty
    took = Duration(time.monotonic() - ask.began)
    if as_json:
        print_line({"stack": stack.name, "changed": changed, "seconds": round(float(took), 3), "machines": [m.ref for m in stack]})
        return
    if not changed:
        print(f"{stack.name} is up; nothing to do")
        return
    ask.board.close()
    print(f"{stack.name} is up in {took}")
    outputs = stack.outputs()
    rows = outputs or {group: [m.spec.address or "-" for m in stack.group(group)] for group in sorted({m.facts.mark.group for m in stack})}
    width = max((len(name) for name in rows), default=0)
    for name, value in rows.items():
        print(f"  {name:<{width}}  {_flat(value)}")
    secrets = ask.plan.secrets if ask.plan else ()
    for name in secrets:
        print(f"  {name:<{width}}  shown with: tinycloud outputs {stack.name} --secrets")


def _flat(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def down(
    stack: Annotated[str, typer.Argument(help="a stack, or its file", metavar="STACK", autocompletion=complete_stack)],
    volumes: Annotated[bool, typer.Option("--volumes", help="also volumes marked keep")] = False,
    yes: Yes = False,
    wait: Wait = 0.0,
    json: Json = False,
    plain: Plain = False,
) -> None:
    """Take a stack away: clean shutdown, then all that carries its mark."""
    ask = _Asking(yes=yes, as_json=json)
    with open_cloud() as cloud, _listener(as_json=json, plain=plain) as board:
        ask.board = board
        made = cloud.down(stack, volumes=volumes, wait=wait, agree=ask.agree, listener=board.hear)
        board.close()
    if json or not (sys.stdout.isatty() or plain):
        print_line({"stack": made.stack, "removed": [f"{c.kind} {c.name}" for c in made.changes if c.act == "-"]})
        return
    print(f"{made.stack} is gone" + ("" if made.steps else "; nothing was left of it"))
    for change in made.changes:
        if change.act == "=":
            print(f"  {change.kind} {change.name} stays; tinycloud down {made.stack} --volumes removes it")


def resume(
    target: Annotated[str, typer.Argument(help="a stack with an unfinished execution, or a paused machine", autocompletion=complete_stack)],
    keep_failed: KeepFailed = False,
    json: Json = False,
    plain: Plain = False,
) -> None:
    """Finish an interrupted execution of a stack, or let a paused machine go on."""
    with open_cloud() as cloud, _listener(as_json=json, plain=plain) as board:
        if cloud.has_unfinished(target):
            board.open()
            cloud.resume(target, listener=board.hear, keep_failed=keep_failed)
            board.close()
            _report(f"{target}: execution finished", as_json=json)
            return
        for machine in cloud.machines(target):
            machine.unpause()
            _report(f"{machine.ref} is running", as_json=json)


def rollback(stack: StackName, json: Json = False, plain: Plain = False) -> None:
    """Undo what an interrupted execution did."""
    with open_cloud() as cloud, _listener(as_json=json, plain=plain) as board:
        board.open()
        cloud.rollback(stack, listener=board.hear)
        board.close()
        _report(f"{stack}: what the execution did was undone", as_json=json)


def _report(text: str, *, as_json: bool) -> None:
    if as_json:
        print_line({"result": text})
    else:
        print(text)


def ls(
    ref: Annotated[str, typer.Argument(help="a stack, a group (shop/web) or a machine", autocompletion=complete_stack)] = "",
    json: Json = False,
) -> None:
    """List machines."""
    from tinycloud.cli.rows import HEAD, machine_as_json, make_rows

    with open_cloud() as cloud:
        found = cloud.machines(ref)
        used = cloud.disk_use(found)
        if json:
            print_json([machine_as_json(machine, used) for machine in found])
        elif found:
            print_table(HEAD, make_rows(found, used, time.time()))
        else:
            print("no machines; tinycloud up FILE makes some")


def outputs(
    stack: StackName,
    secrets: Annotated[bool, typer.Option("--secrets", help="show secret values")] = False,
    json: Json = False,
) -> None:
    """Show a stack's outputs, and with --secrets its generated passwords."""
    with open_cloud() as cloud:
        found = cloud.stack(stack)
        values = {**found.outputs(secrets=secrets), **(found.secrets() if secrets else {})}
    if json:
        print_json(values)
    for name, value in values.items() if not json else ():
        print(f"{name}  {_flat(value)}")


def run(
    image: Annotated[str, typer.Argument(help="an image")],
    name: Annotated[str, typer.Option(help="its name [IMAGE-N]")] = "",
    memory: Annotated[str, typer.Option(help="such as 1GiB")] = "512 MiB",
    cpus: Annotated[int, typer.Option(min=1)] = 1,
    disk: Annotated[str | None, typer.Option(help="size of the root disk [the image's]")] = None,
    volume: Annotated[list[str], typer.Option(help="a data disk: NAME:SIZE", metavar="NAME:SIZE")] = [],
    hypervisor: Annotated[str, typer.Option(help="auto, kvm or qemu")] = "auto",
    firmware: Annotated[str, typer.Option(help="bios or uefi")] = "bios",
    graphics: Annotated[str, typer.Option(help="vnc or none")] = "vnc",
    command: Annotated[list[str], typer.Option("--run", help="a shell command for its first start")] = [],
    ready: Annotated[str, typer.Option(help="wait until: started, address, ssh, done")] = "done",
    keep_failed: KeepFailed = False,
    json: Json = False,
    plain: Plain = False,
) -> None:
    """Run one machine from an image, without a file. It is a stack of its own: down NAME removes it."""
    group: dict[str, Any] = {
        "memory": memory,
        "cpus": cpus,
        "hypervisor": hypervisor,
        "firmware": firmware,
        "graphics": graphics,
        "ready": ready,
    }
    if disk:
        group["disk"] = disk
    if volume:
        group["volumes"] = [_parse_volume(text) for text in volume]
    if command:
        group["guest"] = {"run": command}
    with open_cloud() as cloud, _listener(as_json=json, plain=plain) as board:
        board.open()
        machine = cloud.run(image, name, listener=board.hear, keep_failed=keep_failed, **group)
        board.close()
        stack = machine.facts.mark.stack
        if json:
            print_line({"machine": machine.ref, "address": machine.spec.address})
        else:
            print(f"{machine.ref} is {machine.state} at {machine.spec.address}\n  tinycloud ssh {stack}\n  tinycloud down {stack}")


def _parse_volume(text: str) -> dict[str, str]:
    name, colon, size = text.partition(":")
    if not colon:
        raise WrongInput(f"--volume {text!r}: expected NAME:SIZE", hint="--volume data:10GiB")
    return {"name": name, "size": size}


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (plan, up, down, ls, run, outputs, resume, rollback):
        app.command()(command)
