"""Things that tests are about, with defaults: stacks, worlds, clouds on fake hosts. No mocks of our own code."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation import Simulation
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeGuests, FakeHost, edit_fake
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.guest.keys import Keys
from tinycloud.drivers.host import Patience
from tinycloud.engine.cards import write_card
from tinycloud.engine.parts import Parts
from tinycloud.model import names, world
from tinycloud.model.host import HostEntry
from tinycloud.model.machine import Live
from tinycloud.model.pool import Card, Source, Unit
from tinycloud.model.secret import Secret
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.source import Loaded, parse_stack
from tinycloud.store.store import Store
from tinycloud.templates.objects import render_pool, render_source, render_volume

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan
    from tinycloud.store.server import Server

SHA = sha256(b"an image").hexdigest()
OTHER_SHA = sha256(b"another image").hexdigest()


class PlainVault:
    """Secrets that are the same in every run."""

    def __init__(self, stack: str = "", values: dict[str, str] | None = None) -> None:
        self.values = values or {}

    def wrap(self, name: str, value: str) -> Secret:
        return Secret(name, value, f"fp-{sha256(value.encode()).hexdigest()[:8]}")

    def get(self, name: str, length: int) -> Secret:
        return self.wrap(name, self.values.setdefault(name, f"generated-{name}"))


def load(text: str, given: dict[str, Any] | None = None, file: str = "stack.yaml") -> Loaded:
    """The stack that a text declares."""
    return parse_stack(text, file, given or {}, PlainVault)


def an_image(name: str = "nano", sha: str = SHA, **changes: Any) -> world.Image:
    size = changes.pop("size", Bytes(128 * 1024**2))
    return world.Image("local", sha, (name,), "qcow2", size, Bytes(30 * 1024**2), **changes)


def a_host(name: str = "local", memory: str = "64 GiB", **changes: Any) -> world.Host:
    pool = world.Pool(names.DEFAULT_POOL, "/pool", parse_bytes("1 TiB"), parse_bytes("500 GiB"))
    entry = HostEntry(name, address=changes.pop("address", ""))
    host = world.Host(name, "x86_64", 16, parse_bytes(memory), parse_bytes(memory), ("kvm", "qemu"), pool, uefi=True, entry=entry)
    return replace(host, **changes)


def some_pools() -> tuple[world.Pool, ...]:
    """A folder ``fast``, a volume group ``thick`` with 3 GiB, a target ``san`` of three units."""
    gib = 1024**3
    units = tuple(Unit(f"unit:0:0:{n}", Bytes(size * gib)) for n, size in ((1, 2), (2, 1), (3, 2)))
    san = Source("iscsi", name="iqn.2026-01.org.example:disks", hosts=("nas",), initiator="iqn.2026-01.org.example:us")
    return (
        world.Pool("fast", "/fast", Bytes(1024 * gib), Bytes(512 * gib), source=Source("dir", "/fast")),
        world.Pool("san", "", Bytes(5 * gib), Bytes(5 * gib), source=san, units=units),
        world.Pool("thick", "/dev/thick", Bytes(4 * gib), Bytes(3 * gib), source=Source("lvm", "/dev/thick", "thick")),
    )


def put_pools(host: Any) -> None:
    """The same pools on a fake host, all of it empty."""
    if host.volumes.find_pool() is None:
        host.volumes.ensure_pool(render_pool(names.POOL, "/pool"))
    for pool in some_pools():
        host.pool(pool.name).ensure_pool(render_source(pool.name, pool.source))
        write_card(host, pool.name, Card(pool.source, units=pool.units))


def a_world(*hosts: world.Host, **changes: Any) -> world.World:
    """An empty world: one host, or those, and the nano image on each."""
    hosts = hosts or (a_host(),)
    images = changes.pop("images", tuple(replace(an_image(), host=host.name) for host in hosts))
    return world.World(hosts=hosts, images=images, **changes)


def settle(plan: Plan, before: world.World) -> world.World:
    """The world after a plan was carried out: pure, and as strict as a host. A refused plan changes nothing."""
    return Simulation(plan, before).run()


def fake_parts(
    folder: Path,
    guests: FakeGuests | None = None,
    hosts: dict[str, Any] | None = None,
    server: Server | None = None,
    lease: float = 30.0,
) -> Parts:
    """The engine's parts around one fake host kept in ``folder``."""
    return Parts(
        made=hosts or {"local": FakeHost(folder / "host")},
        keys=Keys(folder / "keys"),
        guests=guests or FakeGuests(),
        shell=FakeShell(),
        state=folder / "state",
        cache=folder / "cache",
        open_store=Store,
        edit=edit_fake,
        server=server,
        find_entries=lambda _: [],
        make_host=lambda entry: FakeHost(folder / f"host-{entry.name}", entry.name, entry=entry, patience=Patience(memory=folder / "seen")),
        lease_seconds=lease,
    )


