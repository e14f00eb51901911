"""Giving back unused space of a disk: what is asked of whom, and what is refused with the disk as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.builders import copy_up, fake_parts
from tests.unit.engine.full import FullHost
from tests.unit.engine.pretend import TellingGuests
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.shell import DEFAULT_LIMIT, Done
from tinycloud.errors import Failed, InUse, NotFound, Refused

STACK = "stack: shop\nnetworks: {lan: {subnet: 10.60.0.0/24}}\ngroups: {web: {image: nano, networks: [lan]}}\n"
DISK = "shop/web-1/disk"


class Tools(FakeShell):
    """Tools that say what ``says`` holds for their first two words, and end with the status that ``ends`` holds."""

    def __init__(self) -> None:
        self.says: dict[tuple[str, ...], str] = {}
        self.ends: dict[tuple[str, ...], int] = {}
        self.heard: list[tuple[str, ...]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        root: bool = False,
        limit: float = DEFAULT_LIMIT,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        words = tuple(argv[:2])
        self.heard.append(words)
        text = self.says.get(words, "")
        for line in text.splitlines() if on_line else ():
            on_line(line)  # type: ignore[misc]
        return Done(tuple(argv), self.ends.get(words, 0), text.encode(), b"it does not work")

    @property
    def made(self) -> list[str]:
        """What qemu-img was asked for, and whether a file took the place of another."""
        return [it[1] if it[0] == "qemu-img" else "settle" for it in self.heard if it[0] in ("qemu-img", "python3")]


class Scene:
    def __init__(self, folder: Path) -> None:
        copy_up(folder, STACK)
        self.host = FullHost(folder)
        self.host.shell = self.host_tools = Tools()
        self.host.full.free = 10**12
        self.guests = TellingGuests()
        parts = fake_parts(folder, hosts={"local": self.host})
        parts.guests, parts.shell = self.guests, Tools()
        self.tools = parts.shell
        self.cloud = Cloud(parts=parts)
        self.host_tools.says[("python3", "-I")] = '{"done": {"stored": 5, "length": 5}}\n'


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.cloud.close()


def test_the_guest_of_a_machine_that_runs_is_asked(scene: Scene) -> None:
    done = scene.cloud.volumes.compact(DISK)
    assert (done.ref, done.how, done.returned) == (DISK, "ssh", 0)
    assert scene.tools.heard == [("ssh", "-F")]
    assert scene.host_tools.made == []


def test_an_agent_is_asked_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(scene.host.domains, "trim", asked.append)
    assert scene.cloud.volumes.compact(DISK).how == "agent"
    assert (asked, scene.tools.heard) == (["shop-web-1"], [])


def test_a_guest_that_cannot_be_asked_is_said_with_what_helps(scene: Scene) -> None:
    scene.guests.greeting = lambda: False
    with pytest.raises(Refused) as caught:
        scene.cloud.volumes.compact(DISK)
    assert (caught.value.kind, caught.value.message) == ("cannot-trim", "shop/web-1 cannot be asked to trim its disks")
    assert "no ssh server answers" in caught.value.facts
    assert caught.value.hint == f"tinycloud stop shop/web-1; tinycloud volume compact {DISK}"


def test_a_guest_that_fails_to_trim_says_why(scene: Scene) -> None:
    scene.tools.ends[("ssh", "-F")] = 1
    with pytest.raises(Refused) as caught:
        scene.cloud.volumes.compact(DISK)
    assert caught.value.kind == "cannot-trim"
    assert "it does not work" in caught.value.facts


def test_nobody_trims_a_machine_that_is_paused(scene: Scene) -> None:
    scene.host.domains.suspend("shop-web-1")
    with pytest.raises(InUse) as caught:
        scene.cloud.volumes.compact(DISK)
    assert caught.value.hint == "tinycloud resume shop/web-1"


def test_a_disk_that_nobody_runs_with_is_copied_compared_and_exchanged(scene: Scene) -> None:
    scene.host.domains.destroy("shop-web-1")
    assert scene.cloud.volumes.compact(DISK).how == "rewritten"
    made = [word for word in scene.host_tools.made if word != "info"]
    assert made == ["convert", "compare", "settle"]


def test_a_copy_that_is_not_the_same_never_takes_its_place(scene: Scene) -> None:
    scene.host.domains.destroy("shop-web-1")
    scene.host_tools.ends[("qemu-img", "compare")] = 1
    with pytest.raises(Failed, match=f"the compact copy of {DISK} is not the same as the disk, which stays as it is"):
        scene.cloud.volumes.compact(DISK)
    assert "settle" not in scene.host_tools.made
    assert ("rm", "-f") in scene.host_tools.heard


def test_snapshots_inside_are_not_thrown_away(scene: Scene) -> None:
    scene.host.domains.destroy("shop-web-1")
    scene.host_tools.says[("qemu-img", "info")] = '{"snapshots": [{"name": "before"}]}'
    with pytest.raises(Refused) as caught:
        scene.cloud.volumes.compact(DISK)
    assert caught.value.kind == "has-snapshots"
    assert "convert" not in scene.host_tools.made


def test_without_room_for_the_copy_nothing_is_begun(scene: Scene) -> None:
    scene.host.domains.destroy("shop-web-1")
    scene.host.volumes.upload_bytes("shop.web-1.disk-1.qcow2", b"x" * 8192)
    scene.host.full.free = 5000
    with pytest.raises(Refused) as caught:
        scene.cloud.volumes.compact(DISK)
    assert (caught.value.kind, caught.value.message) == (
        "no-space", f"a copy of {DISK} needs 8 KiB, pool default has 4.9 KiB free",
    )  # fmt: skip
    assert "convert" not in scene.host_tools.made


def test_an_image_is_never_compacted(scene: Scene) -> None:
    with pytest.raises(Refused, match='"nano" is an image, and images are never written'):
        scene.cloud.volumes.compact("nano")
    with pytest.raises(NotFound):
        scene.cloud.volumes.compact("shop/web-1/dusk")
