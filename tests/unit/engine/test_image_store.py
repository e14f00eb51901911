"""Images of a cloud with several hosts: sent, called the same everywhere, removed, cleared up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import OTHER_SHA, SHA, fake_parts, put_image, write_stack
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.volumes import FakeVolumes
from tinycloud.drivers.host import Patience
from tinycloud.engine.road import Road
from tinycloud.errors import Clash, InUse, NotFound, NotYet, Refused, Unreachable
from tinycloud.model.host import HostEntry
from tinycloud.model.names import free_volume_name, image_card_name, image_name
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tinycloud.engine.events import Event

GIB = 1024**3


class Silent(FakeHost):
    """A host that does not answer while ``away``."""

    away = False

    @property
    def volumes(self):  # type: ignore[no-untyped-def]
        if self.away:
            raise Unreachable(f"{self.name} does not answer")
        return self._volumes

    @volumes.setter
    def volumes(self, volumes):  # type: ignore[no-untyped-def]
        self._volumes = volumes


def a_host(folder: Path, name: str, memory: int = 64 * GIB) -> Silent:
    entry = HostEntry(name, "" if name == "local" else f"root@{name}")
    return Silent(folder / name, name, memory, entry=entry, patience=Patience(memory=folder / "seen"))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Three hosts, the nano image on the first; the second is where machines go."""
    hosts = {"local": a_host(tmp_path, "local", GIB), "h2": a_host(tmp_path, "h2"), "h3": a_host(tmp_path, "h3", 2 * GIB)}
    with Cloud(parts=fake_parts(tmp_path, hosts=hosts)) as made:
        put_image(hosts["local"], "nano", SHA)
        yield made


def where(cloud: Cloud, name: str = "nano") -> list[str]:
    return [image.host for image in cloud.images.copies(name)]


def names_of(cloud: Cloud, sha: str = SHA) -> dict[str, tuple[str, ...]]:
    return {image.host: image.names for image in cloud.images.list() if image.sha == sha}


def refusal(work: object) -> Refused:
    with pytest.raises(Refused) as caught:
        work()  # type: ignore[operator]
    return caught.value


@pytest.mark.parametrize("half", [b"", bytes(64)])
def test_an_image_with_half_a_card_on_a_host_is_sent_there_again(cloud: Cloud, half: bytes) -> None:
    target = cloud.parts.hosts["h2"]
    cloud.images.send("nano", "h2")
    target.volumes.remove(image_card_name(SHA))
    target.volumes.create(render_volume(image_card_name(SHA), len(half), format="raw"), image_card_name(SHA))
    target.volumes.upload_bytes(image_card_name(SHA), half)
    assert where(cloud) == ["local"]
    cloud.images.send("nano", "h2")
    assert where(cloud) == ["local", "h2"]


def test_an_image_is_sent_with_all_that_is_known_of_it_and_once(cloud: Cloud) -> None:
    sent = cloud.images.send("nano", "h2")
    assert where(cloud) == ["local", "h2"]
    first, second = cloud.images.copies("nano")
    assert (second.sha, second.names, second.format, second.size, second.sent) == (first.sha, first.names, first.format, first.size, True)
    assert (sent.host, sent.image) == ("h2", second)
    assert cloud.images.send("nano", "h2").came == 0
    with pytest.raises(NotFound, match='there is no host "h9"'):
        cloud.images.send("nano", "h9")


def test_an_up_sends_it_and_remembers_nothing_of_the_way(cloud: Cloud, tmp_path: Path) -> None:
    file = write_stack(tmp_path, "stack: far\ngroups: {web: {count: 3, image: nano, memory: 4 GiB}}")
    assert [step.host for step in cloud.plan(file, spare="0").steps if step.kind == "image.send"] == ["h2"]
    cloud.up(file, spare="0")
    assert where(cloud) == ["local", "h2"]
    assert cloud.images.users("nano") == ["far/web-1", "far/web-2", "far/web-3"]
    assert not cloud.plan(file, spare="0").steps


