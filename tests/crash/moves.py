"""Moves of machines between two fake hosts: built once, copied for every fault, both hosts photographed."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.builders import SHA, fake_parts, put_image
from tests.crash.stage import photograph
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.engine.cards import write_card
from tinycloud.engine.inventory import read_world
from tinycloud.engine.migrate import Mover, MoveWish
from tinycloud.model.host import HostEntry
from tinycloud.model.names import POOL
from tinycloud.model.pool import Card, Source
from tinycloud.templates.objects import render_pool, render_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.crash.stage import Photo
    from tinycloud.model.plan import Step

KINDS = frozenset(
    {"network.copy", "disk.bring", "disk.share", "disk.leave", "machine.hold", "machine.move", "machine.arrive", "machine.vacate"}
)
"""Kinds of steps that only moves have."""

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
policies: {web: {inbound: [{tcp: 80}]}}
groups:
  web:
    count: 2
    image: nano
    memory: 128 MiB
    networks: [front]
    policies: [web]
    disk_encrypt: true
    volumes: [{name: data, size: 1 GiB, keep: true}, {name: fixed, size: 1 GiB, readonly: true}]
"""
SHARED = STACK.replace("disk_encrypt: true", "disk_encrypt: true\n    pool: nas").replace("keep: true", "keep: true, pool: nas")
NAS = Source("nfs", "/mnt/nas", "/export", ("nas",))
HOSTS = ("a", "b")


@dataclass(frozen=True)
class Journey:
    """A move: of a machine that runs, is paused or off; strictly or not; from and to a pool that both hosts have, or not."""

    name: str
    state: str = "running"
    strict: bool = False
    text: str = STACK
    has_nas: bool = False
    """True for a pool of an NFS server that both hosts have."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


JOURNEYS = (
    Journey("live"),
    Journey("strictly", strict=True),
    Journey("paused", state="paused"),
    Journey("cold", state="stopped"),
    Journey("on shared storage", text=SHARED, has_nas=True),
    Journey("off and on shared storage", state="stopped", text=SHARED, has_nas=True),
    Journey("the only machine", text=STACK.replace("count: 2", "count: 1")),
)


class MoveStage:
    """A cloud of two fake hosts in ``folder``, where ``shop/web-1`` is on ``a`` and is to move to ``b``."""

    def __init__(self, journey: Journey, folder: Path) -> None:
        self.journey = journey
        self.folder = folder

    def build(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "stack.yaml").write_text(self.journey.text)
        if self.journey.has_nas:
            self._share_nas()
        with self.cloud(only="a") as cloud:
            put_image(cloud.parts.first_host, "nano", SHA)
            cloud.up(self.folder / "stack.yaml")
            machine = cloud.machine("shop/web-1")
            {"running": lambda: None, "paused": machine.pause, "stopped": machine.stop}[self.journey.state]()
        with self.cloud() as cloud:
            assert {it.facts.host for it in cloud.machines()} == {"a"}

    def _share_nas(self) -> None:
        for name in HOSTS:
            host = self.make_host(name)
            host.volumes.ensure_pool(render_pool(POOL, "/pool"))
            host.pool("nas").ensure_pool(render_source("nas", NAS))
            write_card(host, "nas", Card(NAS))
        shutil.rmtree(self.folder / "b/volumes-nas", ignore_errors=True)
        (self.folder / "a/volumes-nas").mkdir(exist_ok=True)
        (self.folder / "b/volumes-nas").symlink_to("../a/volumes-nas")

    def copy(self, folder: Path) -> MoveStage:
        shutil.copytree(self.folder, folder, symlinks=True)
        return MoveStage(self.journey, folder)

    def make_host(self, name: str) -> Any:
        return FakeHost(self.folder / name, name, entry=HostEntry(name, address=f"10.0.0.{ord(name)}"))

    @contextmanager
    def cloud(self, only: str = "") -> Iterator[Cloud]:
        hosts = {name: self.make_host(name) for name in HOSTS if only in ("", name)}
        with Cloud(parts=fake_parts(self.folder, hosts=hosts)) as cloud:
            yield cloud

    # the move, and what can be done about it

    def act(self) -> None:
        with self.cloud() as cloud:
            cloud.migrate("shop/web-1", "b", strict=self.journey.strict)

    def list_steps(self) -> list[Step]:
        with self.cloud() as cloud:
            return list(Mover(cloud.parts).look("shop/web-1", "b", MoveWish(strict=self.journey.strict)).steps)

    def resume(self) -> None:
        with self.cloud() as cloud:
            cloud.resume("shop")

    def rollback(self) -> None:
        with self.cloud() as cloud:
            cloud.rollback("shop")

    def down(self) -> None:
        with self.cloud() as cloud:
            cloud.down("shop", volumes=True)

    # what is there

    def photograph(self) -> dict[str, Photo]:
        return {name: photograph(self.folder / name) for name in HOSTS}

    def list_unfinished(self) -> list[str]:
        with self.cloud() as cloud:
            return ["an execution is unfinished"] if cloud.has_unfinished("shop") else []

    def count_running(self) -> int:
        """How many hosts run the machine at this moment."""
        return sum(self.make_host(name).domains.get_state("shop-web-1") == "running" for name in HOSTS)

    def list_leftovers(self) -> list[str]:
        with self.cloud() as cloud:
            world = read_world(cloud.parts.hosts.values())
        return [f"{it.ref} is left over on {it.host}" for it in world.leftovers]
