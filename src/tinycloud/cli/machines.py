"""Commands for machines: show, ssh, exec, cp, console, vnc, why, power."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinycloud.cli.output import print_json
from tinycloud.cli.session import complete_machine, open_cloud
from tinycloud.errors import NotFound, WrongInput
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.views import Machine, Stack

Ref = Annotated[
    str, typer.Argument(help="shop/web-1; web-1 when only one stack has it; shop when it has only one", autocompletion=complete_machine)
]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Words = Annotated[list[str], typer.Argument(help="a command, after --")]
User = Annotated[str, typer.Option("--user", "-u", help="who logs in [the image's user]")]


def show(
    ref: Annotated[str, typer.Argument(help="a stack or a machine", autocompletion=complete_machine)],
    xml: Annotated[bool, typer.Option("--xml", help="libvirt's XML of the machine")] = False,
    command: Annotated[bool, typer.Option("--command", help="the QEMU command line that runs the machine")] = False,
    json: Json = False,
) -> None:
    """Show a stack or a machine in full."""
    with open_cloud() as cloud:
        if xml:
            print(cloud.machine(ref).xml().rstrip())
        elif command:
            print(cloud.machine(ref).command_line().rstrip())
        elif "/" not in ref and ref in cloud.list_stacks():
            _show_stack(cloud.stack(ref), as_json=json)
        else:
            _show_machine(cloud.machine(ref), as_json=json)


def _show_stack(stack: Stack, *, as_json: bool) -> None:
    from tinycloud.cli.rows import machine_as_json

    outputs = stack.outputs()
    if as_json:
        print_json({"stack": stack.name, "machines": [machine_as_json(m, {}) for m in stack], "outputs": outputs})
        return
    print(f"stack {stack.name}: {len(stack)} machines")
    for machine in stack:
        print(f"  {machine.name:<16} {machine.state:<8} {machine.spec.address or '-'}")
    for name, value in outputs.items():
        print(f"  {name} = {value}")


def _show_machine(machine: Machine, *, as_json: bool) -> None:
    from tinycloud.cli.rows import machine_as_json

    if as_json:
        print_json(
            {
                **machine_as_json(machine, {}),
                "volumes": machine.facts.mark.volumes,
                "addresses": [list(_lease(a)) for a in machine.addresses()],
            }
        )
        return
    spec, mark = machine.spec, machine.facts.mark
    facts: dict[str, Any] = {
        "state": f"{machine.state}{': ' + machine.facts.reason if machine.facts.reason else ''}",
        "host": machine.host,
        "domain": f"{mark.domain}  {mark.uuid}",
        "image": f"{spec.image_name} {spec.image}" if spec.image else "none",
        "hypervisor": f"{spec.hypervisor}, {spec.firmware}",
        "cpus": spec.cpus.count,
        "memory": spec.memory if not spec.memory_max else f"{spec.memory}, up to {spec.memory_max}",
        "disk": f"{Bytes(spec.disk)}  {mark.disk_volume}",
        "seed": mark.seed_volume or "none",
        "login": f"{spec.user}",
    }
    print(machine.ref)
    for name, value in facts.items():
        print(f"  {name:<11} {value}")
    for volume in spec.volumes:
        print(f"  {'volume':<11} {volume.name}  {volume.size}{', keep' if volume.keep else ''}  /dev/disk/by-id/virtio-{volume.name[:20]}")
    for n, nic in enumerate(spec.nics):
        print(f"  {'nic':<11} {nic.network}  {nic.mac}  {mark.tap(n)}")
    for lease in machine.addresses():
        print(f"  {'address':<11} {lease.address}  ({lease.source})")


def _lease(lease: Any) -> tuple[str, str, str]:
    return lease.address, lease.mac, lease.source


def ssh(ref: Ref, words: Words = [], user: User = "") -> None:
    """Log into a machine, or run a command there: tinycloud ssh shop/web-1 -- uptime."""
    with open_cloud() as cloud:
        argv = cloud.machine(ref).door(user).make_ssh_argv(words)
    os.execvp(argv[0], argv)


def exec_(
    ref: Annotated[str, typer.Argument(help="a machine, a group (shop/web) or a stack", autocompletion=complete_machine)],
    words: Words = [],
    user: User = "",
    json: Json = False,
) -> int:
    """Run a command on one or many machines; the status is the worst of theirs."""
    from concurrent.futures import ThreadPoolExecutor

    if not words:
        raise WrongInput("no command given", hint=f"tinycloud exec {ref} -- uptime")
    with open_cloud() as cloud:
        found = cloud.machines(ref)
        with ThreadPoolExecutor(16) as pool:
            done = list(pool.map(lambda machine: machine.exec(words, user=user), found))
    if json:
        print_json(
            [
                {"ref": m.ref, "status": d.status, "stdout": d.text, "stderr": d.stderr.decode(errors="replace")}
                for m, d in zip(found, done, strict=True)
            ]
        )
    for machine, one in zip(found, done, strict=True) if not json else ():
        for stream, body in ((sys.stdout, one.stdout), (sys.stderr, one.stderr)):
            for line in body.decode(errors="replace").splitlines():
                print(line if len(found) == 1 else f"{machine.name}: {line}", file=stream)
    return max((one.status for one in done), default=0)


def cp(
    paths: Annotated[list[str], typer.Argument(help="sources and target; MACHINE:/path names one in a machine")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="folders too")] = False,
) -> None:
    """Copy files to or from a machine: tinycloud cp notes.txt shop/web-1:/tmp/."""
    refs = {path.split(":", 1)[0] for path in paths if ":" in path and not path.startswith(("/", "."))}
    if len(paths) < 2 or len(refs) != 1:
        raise WrongInput("expected sources and a target, with one machine among them", hint="tinycloud cp notes.txt shop/web-1:/tmp/")
    ref = refs.pop()
    words = [f"REMOTE:{path.split(':', 1)[1]}" if path.startswith(f"{ref}:") else path for path in paths]
    with open_cloud() as cloud:
        cloud.machine(ref).copy(words[:-1], words[-1], recursive=recursive)


def console(ref: Ref, lines: Annotated[int, typer.Option(help="only print the last N lines it said")] = 0) -> None:
    """Open a machine's serial line. Ctrl-] leaves it."""
    with open_cloud() as cloud:
        machine = cloud.machine(ref)
        if lines:
            print("\n".join(machine.serial(lines)))
            return
        argv = machine.console_argv()
    print(f"{machine.ref}: serial line; Ctrl-] leaves it", file=sys.stderr)
    os.execvp(argv[0], argv)


