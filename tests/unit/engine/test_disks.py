"""Which disk a person means, who has it, and what is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import OTHER_SHA, fake_cloud, put_image, write_stack
from tinycloud.cloud import Cloud
from tinycloud.engine.disks import find_disk, list_refs, list_sources, read_shelf, working_on
from tinycloud.engine.lock import hold_lock
from tinycloud.errors import TinycloudError
from tinycloud.model import names
from tinycloud.templates.objects import render_volume

MIB = 1024**2
STACK = """
stack: shop
groups:
  web: {image: nano, memory: 128 MiB, volumes: [{name: data, size: 1 GiB, keep: true}]}
  gone: {image: nano, memory: 128 MiB, volumes: [{name: data, size: 1 GiB, keep: true}]}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Shop is up, one of its groups has gone and left its data, and a volume of no stack stands on the image."""
    with fake_cloud(tmp_path) as made:
        made.up(write_stack(tmp_path, STACK))
        made.up(write_stack(tmp_path, "\n".join(line for line in STACK.splitlines() if "gone" not in line)))
        volumes = made.parts.first_host.volumes
        volumes.create(render_volume("volume-own.qcow2", MIB, format="qcow2"), "volume-own.qcow2")
        volumes.create(
            render_volume("volume-top.qcow2", MIB, format="qcow2", backing=("/pool/volume-own.qcow2", "qcow2")), "volume-top.qcow2"
        )
        yield made


def refused(act: object) -> tuple[str, str, str]:
    with pytest.raises(TinycloudError) as caught:
        act()  # type: ignore[operator]
    return caught.value.kind, caught.value.message, caught.value.hint


def test_every_disk_has_a_name_that_can_be_typed(cloud: Cloud) -> None:
    shelf = read_shelf(cloud.parts.first_host)
    assert sorted(list_refs(shelf)) == ["own", "shop/gone-1/data", "shop/web-1/data", "shop/web-1/disk", "top"]
    assert {row.ref: row.users for row in cloud.volumes.list()} == {
        "own": ("top",),
        "top": (),
        "shop/gone-1/data": (),
        "shop/web-1/data": ("shop/web-1",),
        "shop/web-1/disk": ("shop/web-1",),
    }


def test_a_name_is_answered_with_the_nearest(cloud: Cloud) -> None:
    shelf = read_shelf(cloud.parts.first_host)
    assert refused(lambda: find_disk(shelf, "shop/web-1/dat"))[2] == 'did you mean "shop/web-1/data"?'
    kind, message, hint = refused(lambda: find_disk(shelf, "shop/web-1"))
    assert (kind, hint) == ("not-found", "shop/web-1/disk")
    assert message == '"shop/web-1" is a machine; its disks are shop/web-1/data, shop/web-1/disk'
    assert find_disk(shelf, "nano").image is not None
    assert refused(lambda: find_disk(shelf, "nano", images=False))[0] == "read-only"


def test_a_tree_shows_a_machine_once_above_the_disk_it_has(cloud: Cloud) -> None:
    (tree,) = cloud.volumes.tree("nano")
    assert [(it.ref, [(m.kind, m.ref, m.text) for m in it.above]) for it in tree.above] == [
        ("shop/web-1/disk", [("machine", "shop/web-1", "runs")])
    ]
    assert [it.ref for it in cloud.volumes.tree("own")[0].above] == ["top"]


def test_a_disk_that_a_machine_runs_with_is_left_alone(cloud: Cloud, tmp_path: Path) -> None:
    for act in (
        lambda: cloud.volumes.flatten("shop/web-1/disk"),
        lambda: cloud.volumes.check("shop/web-1/disk"),
        lambda: cloud.volumes.take_snapshot("shop/web-1/disk", "now"),
        lambda: cloud.volumes.export("shop/web-1/disk", tmp_path / "x"),
        lambda: cloud.volumes.compare("nano", "shop/web-1/disk"),
        lambda: cloud.volumes.convert("shop/web-1/disk", "new"),
        lambda: cloud.volumes.rebase("shop/web-1/disk", "nano"),
        lambda: cloud.volumes.commit("shop/web-1/disk", "new"),
    ):
        assert refused(act) == ("in-use", "shop/web-1/disk is in use by shop/web-1, which runs", "tinycloud stop shop/web-1")


def test_a_disk_that_others_stand_on_is_left_alone(cloud: Cloud) -> None:
    for act in (lambda: cloud.volumes.remove("own"), lambda: cloud.volumes.resize("own", "1 GiB"), lambda: cloud.volumes.flatten("own")):
        assert refused(act) == ("in-use", "own cannot be changed: top stands on it", "tinycloud volume flatten top")


def test_what_a_stack_left_behind_may_go_and_what_a_machine_has_may_not(cloud: Cloud) -> None:
    assert refused(lambda: cloud.volumes.remove("shop/web-1/data"))[:2] == ("in-use", "shop/web-1/data is a disk of machine shop/web-1")
    assert cloud.volumes.remove("shop/gone-1/data").size == 1024 * MIB
    assert cloud.volumes.remove("top").ref == "top"
    assert cloud.volumes.remove("own").ref == "own"
    assert [row.ref for row in cloud.volumes.list()] == ["shop/web-1/data", "shop/web-1/disk"]


def test_a_running_disk_grows_where_its_machine_has_it(cloud: Cloud) -> None:
    host = cloud.parts.first_host
    cloud.volumes.resize("shop/web-1/data", "2 GiB")
    record = host.volumes.find(names.data_name("shop", "web-1", "data"))
    assert record is not None
    assert record.capacity == 2048 * MIB
    assert refused(lambda: cloud.volumes.resize("shop/web-1/data", "1 GiB"))[0] == "too-small"


def test_a_disk_that_was_resized_is_as_large_in_the_mark_that_plans_compare_with(cloud: Cloud) -> None:
    before = cloud.machine("shop/web-1").facts.mark
    cloud.volumes.resize("shop/web-1/data", "2 GiB")
    cloud.volumes.resize("shop/web-1/disk", before.spec.disk + MIB)
    mark = cloud.machine("shop/web-1").facts.mark
    assert {volume.name: volume.size for volume in mark.spec.volumes}["data"] == 2048 * MIB
    assert mark.spec.disk == before.spec.disk + MIB
    assert mark.generation == before.generation + 2, "a plan that was made before is stale"
    assert {item.disk: item.size for item in mark.spec.hand.sizes} == {"data": 2048 * MIB, "disk": before.spec.disk + MIB}
    cloud.volumes.resize("shop/web-1/data", "2 GiB")
    assert cloud.machine("shop/web-1").facts.mark == mark, "nothing was to do"


def test_work_waits_for_nobody_and_for_no_unfinished_stack(cloud: Cloud) -> None:
    with hold_lock(cloud.parts.locks, "shop", "somebody"):
        assert refused(lambda: cloud.volumes.check("shop/gone-1/data"))[0] == "busy"
    with working_on(cloud.parts, cloud.parts.first_host, "own"):
        assert refused(lambda: cloud.volumes.remove("own"))[0] == "busy"
        assert cloud.volumes.remove("shop/gone-1/data").ref == "shop/gone-1/data"


def test_names_of_new_volumes_are_checked_before_anything_is_made(cloud: Cloud) -> None:
    before = sorted(cloud.parts.first_host.volumes.list_names())
    for name, more, kind in (
        ("Own", {"size": "1 GiB"}, "wrong-name"),
        ("own", {"size": "1 GiB"}, "clash"),
        ("nano", {"size": "1 GiB"}, "clash"),
        ("new", {}, "missing-key"),
        ("new", {"size": "many"}, "wrong-value"),
        ("new", {"size": "1 GiB", "format": "vmdk"}, "wrong-value"),
        ("new", {"size": "1 GiB", "cluster": "3 KiB"}, "wrong-value"),
        ("new", {"size": "1 GiB", "format": "raw", "compression": "zstd"}, "wrong-value"),
        ("new", {"base": "nano", "preallocation": "full"}, "wrong-value"),
        ("new", {"base": "shop/gone-1/data"}, "in-use"),
        ("new", {"base": "nan"}, "not-found"),
    ):
        assert refused(lambda name=name, more=more: cloud.volumes.create(name, **more))[0] == kind
    assert sorted(cloud.parts.first_host.volumes.list_names()) == before


def test_gc_takes_an_image_that_lost_its_last_name_and_nothing_that_is_used(cloud: Cloud) -> None:
    put_image(cloud.parts.first_host, "old", OTHER_SHA)
    assert cloud.images.gc().garbage == ()
    cloud.images.tag("nano", "old")
    told = cloud.images.gc(dry_run=True)
    assert ([it.kind for it in told.garbage], told.removed, len(cloud.images.list())) == (["image"], False, 2)
    assert cloud.images.gc(unused=True).removed
    assert [image.names for image in cloud.images.list()] == [("nano", "old")]


def test_sources_of_a_domain_are_files_devices_and_what_they_stand_on() -> None:
    xml = """<domain><devices>
      <disk type='file'><source file='/top'/><backingStore><source file='/below'/></backingStore></disk>
      <disk type='block'><source dev='/dev/sdb'/></disk>
      <disk type='network'><source protocol='nbd' name='x'/></disk>
      <disk type='file' device='cdrom'/>
    </devices></domain>"""
    assert list_sources(xml) == ["/top", "/below", "/dev/sdb"]


def test_gc_leaves_an_image_that_a_machine_counts_on_though_nothing_stands_on_it(cloud: Cloud) -> None:
    """A disk that was flattened is declared on its image all the same: one made anew needs that."""
    volumes = cloud.parts.first_host.volumes
    disk = names.disk_name("shop", "web-1", 1)
    for machine in cloud.machines("shop"):
        machine.stop(force=True)
    volumes.remove(disk)
    volumes.create(render_volume(disk, 128 * MIB, format="qcow2"), disk)
    assert cloud.images.gc(unused=True).garbage == ()