def test_between_two_others_it_goes_straight_and_everybody_is_told(cloud: Cloud, tmp_path: Path) -> None:
    for name in ("h2", "h3"):
        host = cloud.parts.hosts[name]
        host.entry = replace(host.entry, address=f"192.0.2.{name[1]}")
    (tmp_path / "disk.raw").write_bytes(b"a disk")
    cloud.images.import_file(tmp_path / "disk.raw", "small", host="local")
    assert cloud.images.send("small", "h3").way == "from local", "there is one way only"
    cloud.images.remove("small", host="local")
    heard: list[Event] = []
    cloud.up(write_stack(tmp_path, "stack: far\ngroups: {web: {image: small, memory: 4 GiB}}"), spare="0", listener=heard.append)
    told = [event.text for event in heard if event.action == "image.send" and event.kind in ("part", "progress")]
    assert (told[0], told[-1]) == ("from h3, directly", "from h3, directly")
    assert not [event for event in cloud.events("far") if event.kind == "image.send"], "there is nothing to be found out later"


class Walled(FakeVolumes):
    """The pool of a host that others get no stream to."""

    def receive(self, *args: Any, **more: Any) -> int:
        more["on_way"]("192.0.2.2:49215: timed out")
        return super().receive(*args, **{**more, "on_way": None})


def test_why_it_goes_another_way_is_told_and_kept(cloud: Cloud, tmp_path: Path) -> None:
    target: Any = cloud.parts.hosts["h2"]
    target.entry = replace(target.entry, address="192.0.2.2")
    old = target.volumes
    target.volumes = Walled(old._pools, old._documents, old._secrets)
    (tmp_path / "disk.raw").write_bytes(b"a disk")
    cloud.images.import_file(tmp_path / "disk.raw", "small", host="h3")
    heard: list[Event] = []
    cloud.up(write_stack(tmp_path, "stack: far\ngroups: {web: {image: small, memory: 4 GiB}}"), spare="0", listener=heard.append)
    words = "from h3, through here (192.0.2.2:49215: timed out)"
    assert [event.text for event in heard if event.action == "image.send" and event.kind == "progress"] == [words]
    assert [event.text for event in heard if event.action == "image.send" and event.kind == "part"] == [
        words,
        "100 % from h3, through here",
    ]
    assert [event.text for event in cloud.events("far") if event.kind == "image.send"] == [f"image small to h2: {words}"]


def test_the_way_in_words(cloud: Cloud) -> None:
    hosts = cloud.parts.hosts
    road = Road(hosts["h2"], hosts["h3"])
    assert (road.at, road.text) == ("", "from h2, through here (h3 has no address)")
    hosts["h3"].entry = replace(hosts["h3"].entry, address="192.0.2.3")
    told: list[str] = []
    road = Road(hosts["h2"], hosts["h3"], told.append)
    assert (road.at, road.words) == ("192.0.2.3", "from h2"), "it is not known yet"
    road.on_way("")
    road.on_way("192.0.2.3: nothing came any more")
    assert told == ["from h2, directly", "from h2, through here (192.0.2.3: nothing came any more)"]
    assert road.words == "from h2, through here"


def test_names_are_the_same_on_every_host(cloud: Cloud) -> None:
    cloud.images.send("nano", "h2")
    cloud.images.tag("nano", "tiny")
    assert names_of(cloud) == {"local": ("nano", "tiny"), "h2": ("nano", "tiny")}
    cloud.images.untag("nano")
    assert names_of(cloud) == {"local": ("tiny",), "h2": ("tiny",)}


def test_a_name_moves_on_every_host(cloud: Cloud, tmp_path: Path) -> None:
    cloud.images.send("nano", "h2")
    (tmp_path / "disk.raw").write_bytes(b"another disk")
    new = cloud.images.import_file(tmp_path / "disk.raw", "nano", host="h3")
    assert (new.host, where(cloud, "nano")) == ("h3", ["h3"])
    assert names_of(cloud) == {"local": (), "h2": ()}


def test_a_host_that_was_away_is_told_of_when_it_means_something_else_by_a_name(cloud: Cloud, tmp_path: Path) -> None:
    put_image(cloud.parts.hosts["h3"], "nano", OTHER_SHA)
    text = "stack: far\ngroups: {web: {image: nano, memory: 128 MiB}}"
    for work in (lambda: cloud.images.show("nano"), lambda: cloud.plan(write_stack(tmp_path, text), spare="0")):
        found = refusal(work)
        assert (found.kind, found.message) == ("ambiguous", '"nano" is the name of 2 images')
        assert sorted(found.facts) == sorted([f"{SHA[:12]}  on local", f"{OTHER_SHA[:12]}  on h3"])
    cloud.images.tag(SHA[:12], "nano")
    assert cloud.images.show("nano").sha == SHA
    assert names_of(cloud, OTHER_SHA) == {"h3": ()}