def vnc(ref: Ref, open_: Annotated[bool, typer.Option("--open", help="start remote-viewer")] = False) -> None:
    """Print host:port of a machine's screen, or open a viewer."""
    from tinycloud.views import run_interactively

    with open_cloud() as cloud:
        place = cloud.machine(ref).vnc()
    print(place)
    if open_:
        run_interactively(["remote-viewer", f"vnc://{place}"])


def why(ref: Ref, json: Json = False) -> None:
    """Say why a machine is as it is: state, addresses, counters, serial line, set-up, history."""
    with open_cloud() as cloud:
        answer = cloud.why(ref)
    if json:
        print_json({"headline": answer.headline, "facts": answer.facts, "hints": answer.hints})
        return
    print(answer.headline)
    for fact in answer.facts:
        print(f"  {fact}")
    for hint in answer.hints:
        print(f"hint: {hint}")


def _power(ref: str, verb: str, past: str, **options: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with open_cloud() as cloud, ThreadPoolExecutor(8) as pool:
        found = cloud.machines(ref)
        for machine, _ in zip(found, pool.map(lambda m: getattr(m, verb)(**options), found), strict=True):
            print(f"{machine.ref} {past}")


Many = Annotated[str, typer.Argument(help="a machine, a group (shop/web) or a stack", autocompletion=complete_machine)]


def start(ref: Many) -> None:
    """Power machines on."""
    _power(ref, "start", "is started")


def stop(ref: Many, force: Annotated[bool, typer.Option("--force", help="cut the power at once")] = False) -> None:
    """Shut machines down cleanly; the power is cut after their stop_timeout."""
    _power(ref, "stop", "is off", force=force)


def reboot(ref: Many) -> None:
    """Ask machines to restart."""
    _power(ref, "reboot", "reboots")


def reset(ref: Many) -> None:
    """Press the reset button of machines."""
    _power(ref, "reset", "is reset")


def pause(ref: Many) -> None:
    """Freeze machines; resume lets them go on."""
    _power(ref, "pause", "is paused")


def ssh_config(ref: Annotated[str, typer.Argument(help="a stack or machine [all]")] = "") -> None:
    """Print ssh_config lines for machines: tinycloud ssh-config > ~/.ssh/tinycloud, then Include it."""
    with open_cloud() as cloud:
        print(cloud.ssh_config(ref), end="")


def inventory(
    list_: Annotated[bool, typer.Option("--list", help="as Ansible asks")] = True,
    host: Annotated[str | None, typer.Option(help="as Ansible asks")] = None,
    ref: Annotated[str, typer.Option("--stack", help="only this stack")] = "",
) -> None:
    """Ansible's dynamic inventory."""
    with open_cloud() as cloud:
        found = cloud.inventory(ref)
    if host is None:
        print_json(found)
        return
    facts = found["_meta"]["hostvars"].get(host)
    if facts is None:
        raise NotFound(f'there is no host "{host}" in the inventory')
    print_json(facts)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (show, ssh, cp, console, vnc, why, start, stop, reboot, reset, pause, inventory):
        app.command()(command)
    app.command("exec")(exec_)
    app.command("ssh-config")(ssh_config)
