"""Commands for hosts."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tinycloud.cli.balance import evacuate_host
from tinycloud.cli.output import paint, print_json, print_table
from tinycloud.cli.session import complete_host, json_option, open_cloud, plain_option, wait_option, yes_option
from tinycloud.errors import WrongInput
from tinycloud.model.units import Bytes, Duration
from tinycloud.plan.load import count_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.engine.finding import Finding
    from tinycloud.engine.host_rows import HostRow, Shown
    from tinycloud.model.host import HostEntry
    from tinycloud.model.load import Average

F = TypeVar("F", bound="Callable[..., Any]")

_host = click.argument("name", metavar="HOST", shell_complete=complete_host)
_HEAD = ("NAME", "STATE", "ADDRESS", "MACHINES", "CPU", "BUSY", "MEMORY", "FREE", "DISK FREE", "LABELS")
_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.group("host")
def group() -> None:
    """Hosts: the servers that machines run on."""


def host_as_json(row: HostRow) -> dict[str, Any]:
    facts, entry = row.facts, row.entry
    return {
        "name": row.name,
        "state": row.state,
        "thought": row.thought if facts.unreachable else None,
        "unreachable": facts.unreachable or None,
        "target": entry.target,
        "address": entry.address,
        "labels": dict(entry.labels),
        "drained": entry.drained or None,
        "fenced": entry.fenced or None,
        "fence": list(entry.fence),
        "arch": facts.arch,
        "hypervisors": list(facts.hypervisors),
        "machines": row.machines,
        "running": row.running,
        "cpus": {"count": facts.cpus, "promised": row.cpus_promised, "ratio": entry.cpu_ratio},
        "memory": {
            "total": int(facts.memory),
            "promised": int(row.memory_promised),
            "free": int(facts.memory_free),
            "ratio": entry.memory_ratio,
        },
        "load": _load_as_json(row.load),
        "pools": [{"name": it.name, "capacity": int(it.capacity), "free": int(it.free)} for it in facts.pools],
    }


def _load_as_json(load: Average | None) -> dict[str, Any] | None:
    """As a watch measured it."""
    if load is None:
        return None
    return {
        "cpu": round(load.cpu, 3),
        "memory": round(load.memory),
        "disk": round(load.disk),
        "net": round(load.net),
        "seconds": round(count_seconds(load)),
    }


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List hosts: what they have, what of it is promised to machines, what is free."""
    with open_cloud() as cloud:
        rows = cloud.hosts.list()
    if as_json:
        print_json([host_as_json(row) for row in rows])
        return
    head = tuple(word for word in _HEAD if word != "BUSY" or any(row.load for row in rows))
    print_table(head, [_row(row, busy="BUSY" in head) for row in rows])
    for row in rows:
        if "answers again" in row.notes:
            told = f"{row.name} is fenced and answers: tinycloud host unfence {row.name}"
            print(f"{paint('note', 'yellow', sys.stderr)}: {told}", file=sys.stderr)


def _row(row: HostRow, *, busy: bool) -> tuple[str, ...]:
    facts, silent = row.facts, bool(row.facts.unreachable)
    labels = " ".join(f"{key}={value}" for key, value in row.entry.labels)
    return (
        row.name,
        ", ".join([row.state, *row.notes]),
        row.entry.address or "-",
        f"{row.machines} unreachable" if silent and row.machines else "-" if silent else f"{row.running}/{row.machines}",
        f"{row.cpus_promised}/{facts.cpus}" if facts.cpus else "-",
        *([f"{row.load.cpu:.1f}" if row.load else "-"] if busy else []),
        f"{row.memory_promised}/{facts.memory}" if facts.memory else "-",
        "-" if silent else str(facts.memory_free),
        "-" if silent or facts.pool is None else f"{facts.pool.free} of {facts.pool.capacity}",
        labels or "-",
    )


