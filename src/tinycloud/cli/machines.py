"""Commands for machines: show, ssh, exec, cp, console, vnc, why, power, ssh-config, inventory."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from tinycloud.cli.many import do_on_all
from tinycloud.cli.output import print_json
from tinycloud.cli.session import complete_machine, json_option, machine_argument, machines_argument, open_cloud
from tinycloud.errors import NotFound, WrongInput

if TYPE_CHECKING:
    from tinycloud.drivers.shell import Done
    from tinycloud.engine.answer import Answer
    from tinycloud.views import Machine

_words = click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
_user = click.option("--user", "-u", default="", help="Who logs in [the image's user].")


@click.command()
@click.argument("ref", metavar="STACK|MACHINE", shell_complete=complete_machine)
@click.option("--xml", is_flag=True, help="Libvirt's XML of the machine, network (shop/front) or disk (shop/web-1/data).")
@click.option("--command", is_flag=True, help="The QEMU command line that runs the machine.")
@json_option
def show(ref: str, xml: bool, command: bool, as_json: bool) -> None:
    """Show a stack or a machine in full."""
    from tinycloud.cli.cards import show_machine, show_stack

    with open_cloud() as cloud:
        if xml:
            print(cloud.xml(ref).rstrip())
        elif command:
            print(cloud.machine(ref).command_line().rstrip())
        elif "/" not in ref and ref in cloud.list_stacks():
            show_stack(cloud.stack(ref), as_json=as_json)
        else:
            show_machine(cloud.machine(ref), as_json=as_json)


@click.command(context_settings={"ignore_unknown_options": False})
@machine_argument
@_words
@_user
def ssh(machine: str, words: tuple[str, ...], user: str) -> None:
    """Log into a machine, or run a command there. Example: tinycloud ssh shop/web-1 -- uptime.

    As with ssh itself, the words are joined and the shell of the machine reads them; exec passes them on as they are.
    """
    with open_cloud() as cloud:
        argv = cloud.machine(machine).door(user).make_ssh_argv(" ".join(words))
    os.execvp(argv[0], argv)


@click.command("exec")
@machines_argument
@_words
@_user
@json_option
def exec_(machines: str, words: tuple[str, ...], user: str, as_json: bool) -> int:
    """Run a command on one or many machines. The exit status is the worst of theirs.

    Of many, those that cannot be entered are named in the end, and the status is 1.
    """
    if not words:
        raise WrongInput("no command given", hint=f"tinycloud exec {machines} -- uptime")
    with open_cloud() as cloud:
        found = cloud.machines(machines)
        outcomes = do_on_all(found, lambda machine: machine.exec(words, user=user))
    for machine, done in outcomes.done if not as_json else ():
        _print_done("" if len(found) == 1 else f"{machine.name}: ", done)
    if len(found) == 1 or not as_json:
        outcomes.must_be_all("did not run it")
    if as_json:
        ran = {m.ref: {"status": d.status, "stdout": d.text, "stderr": d.stderr.decode(errors="replace")} for m, d in outcomes.done}
        told = ran | {m.ref: err.as_json() for m, err in outcomes.failed}
        print_json([{"machine": m.ref, **told[m.ref]} for m in found])
    return max([*(done.status for _, done in outcomes.done), *(err.exit for _, err in outcomes.failed)])


def _print_done(label: str, done: Done) -> None:
    for stream, body in ((sys.stdout, done.stdout), (sys.stderr, done.stderr)):
        for line in body.decode(errors="replace").splitlines():
            print(f"{label}{line}", file=stream)


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--recursive", "-r", is_flag=True, help="Folders too.")
def cp(paths: tuple[str, ...], recursive: bool) -> None:
    """Copy files to or from a machine. Example: tinycloud cp notes.txt shop/web-1:/tmp/."""
    refs = {path.split(":", 1)[0] for path in paths if ":" in path and not path.startswith(("/", "."))}
    if len(paths) < 2 or len(refs) != 1:
        raise WrongInput("expected sources and a target, with one machine among them", hint="tinycloud cp notes.txt shop/web-1:/tmp/")
    ref = refs.pop()
    words = [f"REMOTE:{path.split(':', 1)[1]}" if path.startswith(f"{ref}:") else path for path in paths]
    with open_cloud() as cloud:
        cloud.machine(ref).copy(words[:-1], words[-1], recursive=recursive)


@click.command()
@machine_argument
@click.option("--lines", type=int, default=0, metavar="N", help="Only print the last N lines it said.")
def console(machine: str, lines: int) -> None:
    """Open a machine's serial line. Ctrl-] leaves it."""
    with open_cloud() as cloud:
        target = cloud.machine(machine)
        if lines:
            print("\n".join(target.serial(lines)))
            return
        argv = target.console_argv()
    print(f"{target.ref}: serial line; Ctrl-] leaves it", file=sys.stderr)
    os.execvp(argv[0], argv)