def test_one_that_does_not_answer_is_passed_over(cloud: Cloud) -> None:
    cloud.images.send("nano", "h2")
    host = cloud.parts.hosts["h2"]
    assert isinstance(host, Silent)
    host.away = True
    assert where(cloud) == ["local"]
    cloud.images.tag("nano", "tiny")
    assert names_of(cloud) == {"local": ("nano", "tiny")}


def test_an_image_that_only_a_silent_host_has_is_pulled_again_or_missed(cloud: Cloud, tmp_path: Path) -> None:
    for name, sha in (("debian-12", OTHER_SHA), ("mine", SHA[::-1])):
        put_image(cloud.parts.hosts["h2"], name, sha)
    host = cloud.parts.hosts["h2"]
    assert isinstance(host, Silent)
    cloud.world()  # is remembered
    host.away = True
    text = "stack: far\ngroups: {web: {image: %s, memory: 128 MiB, disk: 8 GiB}}"
    (change,) = cloud.plan(write_stack(tmp_path, text % "debian-12"), spare="0").changes
    assert (change.kind, change.text.partition(" from ")[0]) == ("image", "pulled")
    found = refusal(lambda: cloud.plan(write_stack(tmp_path, text % "mine"), spare="0"))
    assert (found.kind, found.message) == ("image-away", f"image mine {SHA[::-1][:7]} is on no host that answers")


def test_it_is_removed_everywhere_or_from_one_host(cloud: Cloud, tmp_path: Path) -> None:
    for host in ("h2", "h3"):
        cloud.images.send("nano", host)
    cloud.up(write_stack(tmp_path, "stack: far\ngroups: {web: {image: nano, memory: 4 GiB}}"), spare="0")
    with pytest.raises(InUse, match=r"image nano .* is in use") as caught:
        cloud.images.remove("nano")
    assert caught.value.facts == ("by far/web-1",)
    cloud.images.remove("nano", host="h3")
    assert where(cloud) == ["local", "h2"]
    with pytest.raises(NotFound, match="is not on h3") as gone:
        cloud.images.remove("nano", host="h3")
    assert gone.value.hint == "tinycloud image send nano h3"
    cloud.images.remove("nano", host="local")
    assert where(cloud) == ["h2"]
    cloud.down("far")
    cloud.images.remove("nano")
    assert [host.volumes.find(image_name(SHA)) or host.volumes.find(image_card_name(SHA)) for host in cloud.parts.hosts.values()] == [
        None
    ] * 3


def test_copies_that_nobody_uses_go_where_another_host_keeps_the_image(cloud: Cloud, tmp_path: Path) -> None:
    for host in ("h2", "h3"):
        cloud.images.send("nano", host)
    cloud.up(write_stack(tmp_path, "stack: far\ngroups: {web: {image: nano, memory: 4 GiB}}"), spare="0")
    (item,) = cloud.images.gc(dry_run=True).garbage
    assert (item.host, item.text) == ("h3", f"image nano {SHA[:7]}, a copy that nobody uses here")
    cloud.images.gc()
    assert where(cloud) == ["local", "h2"], "h2 has a machine on it, local has it from outside"
    cloud.images.remove("nano", host="local")
    cloud.images.send("nano", "h3")
    cloud.down("far")
    cloud.images.gc()
    assert where(cloud) == ["h2"], "of copies alone the first by name stays"


def test_only_one_host_is_cleared_when_it_is_named(cloud: Cloud) -> None:
    for host in ("h2", "h3"):
        cloud.images.send("nano", host)
    assert [item.host for item in cloud.images.gc(host="h3").garbage] == ["h3"]
    assert where(cloud) == ["local", "h2"]


def test_images_are_hashed_on_every_host(cloud: Cloud) -> None:
    cloud.images.send("nano", "h2")
    assert [it.host for it in cloud.images.verify(["nano"])] == ["local", "h2"]


