"""Commands for networks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_network, json_option, open_cloud
from tinycloud.model.units import Duration

if TYPE_CHECKING:
    from tinycloud.engine.networks import LeaseRow, Member, NetworkRow


@click.group("network")
def group() -> None:
    """Networks: what machines are joined by."""


def network_as_json(row: NetworkRow) -> dict[str, Any]:
    facts = row.facts
    return {
        "network": facts.name,
        "stack": facts.stack,
        "ref": facts.ref,
        "host": facts.host,
        "hosts": list(row.hosts),
        "vni": row.vni or None,
        "peers": dict(zip(row.hosts, row.addresses, strict=True)) if row.addresses else {},
        "access": facts.access,
        "subnet": facts.subnet or None,
        "bridge": facts.bridge,
        "mtu": facts.mtu,
        "active": not row.stopped,
        "subnet6": facts.subnet6 or None,
        "ranges": list(facts.sheet.ranges) if facts.sheet else [],
        "machines": [_member_as_json(it) for it in row.members],
    }


def _member_as_json(member: Member) -> dict[str, Any]:
    nic = member.nic
    return {"machine": member.machine, "state": member.state, "address": nic.address, "address6": nic.address6, "mac": nic.mac}


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List networks."""
    with open_cloud() as cloud:
        rows = cloud.networks.list()
    if as_json:
        print_json([network_as_json(row) for row in rows])
    elif rows:
        print_table(("NETWORK", "ACCESS", "SUBNET", "HOST", "BRIDGE", "MACHINES", "STATE"), [_row(row) for row in rows])
    else:
        print("no networks yet; they are made by the file of a stack")


def _row(row: NetworkRow) -> tuple[str, ...]:
    facts = row.facts
    machines = len({member.machine for member in row.members})
    return (
        facts.ref,
        facts.access.replace(":", " "),
        facts.subnet or "-",
        " ".join(row.hosts),
        facts.bridge or "-",
        str(machines),
        _state(row),
    )


def _state(row: NetworkRow) -> str:
    if not row.stopped:
        return "running"
    return "stopped" if len(row.stopped) == len(row.copies) else f"stopped on {' '.join(row.stopped)}"


@group.command()
@click.argument("network", shell_complete=complete_network)
@json_option
def show(network: str, as_json: bool) -> None:
    """Show one network and who is in it."""
    with open_cloud() as cloud:
        row = cloud.networks.show(network)
    if as_json:
        print_json(network_as_json(row))
        return
    for key, value in _facts(row).items():
        print(f"{key:<9} {value}")
    for member in row.members:
        nic = member.nic
        addresses = " ".join(filter(None, (nic.address, nic.address6))) or "(its own address)"
        print(f"machine   {member.machine}  {addresses}  {nic.mac}  {member.state}")


def _facts(row: NetworkRow) -> dict[str, Any]:
    facts = row.facts
    return {
        "network": facts.ref,
        "access": facts.access.replace(":", " "),
        "subnet": " ".join(filter(None, (facts.subnet, facts.subnet6))) or "-",
        **({"range": " ".join(facts.sheet.ranges)} if facts.sheet and facts.sheet.ranges else {}),
        "host": " ".join(row.hosts),
        **({"joined": f"VXLAN {row.vni}: {_tell_peers(row)}"} if row.vni else {}),
        "bridge": facts.bridge or "-",
        "mtu": facts.mtu or "default",
        "state": _state(row),
    }


def _tell_peers(row: NetworkRow) -> str:
    return ", ".join(f"{host} {address}" for host, address in zip(row.hosts, row.addresses, strict=True))


@group.command()
@click.argument("network", required=False, default="", shell_complete=complete_network)
@json_option
def leases(network: str, as_json: bool) -> None:
    """Show which addresses DHCP keeps for machines, and which it gave away."""
    with open_cloud() as cloud:
        lines = cloud.networks.leases(network)
    if as_json:
        print_json([_lease_as_json(line) for line in lines])
    elif lines:
        now = time.time()
        rows = [(it.network, it.address, it.mac, it.machine or "-", it.name or "-", it.state, _left(it, now)) for it in lines]
        print_table(("NETWORK", "ADDRESS", "MAC", "MACHINE", "NAME", "STATE", "EXPIRES"), rows)
    else:
        print("no addresses are kept or given away")


def _left(line: LeaseRow, now: float) -> str:
    return f"in {Duration(line.expires - now)}" if line.expires > now else "-"


def _lease_as_json(line: LeaseRow) -> dict[str, Any]:
    words = {key: getattr(line, key) for key in ("network", "address", "mac", "reserved", "leased")}
    return {**words, "machine": line.machine or None, "name": line.name or None, "expires": line.expires or None}