def fake_cloud(folder: Path, guests: FakeGuests | None = None) -> Cloud:
    """A cloud of one fake host that has the nano image."""
    cloud = Cloud(parts=fake_parts(folder, guests))
    put_image(cloud.parts.first_host, "nano", SHA)
    return cloud


def put_image(host: Any, name: str, sha: str, size: int = 128 * 1024**2) -> None:
    """Put an image into a host's store without a file."""
    if host.volumes.find_pool() is None:
        host.volumes.ensure_pool(render_pool(names.POOL, "/pool"))
    if host.volumes.find(names.image_name(sha)) is None:
        card = json.dumps({"names": [name], "format": "qcow2", "size": size, "user": "root", "prepare": "cloud-init"}).encode()
        host.volumes.create(render_volume(names.image_name(sha), size, format="raw"), names.image_name(sha))
        host.volumes.create(render_volume(names.image_card_name(sha), len(card), format="raw"), names.image_card_name(sha))
        host.volumes.upload_bytes(names.image_card_name(sha), card)


HELLO = """
stack: hello
networks:
  front: {subnet: 10.60.0.0/24}
groups:
  db: {image: nano, memory: 128 MiB, networks: [front]}
  web: {count: 2, image: nano, memory: 128 MiB, networks: [front], needs: [db]}
"""


def write_stack(folder: Path, text: str = HELLO, name: str = "stack.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def copy_up(folder: Path, text: str = HELLO) -> None:
    """Make ``folder`` the folder of a fake cloud on which a stack is up: a copy, for an up takes a while."""
    shutil.copytree(_bring_up(text), folder, dirs_exist_ok=True)


@cache
def _bring_up(text: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tc-up-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with fake_cloud(folder) as cloud:
        cloud.up(write_stack(folder, text))
    return folder


def a_labelled_host(name: str, memory: str = "8 GiB", *, cpus: int = 8, **said: Any) -> world.Host:
    """A host of several: ``rack="a"`` and the like are labels, ``drained`` and the ratios what a person says of it."""
    facts = {key: said.pop(key) for key in ("drained", "fenced", "memory_ratio", "cpu_ratio") if key in said}
    changes = {
        key: said.pop(key) for key in ("unreachable", "hypervisors", "uefi", "arch", "pool", "more_pools", "memory_free") if key in said
    }
    entry = HostEntry(name, f"root@{name}", labels=tuple(sorted(said.items())), **facts)
    return replace(a_host(name, memory, cpus=cpus, entry=entry), **changes)


def inhabit(plan: Plan, before: world.World) -> world.World:
    """The world with the machines of a plan running where it put them, and their disks: whatever else the plan would do."""
    made = [world.Machine(w.host, w.mark, "running", "", Live(1.0, w.mark.spec.level)) for w in plan.machines.values()]
    machines = {machine.ref: machine for machine in (*before.machines, *made)}
    there = set(before.volume_by_name)
    volumes = [
        world.Volume(it.host, it.mark.disk_volume, it.mark.spec.disk, Bytes(1), it.mark.spec.pool)
        for it in made
        if it.mark.disk_volume not in there
    ]
    return replace(before, machines=tuple(machines.values()), volumes=(*before.volumes, *volumes))