@group.command()
@_host
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one host in full."""
    with open_cloud() as cloud:
        row, who, shown = cloud.hosts.show(name), None, None
        if not row.facts.unreachable:
            who, shown = cloud.hosts.identity(name), cloud.hosts.processor(name)
    if as_json:
        more: dict[str, Any] = {"uuid": who.uuid, "libvirt": who.libvirt, "qemu": who.hypervisor, "processor": who.cpu_name} if who else {}
        more |= {"shown": {"model": shown.model or None, "limits": shown.limits, "without": shown.without or None}} if shown else {}
        print_json({**host_as_json(row), **more})
        return
    entry, facts = row.entry, row.facts
    lines = {
        "name": row.name,
        "state": _tell_state(row),
        "ssh": entry.target or "(this machine)",
        "libvirt": entry.uri or "",
        "address": entry.address or "-",
        "labels": " ".join(f"{key}={value}" for key, value in entry.labels) or "-",
        "machines": f"{row.running} of {row.machines} run",
        "cpus": f"{facts.cpus} ({facts.arch}), {row.cpus_promised} promised; up to {entry.cpu_ratio:g} for each",
        "memory": f"{facts.memory}, {row.memory_promised} promised, {facts.memory_free} free; {_tell_times(entry.memory_ratio)}",
        "load": _tell_load(row.load),
        "runs": ", ".join(facts.hypervisors) or "-",
        "fence": shlex.join(entry.fence) or "-",
    }
    if who:
        lines |= {"versions": f"libvirt {who.libvirt}, QEMU {who.hypervisor or '?'}", "processor": who.cpu_name or "-"}
        lines |= {"shown": _tell_shown(name, shown) if shown else "", "uuid": who.uuid}
    for key, value in lines.items():
        if value:
            print(f"{key:<9} {value}")
    for pool in facts.pools:
        print(f"pool      {pool.name}  {pool.free} free of {pool.capacity}")


def _tell_state(row: HostRow) -> str:
    """The state, since when, and why."""
    entry, words = row.entry, [row.state, *row.notes]
    since = {"fenced": entry.fenced, "drained": entry.drained}
    told = [f"{word} for {Duration(round(time.time() - since[word]))}" if since.get(word) else word for word in words]
    why = row.facts.unreachable.removeprefix(f"{row.state}: ")
    return ", ".join(told) + (f": {why}" if why else "")


def _tell_times(ratio: float) -> str:
    return "may be promised once" if ratio == 1 else f"may be promised {ratio:g} times"


def _tell_load(load: Average | None) -> str:
    """Empty where no watch runs."""
    if load is None:
        return ""
    rates = f"disks {Bytes(load.disk)}/s, network {Bytes(load.net)}/s of its machines"
    used = f"{load.cpu:.1f} processors and {Bytes(load.memory)} of memory in use, {rates}"
    return f"{used}; over the last {Duration(round(count_seconds(load)))}"


def _tell_shown(name: str, shown: Shown) -> str:
    """What machines see that may move, and whether this host is to blame for it."""
    if shown.emulated:
        return f"machines see {shown.model or 'no processor that could move'}, emulated: without KVM every host can show it"
    if not shown.model:
        return "machines cannot move while they run: the processors of the hosts have nothing in common"
    if shown.limits:
        return f"machines see {shown.model}, which is limited by {name}: the other hosts could show {shown.without}"
    return f"machines see {shown.model}, as all hosts can show it; without {name} it would be the same"


def labels_option(help: str) -> Callable[[F], F]:
    return click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help=help)


@group.command()
@click.argument("target", metavar="[USER@]SERVER")
@click.option("--name", default="", help="Its name in this cloud [that of the server].")
@labels_option("What groups may ask for with on: and spread:.")
@click.option("--address", default="", help="What the other hosts reach it by [where ssh leads].")
@click.option("--uri", default="", help="Libvirt's address of it, as qemu+tls://server2/system [qemu+ssh://…/system].")
@click.option("--memory-ratio", type=float, default=1.0, show_default=True, help="How many times its memory may be promised.")
@click.option("--cpu-ratio", type=float, default=16.0, show_default=True, help="How many virtual processors for each of its own.")
@click.option("--fix", is_flag=True, help="Install what is missing there, and prepare its pool.")
@json_option
def add(
    target: str,
    name: str,
    labels: tuple[str, ...],
    address: str,
    uri: str,
    memory_ratio: float,
    cpu_ratio: float,
    fix: bool,
    as_json: bool,
) -> None:
    """Make a server a host of this cloud. Your own ssh configuration, agent and known_hosts lead there.

    It is looked at first, and all that stands against it is said at once. Example: tinycloud host add root@server2 --label rack=b.
    """
    given = _parse_labels(labels)
    with open_cloud() as cloud:
        added = cloud.hosts.add(
            target,
            name,
            labels={key: value or "" for key, value in given.items()},
            address=address,
            uri=uri,
            memory_ratio=memory_ratio,
            cpu_ratio=cpu_ratio,
            fix=fix,
        )
    if as_json:
        found = [{"topic": it.topic, "state": it.state, "text": it.text, "fix": it.command} for it in added.findings]
        print_json({**_entry_as_json(added.entry), "findings": found})
        return
    print_findings(added.findings)
    print(f"host {added.entry.name} is added")


def _parse_labels(words: tuple[str, ...]) -> dict[str, str | None]:
    from tinycloud.nouns.hosts import parse_labels

    return parse_labels(words)


def print_findings(findings: Any) -> None:
    """As the doctor prints them."""
    finding: Finding
    for finding in findings:
        print(f"{paint(f'{finding.state:<8}', _COLOURS[finding.state])} {finding.topic:<13} {finding.text}")


def _entry_as_json(entry: HostEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "target": entry.target,
        "uri": entry.uri,
        "address": entry.address,
        "labels": dict(entry.labels),
        "drained": entry.drained or None,
        "memory_ratio": entry.memory_ratio,
        "cpu_ratio": entry.cpu_ratio,
        "fence": list(entry.fence),
        "fenced": entry.fenced or None,
    }


@group.command("set")
@_host
@labels_option("Give it a label; KEY= takes it away.")
@click.option("--memory-ratio", type=float, help="How many times its memory may be promised.")
@click.option("--cpu-ratio", type=float, help="How many virtual processors for each of its own.")
@click.option("--address", help="What the other hosts reach it by.")
@click.option("--target", metavar="[USER@]SERVER", help="Where ssh goes.")
@click.option("--uri", help="Libvirt's address of it; empty: the one that follows from the target.")
@click.option("--fence", metavar="COMMAND", help="What switches it off, run here: 'ipmitool -H bmc2 -f KEY power off'; empty: nothing.")
@json_option
def set_(name: str, labels: tuple[str, ...], fence: str | None, as_json: bool, **given: Any) -> None:
    """Change what is said of a host."""
    changes = {key: value for key, value in given.items() if value is not None}
    if labels:
        changes["labels"] = _parse_labels(labels)
    if fence is not None:
        try:
            changes["fence"] = tuple(shlex.split(fence))
        except ValueError as err:
            raise WrongInput(f"--fence {fence!r}: {err}", code="wrong-value") from err
    if not changes:
        raise WrongInput("nothing to set", code="usage", hint=f"tinycloud host set {name} --label rack=b")
    with open_cloud() as cloud:
        entry = cloud.hosts.set(name, **changes)
    if as_json:
        print_json(_entry_as_json(entry))
    else:
        print(f"host {entry.name} is changed")


@group.command()
@_host
@click.option("--off", is_flag=True, help="Place machines there again.")
@click.option("--evacuate", is_flag=True, help="Also move everything away, what runs and what is off.")
@yes_option
@wait_option
@json_option
@plain_option
def drain(name: str, off: bool, evacuate: bool, yes: bool, wait: float, as_json: bool, plain: bool) -> int:
    """Place nothing new on a host. What is there stays, unless --evacuate moves it; exit status 3 when some of it cannot go."""
    if off and evacuate:
        raise WrongInput("--off lets machines in, --evacuate moves them away", code="usage", hint=f"tinycloud host drain {name} --evacuate")
    with open_cloud() as cloud:
        if evacuate:
            return evacuate_host(cloud, name, yes=yes, wait=wait, as_json=as_json, plain=plain)
        entry = cloud.hosts.drain(name, off=off)
    if as_json:
        print_json(_entry_as_json(entry))
    elif off:
        print(f"host {name} takes machines again")
    else:
        print(f"host {name} takes no new machines; those that are there stay (--evacuate moves them)")
    return 0


@group.command()
@_host
@click.option("--force", is_flag=True, help="It is gone for good and switched off: what was on it is lost.")
def remove(name: str, force: bool) -> None:
    """Forget a host that no machine, network or volume of ours is on. Its images stay there."""
    with open_cloud() as cloud:
        entry = cloud.hosts.remove(name, force=force)
    print(f"host {entry.name} is no longer one of this cloud")