@click.command()
@machine_argument
@click.option("--open", "open_", is_flag=True, help="Start remote-viewer.")
def vnc(machine: str, open_: bool) -> None:
    """Print host:port of a machine's screen, or open a viewer.

    The screen of a machine on another host is within reach as long as the command runs: Ctrl-C ends it.
    """
    from tinycloud.views import run_interactively

    with open_cloud() as cloud, (target := cloud.machine(machine)).screen() as place:
        print(place, flush=True)
        if open_:
            run_interactively(["remote-viewer", f"vnc://{place}"])
        elif place != target.vnc():
            print(f"leads to {target.host} until Ctrl-C", file=sys.stderr)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()


@click.command()
@click.argument("machine", required=False, default="", shell_complete=complete_machine)
@click.option("--to", "target", default="", metavar="WHOM", help="May it reach WHOM: a machine, host, or an address?")
@click.option("--from", "source", default="", metavar="WHO", help="May WHO reach it?")
@click.option("--port", default="", metavar="PORT", help="With --to or --from: tcp/5432, udp/53 or icmp.")
@json_option
def why(machine: str, target: str, source: str, port: str, as_json: bool) -> None:
    """Say why a machine is as it is; or, with --to or --from, why one may reach the other or not.

    State, addresses, counters, serial line, set-up, history. Or every rule on the way, which host applies it, and what lets it pass or
    stops it. Example: tinycloud why shop/web-1 --to shop/db-1 --port tcp/5432.
    """
    if target or source:
        _why_reach(machine, source, target, port, as_json=as_json)
        return
    if not machine or port:
        raise WrongInput("say which machine" if not machine else "--port goes with --to or --from", hint="tinycloud why --help")
    with open_cloud() as cloud:
        _print_answer(cloud.why(machine), as_json=as_json)


def _why_reach(machine: str, source: str, target: str, port: str, *, as_json: bool) -> None:
    """MACHINE is the side that no option names."""
    if bool(machine) == bool(source and target):
        what = "MACHINE, --from and --to are one side too many" if machine else "one side is missing"
        raise WrongInput(what, hint="tinycloud why shop/web-1 --to shop/db-1 --port tcp/5432")
    with open_cloud() as cloud:
        answer = cloud.reach(source or machine, target or machine, port)
    _print_answer(answer, {"allowed": answer.allowed, "reasons": [asdict(reason) for reason in answer.reasons]}, as_json=as_json)


def _print_answer(answer: Answer, more: dict[str, Any] = {}, *, as_json: bool) -> None:
    if as_json:
        print_json({"headline": answer.headline, **more, "facts": answer.facts, "hints": answer.hints})
        return
    print(answer.headline)
    for fact in answer.facts:
        print(f"  {fact}")
    for hint in answer.hints:
        print(f"hint: {hint}")


def _power(ref: str, verb: str, past: str, **options: Any) -> None:
    """The same button on many machines at once."""

    def press(machine: Machine) -> None:
        getattr(machine, verb)(**options)

    with open_cloud() as cloud:
        outcomes = do_on_all(cloud.machines(ref), press, most=8)
    for machine, _ in outcomes.done:
        print(f"{machine.ref} {past}")
    outcomes.must_be_all(f"did not {verb}")


@click.command()
@machines_argument
def start(machines: str) -> None:
    """Power machines on."""
    _power(machines, "start", "is started")


@click.command()
@machines_argument
@click.option("--force", is_flag=True, help="Cut the power at once.")
def stop(machines: str, force: bool) -> None:
    """Shut machines down cleanly. The power is cut after their stop_timeout."""
    _power(machines, "stop", "is off", force=force)


@click.command()
@machines_argument
def reboot(machines: str) -> None:
    """Ask machines to restart."""
    _power(machines, "reboot", "reboots")


@click.command()
@machines_argument
def reset(machines: str) -> None:
    """Press the reset button of machines."""
    _power(machines, "reset", "is reset")


@click.command()
@machines_argument
def pause(machines: str) -> None:
    """Freeze machines; resume lets them go on."""
    _power(machines, "pause", "is paused")


@click.command("ssh-config")
@click.argument("ref", default="", shell_complete=complete_machine)
def ssh_config(ref: str) -> None:
    """Print lines for ssh_config. Write them to ~/.ssh/tinycloud, and Include that file."""
    with open_cloud() as cloud:
        print(cloud.ssh_config(ref), end="")


@click.command()
@click.option("--list", "list_", is_flag=True, help="All of it, as Ansible asks; the default.")
@click.option("--host", help="One host's facts, as Ansible asks.")
@click.option("--stack", default="", help="Only this stack.")
def inventory(list_: bool, host: str | None, stack: str) -> None:
    """Ansible's dynamic inventory."""
    with open_cloud() as cloud:
        found = cloud.inventory(stack)
    if host is None:
        print_json(found)
        return
    facts = found["_meta"]["hostvars"].get(host)
    if facts is None:
        raise NotFound(f'there is no host "{host}" in the inventory')
    print_json(facts)


COMMANDS: Final = (show, ssh, exec_, cp, why, console, vnc, start, stop, reboot, reset, pause, ssh_config, inventory)
