"""Commands for pools."""

from __future__ import annotations

import base64
import binascii
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.images import has_several_hosts
from tinycloud.cli.output import print_json, print_table
from tinycloud.cli.session import complete_pool, json_option, open_cloud
from tinycloud.errors import WrongInput
from tinycloud.model.names import find_volume_name

if TYPE_CHECKING:
    from tinycloud.model.world import Pool

name_argument = click.argument("name", shell_complete=complete_pool)
host_option = click.option("--host", default="", metavar="HOST", help="Whose, where several hosts have a pool of that name.")
_KINDS = ["dir", "nfs", "device", "lvm", "iscsi", "nbd", "rbd"]


@click.group("pool")
def group() -> None:
    """Pools: where the host keeps disks."""


def pool_as_json(pool: Pool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "kind": pool.kind,
        "source": str(pool.source),
        "path": pool.path,
        "capacity": int(pool.capacity),
        "free": int(pool.free),
        "allocated": int(pool.allocated),
        "overcommit": pool.overcommit,
        "reserve": int(pool.reserve),
        "trouble": pool.trouble,
        "disks": [{"name": unit.name, "size": int(unit.size), "volume": unit.claim or None, "used": unit.used} for unit in pool.units],
    }


def _state(pool: Pool) -> str:
    if pool.trouble:
        return pool.trouble
    return f"{len(pool.free_units)} of {len(pool.units)} disks free" if pool.is_fixed else "ok"


def make_ref(volume: str) -> str:
    """``shop/web-1/data``: a volume as people name it."""
    name = find_volume_name(volume)
    if name is None:
        return volume
    return f"{name.stack}/{name.machine}/{'disk' if name.role.startswith('disk-') else name.role.removeprefix('vol-')}"


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List pools."""
    with open_cloud() as cloud:
        pools = [(host, pool) for host, found in cloud.pools.by_host().items() for pool in found]
    if as_json:
        print_json([{**pool_as_json(pool), "host": host} for host, pool in pools])
    elif pools:
        rows = [
            (p.name, host, p.kind, str(p.source) or "-", str(p.capacity), str(p.free), str(p.allocated), _state(p)) for host, p in pools
        ]
        many = has_several_hosts(host for host, _ in pools)
        head = ("NAME", "HOST", "KIND", "SOURCE", "CAPACITY", "FREE", "ALLOCATED", "STATE")
        print_table(head if many else (head[0], *head[2:]), rows if many else [(row[0], *row[2:]) for row in rows])
    else:
        print("no pools yet; the first image or up makes the main one")


@group.command()
@name_argument
@host_option
@json_option
def show(name: str, host: str, as_json: bool) -> None:
    """Show one pool, its disks, and who is in it."""
    with open_cloud() as cloud:
        pool, users = cloud.pools.show(name, host=host), cloud.pools.users(name, host=host)
    if as_json:
        print_json({**pool_as_json(pool), "used_by": users})
        return
    facts = {
        "name": pool.name,
        "kind": pool.kind,
        "source": pool.source,
        "path": pool.path or "-",
        "capacity": pool.capacity,
        "free": pool.free,
        "allocated": pool.allocated,
        "promise": f"at most {pool.overcommit:g} times its capacity",
        "reserve": pool.reserve,
        "state": _state(pool),
        "used by": ", ".join(users) or "nobody",
    }
    for key, value in facts.items():
        print(f"{key:<9} {value}")
    for unit in pool.units:
        fate = make_ref(unit.claim) if unit.claim else "free, carries something" if unit.used else "free"
        print(f"disk      {unit.name}  {unit.size}  {fate}")


@group.command()
@click.argument("name")
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("--kind", type=click.Choice(_KINDS), help="What it is [found by the source].")
@click.option("--user", default="", help="Who we are to an iSCSI or Ceph server.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File with that user's key; - reads it from standard input.")
@click.option("--shared", is_flag=True, help="A folder that other hosts see too: machines in it may be started on any of them.")
@click.option("--initiator", default="", metavar="IQN", help="Our name to an iSCSI server.")
@click.option("--xml", "xml_file", type=click.Path(path_type=Path), help="The pool in libvirt's own XML, instead of SOURCE.")
@click.option("--host", default="", metavar="HOST", help="The host that has it [the first].")
@json_option
def add(
    name: str,
    sources: tuple[str, ...],
    kind: str | None,
    user: str,
    key_file: Path | None,
    shared: bool,
    initiator: str,
    xml_file: Path | None,
    host: str,
    as_json: bool,
) -> None:
    r"""Make a pool known: a folder, devices, a volume group, a server.

    \b
    SOURCE says where it is, and mostly of what kind:
      /srv/fast                        a folder (dir)
      server:/export                   a folder of an NFS server (nfs)
      /dev/sdb /dev/sdc1               devices or partitions, each one disk (device)
      lvm:GROUP                        an LVM volume group (lvm)
      iscsi://server/iqn.2026-01.t:d   an iSCSI target, each unit one disk (iscsi)
      nbd://server/export              NBD exports, each one disk (nbd)
      rbd://monitor/pool               a pool of a Ceph cluster (rbd)

    Nothing is formatted or deleted. Added again, it finds disks that came since.
    """
    if bool(sources) == bool(xml_file):
        raise WrongInput("say where the pool is: SOURCE, or --xml FILE", code="usage", hint="tinycloud pool add --help")
    if bool(key_file) != bool(user) or (user and not sources):
        raise WrongInput("--user and --key-file belong together, and to a SOURCE", code="usage", hint="tinycloud pool add --help")
    with open_cloud() as cloud:
        key = _read_key(key_file, kind or sources[0]) if key_file else None
        xml = _read_file(xml_file) if xml_file else ""
        pool = cloud.pools.add(name, *sources, kind=kind or "", user=user, key=key, initiator=initiator, xml=xml, shared=shared, host=host)
    if as_json:
        print_json(pool_as_json(pool))
    else:
        print(f"pool {pool.name}  {pool.kind} {pool.source}, {pool.free} free of {pool.capacity}")


def _read_file(path: Path) -> str:
    try:
        return path.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise WrongInput(f"cannot read {path}", code="unreadable-file") from err


def _read_key(path: Path, what: str) -> bytes:
    """A key as its server's tools print it: of Ceph in base64, of iSCSI the password itself."""
    text = (sys.stdin.read() if str(path) == "-" else _read_file(path)).strip()
    if not text:
        raise WrongInput("the key is empty", code="wrong-value", facts=[f"read from {'standard input' if str(path) == '-' else path}"])
    if not what.startswith("rbd"):
        return text.encode()
    line = next((line.partition("=")[2].strip() for line in text.splitlines() if line.strip().startswith("key")), text)
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as err:
        raise WrongInput("the key of a Ceph user is base64, as ceph auth print-key prints it", code="wrong-value") from err


@group.command()
@name_argument
@host_option
def remove(name: str, host: str) -> None:
    """Forget a pool that nobody has disks in. Its data stays."""
    with open_cloud() as cloud:
        pool = cloud.pools.remove(name, host=host)
    print(f"pool {pool.name} is forgotten; what is in it stays")