def test_a_cd_comes_to_the_machine(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(write_stack(tmp_path, "stack: far\ngroups: {web: {disk: 1 GiB, boot: [network], memory: 4 GiB}}"), spare="0")
    assert where(cloud) == ["local"]
    cloud.machine("far/web-1").insert_cd("nano")
    assert where(cloud) == ["local", "h2"]


def test_an_image_that_is_plugged_in_comes_and_a_volume_stays_where_it_is(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(write_stack(tmp_path, "stack: far\ngroups: {web: {disk: 1 GiB, boot: [network], memory: 4 GiB}}"), spare="0")
    cloud.machine("far/web-1").attach("nano", readonly=True)
    assert where(cloud) == ["local", "h2"]
    name = free_volume_name("scratch", "qcow2")
    cloud.parts.hosts["local"].volumes.create(render_volume(name, 1024**2, format="qcow2"), name)
    found = refusal(lambda: cloud.machine("far/web-1").attach("scratch"))
    assert (found.kind, found.message) == ("other-host", "scratch is on local, wanted on h2: a volume stays on its host")


def test_volumes_are_found_wherever_they_are(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(
        write_stack(tmp_path, "stack: far\ngroups: {web: {image: nano, memory: 4 GiB, volumes: [{name: data, size: 1 GiB}]}}"), spare="0"
    )
    assert {row.ref: row.host for row in cloud.volumes.list()} == {"far/web-1/disk": "h2", "far/web-1/data": "h2"}
    with pytest.raises(NotFound, match='there is no volume "far/web-1/dato" on any host') as caught:
        cloud.volumes.remove("far/web-1/dato")
    assert "far/web-1/data" in caught.value.hint
    with pytest.raises(InUse, match="is a disk of machine far/web-1"):
        cloud.volumes.remove("far/web-1/data")
    with pytest.raises(NotYet, match="far/web-1/data is on h2; this version looks into disks"):
        cloud.images.mount("far/web-1/data", tmp_path / "folder")
    (tree,) = cloud.volumes.tree("far/web-1/data")
    assert (tree.kind, tree.ref) == ("host", "h2")


def test_a_volume_that_two_hosts_have_must_be_told_apart(cloud: Cloud) -> None:
    for host in ("h2", "h3"):
        put_image(cloud.parts.hosts[host], "other", OTHER_SHA)
        name = free_volume_name("scratch", "qcow2")
        cloud.parts.hosts[host].volumes.create(render_volume(name, 1024**2, format="qcow2"), name)
    found = refusal(lambda: cloud.volumes.info("scratch"))
    assert (found.kind, found.message, found.hint) == (
        "ambiguous",
        'there is a volume "scratch" on h2, h3',
        "tinycloud volume info scratch --host h2",
    )
    assert cloud.volumes.info("scratch", host="h3").host == "h3"
    with pytest.raises(Clash, match='there is a volume "scratch" on h2'):
        cloud.volumes.create("scratch", "1 GiB")


def test_pools_are_those_of_their_hosts(cloud: Cloud) -> None:
    assert {host: [pool.name for pool in pools] for host, pools in cloud.pools.by_host().items()} == {
        "local": ["default"],
        "h2": [],
        "h3": [],
    }
    assert cloud.pools.show("default").name == "default", "one host has it"
    cloud.images.send("nano", "h2")
    found = refusal(lambda: cloud.pools.show("default"))
    assert (found.kind, found.message, found.hint) == ("ambiguous", '2 hosts have a pool "default": local, h2', "--host local")
    assert cloud.pools.set("default", overcommit=3, host="h2").overcommit == 3
    assert cloud.pools.show("default", host="local").overcommit != 3
    assert [pool.name for pool in cloud.pools.list("h2")] == ["default"]


def test_space_is_told_of_all_hosts_and_relief_names_the_host(cloud: Cloud) -> None:
    cloud.images.send("nano", "h2")
    assert [use.host for use in cloud.space.uses()] == ["local", "h2"]
    assert [relief.command for relief in cloud.space.reliefs()] == [
        "tinycloud image remove nano --host local",
        "tinycloud image remove nano --host h2",
    ]
