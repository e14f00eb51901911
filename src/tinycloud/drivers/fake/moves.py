"""Machines that move between fake hosts, in libvirt's own order: a kill between two of its steps leaves what one leaves there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.libvirt.errors import OPERATION_INVALID
from tinycloud.errors import LibvirtFailed
from tinycloud.model.move import Abilities, Moved, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.fake.host import FakeHost
    from tinycloud.drivers.records import MoveOrder
    from tinycloud.model.move import Credentials

_TYPES: Final = frozenset({"q35", "pc", "virt"})
_VERSION: Final = 7002000
_CHUNK: Final = 64 * 1024**2


class FakeMoves:
    """Machines of one fake host. Whatever its parts are, they are asked through it."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host

    def read_abilities(self) -> Abilities:
        return Abilities(self._host.uri, 9000000, _VERSION, _TYPES)

    def compare_cpu(self, cpu: str, hypervisor: str, type: str) -> bool | None:
        return None

    def list_ties(self, name: str) -> list[str]:
        return []

    def get_xml(self, name: str, *, inactive: bool = False) -> str:
        return self._host.domains.get_xml(name, inactive=inactive)

    def read_clock(self) -> float:
        return 0.0

    def find_block(self, address: str) -> str:
        return ""

    def read_credentials(self, user: tuple[int, int]) -> Credentials:
        return self._host.credentials

    def bring_file(self, path: str, source: FakeMoves) -> None:
        """No firmware of a fake host keeps anything."""

    def end_job(self, name: str) -> None:
        """What is killed here leaves no job, for there is no libvirtd that would go on."""

    def move(self, name: str, target: FakeMoves, order: MoveOrder, hear: Callable[[Progress], None]) -> Moved:
        here, there = self._host, target._host
        state = here.domains.get_state(name)
        if state not in ("running", "paused"):
            raise LibvirtFailed(f"domain {name} is not running", number=OPERATION_INVALID)
        there.domains.receive(name, order.xml, order.persistent)
        try:
            for copied in self._list_volumes(name, order):
                _copy(here, there, *copied)
            hear(Progress(_CHUNK, _CHUNK, _CHUNK))
            hear(Progress(2 * _CHUNK, 0, _CHUNK))
        except BaseException:
            there.domains.destroy(name)
            there.domains.undefine(name)
            raise
        if state == "running":
            here.domains.put_state(name, "paused", "migrating")
        waits = order.strict or state == "paused"
        there.domains.put_state(name, "paused" if waits else "running", "by a person" if waits else "")
        here.domains.put_state(name, "stopped", "migrated")
        return Moved(0.1, 0.01)

    def _list_volumes(self, name: str, order: MoveOrder) -> list[tuple[str, str]]:
        """(path here, path there) of the disks that are copied."""
        paths = [
            {_target_of(it): _path_of(it) for it in etree.fromstring(xml).findall("devices/disk")}
            for xml in (self.get_xml(name), order.xml)
        ]
        return [(paths[0][disk], paths[1][disk]) for disk in order.disks]


def _copy(here: FakeHost, there: FakeHost, path: str, target: str) -> None:
    body = next(volumes.read_file(path) for volumes in here.list_volumes() if volumes.is_at(path.rpartition("/")[0]))
    for volumes in there.list_volumes():
        if volumes.is_at(target.rpartition("/")[0]):
            volumes.write_file(target, body)


def _target_of(disk: Any) -> str:
    return str(disk.find("target").get("dev"))


def _path_of(disk: Any) -> str:
    source = disk.find("source")
    return str(source.get("file") or source.get("dev") or "") if source is not None else ""
