"""Pools of a fake host: added, listed, used, removed; nothing half-made counts as made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import put_pools, write_stack
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.shell import Done
from tinycloud.errors import Clash, InUse, NotFound, Refused, WrongInput
from tinycloud.model.names import make_pool_name, pool_card_name
from tinycloud.model.pool import Source
from tinycloud.templates.objects import render_source

STACK = "stack: shop\ngroups: {db: {image: nano, ready: started, pool: POOL, disk: 1 GiB, volumes: [{name: a, size: 1 GiB, keep: true}]}}\n"


class AnsweringShell(FakeShell):
    """Says what ``answers`` holds for the first word of a command, and fails those whose whole line is in ``refuses``."""

    def __init__(self, answers: dict[str, bytes] = {}, refuses: set[str] = set()) -> None:
        self.answers, self.refuses, self.heard = answers, refuses, list[str]()

    def run(self, argv, **more):  # type: ignore[no-untyped-def]
        line = " ".join(argv)
        self.heard.append(line)
        status = 1 if any(word in line for word in self.refuses) else 0
        out = self.answers.get(argv[0], b"")
        for text in out.decode().splitlines() if more.get("on_line") else []:
            more["on_line"](text)
        return Done(tuple(argv), status, out, b"")


def answer(cloud: Cloud, answers: dict[str, bytes] = {}, refuses: set[str] = set()) -> AnsweringShell:
    shell = AnsweringShell(answers, refuses)
    cloud.parts.first_host.shell = shell  # type: ignore[misc]
    return shell


def list_names(cloud: Cloud) -> list[str]:
    return [pool.name for pool in cloud.pools.list()]


def test_a_folder_becomes_a_pool_and_goes_again(cloud: Cloud) -> None:
    pool = cloud.pools.add("fast", "/srv/fast")
    assert (pool.name, pool.kind, pool.path, pool.trouble) == ("fast", "dir", "/srv/fast", "")
    assert list_names(cloud) == ["default", "fast"]
    assert cloud.world().hosts[0].find_pool("fast") == pool
    cloud.pools.remove("fast")
    assert list_names(cloud) == ["default"]
    assert cloud.parts.first_host.list_pools() == ["default"]


def test_a_pool_added_twice_is_added_once(cloud: Cloud) -> None:
    assert cloud.pools.add("fast", "/srv/fast") == cloud.pools.add("fast", "/srv/fast")


@pytest.mark.parametrize("name", ["default", "Fast", "a.b", ""])
def test_a_name_that_no_pool_may_have_is_refused(cloud: Cloud, name: str) -> None:
    with pytest.raises(WrongInput) as caught:
        cloud.pools.add(name, "/srv/fast")
    assert caught.value.kind == "wrong-name"


def test_a_pool_does_not_change_its_source(cloud: Cloud) -> None:
    cloud.pools.add("fast", "/srv/fast")
    with pytest.raises(Clash, match="there is a pool fast: dir /srv/fast"):
        cloud.pools.add("fast", "/srv/other")


@pytest.mark.parametrize("folder", ["/srv/fast", "/pool"])
def test_two_pools_never_share_a_folder(cloud: Cloud, folder: str) -> None:
    cloud.pools.add("fast", "/srv/fast")
    with pytest.raises(Clash, match=f"{folder} is pool "):
        cloud.pools.add("slow", folder)
    assert cloud.parts.first_host.list_pools() == ["default", "fast"]


def test_a_pool_of_libvirts_that_is_not_ours_is_left_alone(cloud: Cloud) -> None:
    theirs = render_source("fast", Source("dir", "/theirs")).replace(render_uuid("fast"), "11111111-2222-4333-8444-555555555555")
    cloud.parts.first_host.pool("fast").ensure_pool(theirs)
    with pytest.raises(Clash, match="is not ours"):
        cloud.pools.add("fast", "/srv/fast")
    assert list_names(cloud) == ["default"]


def render_uuid(pool: str) -> str:
    from tinycloud.model.names import make_pool_uuid

    return make_pool_uuid(pool)


def test_a_pool_that_was_half_added_says_so_and_is_added_or_removed(cloud: Cloud) -> None:
    host = cloud.parts.first_host
    host.pool("fast").ensure_pool(render_source("fast", Source("dir", "/srv/fast")))
    assert cloud.pools.show("fast").trouble.startswith("half added")
    assert [pool.name for pool in cloud.world().hosts[0].pools] == ["default"], "it is no place for disks"
    cloud.pools.remove("fast")
    assert host.list_pools() == ["default"]
    host.pool("fast").ensure_pool(render_source("fast", Source("dir", "/srv/fast")))
    assert cloud.pools.add("fast", "/srv/fast").trouble == ""


@pytest.mark.parametrize("pool", ["fast", "san", "thick"])
def test_a_pool_with_a_disk_in_it_is_not_removed(cloud: Cloud, tmp_path: Path, pool: str) -> None:
    put_pools(cloud.parts.first_host)
    cloud.up(write_stack(tmp_path, STACK.replace("POOL", pool)))
    assert cloud.pools.users(pool) == ["shop/db-1"]
    with pytest.raises(InUse) as caught:
        cloud.pools.remove(pool)
    assert caught.value.facts == ("by shop/db-1",)
    cloud.down("shop")
    with pytest.raises(InUse) as caught:
        cloud.pools.remove(pool)
    assert caught.value.facts == ("by volume shop.db-1.vol-a.qcow2",)
    cloud.down("shop", volumes=True)
    cloud.pools.remove(pool)


@pytest.mark.parametrize("pool", ["fast", "san", "thick"])
def test_the_list_of_volumes_says_who_has_a_disk_in_any_kind_of_pool(cloud: Cloud, tmp_path: Path, pool: str) -> None:
    put_pools(cloud.parts.first_host)
    cloud.up(write_stack(tmp_path, STACK.replace("POOL", pool)))
    found = {row.ref: (row.pool, row.users) for row in cloud.volumes.list()}
    assert found == {"shop/db-1/a": (pool, ("shop/db-1",)), "shop/db-1/disk": (pool, ("shop/db-1",))}
    cloud.down("shop")
    assert [row.users for row in cloud.volumes.list()] == [()]


def test_a_disk_that_was_given_back_says_that_it_carries_something(cloud: Cloud, tmp_path: Path) -> None:
    put_pools(cloud.parts.first_host)
    cloud.up(write_stack(tmp_path, STACK.replace("POOL", "san")))
    claims = {unit.name: (unit.claim, unit.used) for unit in cloud.pools.show("san").units}
    assert claims == {
        "unit:0:0:1": ("shop.db-1.vol-a.qcow2", True),
        "unit:0:0:2": ("shop.db-1.disk-1.qcow2", True),
        "unit:0:0:3": ("", False),
    }
    cloud.down("shop", volumes=True)
    assert [(unit.claim, unit.used) for unit in cloud.pools.show("san").units] == [("", True), ("", True), ("", False)]


def test_an_image_is_copied_onto_a_raw_disk_and_no_key_is_on_the_command_line(cloud: Cloud, tmp_path: Path) -> None:
    put_pools(cloud.parts.first_host)
    shell = answer(cloud)
    cloud.up(write_stack(tmp_path, STACK.replace("POOL", "thick")))
    (line,) = [line for line in shell.heard if line.startswith("qemu-img convert")]
    assert line.startswith("qemu-img convert -n -f qcow2 -O raw /pool/image-")
    assert line.endswith(" /dev/thick/shop.db-1.disk-1.qcow2")


def test_an_image_that_only_a_disk_of_another_pool_stands_on_is_in_use(cloud: Cloud, tmp_path: Path) -> None:
    put_pools(cloud.parts.first_host)
    cloud.up(write_stack(tmp_path, STACK.replace("POOL", "fast")))
    assert cloud.images.users("nano") == ["shop/db-1"]


# what is looked at before anything is defined


def test_a_folder_that_qemu_cannot_get_to_is_refused_with_the_closed_door(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    host = cloud.parts.first_host
    facts = host.read_facts()
    monkeypatch.setattr(
        host, "read_facts", lambda: type(facts)(**{f: getattr(facts, f) for f in facts.__slots__} | {"qemu_user": (64055, 64055)})
    )
    answer(cloud, refuses={"test -x /home/me"})
    with pytest.raises(Refused) as caught:
        cloud.pools.add("fast", "/home/me/vms")
    assert (caught.value.kind, caught.value.hint) == ("no-way", "chmod o+x /home/me, or choose a folder below /srv or /var/lib")
    assert host.list_pools() == ["default"]


def test_a_path_that_is_no_folder_is_refused(cloud: Cloud) -> None:
    answer(cloud, refuses={"test -d"})
    with pytest.raises(Refused) as caught:
        cloud.pools.add("fast", "/etc/passwd")
    assert caught.value.kind == "no-folder"


def test_a_servers_folder_that_is_not_mounted_is_refused(cloud: Cloud) -> None:
    answer(cloud, refuses={"mountpoint"})
    with pytest.raises(Refused) as caught:
        cloud.pools.add("nas", "/mnt/nas", kind="nfs")
    assert caught.value.kind == "no-folder"
    answer(cloud)
    assert cloud.pools.add("nas", "/mnt/nas", kind="nfs").kind == "nfs"


def test_a_volume_group_has_to_be_there(cloud: Cloud) -> None:
    answer(cloud, {"vgs": b"  vg0\n"})
    with pytest.raises(NotFound, match='there is no volume group "vg1"'):
        cloud.pools.add("thick", "lvm:vg1")
    assert cloud.pools.add("thick", "lvm:vg0").path == "/dev/vg0"


def test_a_volume_group_stays_while_others_use_it_for_libvirt_would_switch_all_of_it_off(cloud: Cloud) -> None:
    answer(cloud, {"vgs": b"  vg0\n"})
    cloud.pools.add("thick", "lvm:vg0")
    shell = answer(cloud, {"vgs": b"  vg0\n", "lvs": b"  /dev/vg0/root\n"})
    with pytest.raises(InUse) as caught:
        cloud.pools.remove("thick")
    assert caught.value.facts == ("in use: /dev/vg0/root",)
    assert list_names(cloud) == ["default", "thick"]
    assert not any(line.startswith("vgchange") for line in shell.heard)
    answer(cloud, {"vgs": b"  vg0\n"})
    cloud.pools.remove("thick")
    assert list_names(cloud) == ["default"]


def look_at(*disks: tuple[str, int, str]) -> dict[str, bytes]:
    found = [{"path": path, "size": size, "carries": carries} for path, size, carries in disks]
    return {"python3": json.dumps({"done": {"disks": found}}).encode() + b"\n"}


def test_devices_are_disks_and_more_of_them_may_come_later(cloud: Cloud) -> None:
    answer(cloud, look_at(("/dev/sdb", 2**30, "ext4")))
    pool = cloud.pools.add("disks", "/dev/sdb")
    assert [(unit.name, unit.size, unit.used) for unit in pool.units] == [("/dev/sdb", 2**30, True)]
    answer(cloud, look_at(("/dev/sdc", 2**31, "")))
    pool = cloud.pools.add("disks", "/dev/sdc")
    assert [(unit.name, unit.used) for unit in pool.units] == [("/dev/sdb", True), ("/dev/sdc", False)]
    assert (str(pool.source), pool.capacity) == ("2 disks", 2**30 + 2**31)


def test_a_device_that_is_in_use_is_refused_and_is_in_one_pool_only(cloud: Cloud) -> None:
    told = {"refused": {"code": "busy-device", "message": "/dev/sda is in use", "facts": ["mounted on /"], "hint": "lsblk"}}
    answer(cloud, {"python3": json.dumps(told).encode() + b"\n"})
    with pytest.raises(Refused) as caught:
        cloud.pools.add("disks", "/dev/sda")
    assert (caught.value.kind, caught.value.facts) == ("busy-device", ("mounted on /",))
    answer(cloud, look_at(("/dev/sdb", 2**30, "")))
    cloud.pools.add("disks", "/dev/sdb")
    with pytest.raises(Clash, match="/dev/sdb is in pool disks already"):
        cloud.pools.add("others", "/dev/sdb")


def test_an_export_has_the_size_that_its_server_says(cloud: Cloud) -> None:
    shell = answer(cloud, {"qemu-img": b'{"virtual-size": 1073741824}'})
    pool = cloud.pools.add("far", "nbd://nas/disk")
    assert [(unit.name, unit.size) for unit in pool.units] == [("nbd://nas/disk", 2**30)]
    assert '"server":{"type":"inet","host":"nas","port":"10809"}' in next(line for line in shell.heard if line.startswith("qemu-img"))


def test_an_export_that_does_not_open_is_refused(cloud: Cloud) -> None:
    class Deaf(AnsweringShell):
        def run(self, argv, **more):  # type: ignore[no-untyped-def]
            from tinycloud.drivers.shell import make_tool_error

            if argv[0] == "qemu-img":
                raise make_tool_error(Done(tuple(argv), 1, b"", b"Connection refused"))
            return super().run(argv, **more)  # type: ignore[no-untyped-call]

    cloud.parts.first_host.shell = Deaf()  # type: ignore[misc]
    with pytest.raises(Refused) as caught:
        cloud.pools.add("far", "nbd://nas/disk")
    assert (caught.value.kind, caught.value.facts) == ("no-device", ("Connection refused",))


def test_a_key_is_kept_by_libvirt_and_goes_with_the_pool(cloud: Cloud) -> None:
    host = cloud.parts.first_host
    pool = cloud.pools.add("ceph", "rbd://m1/vms", user="admin", key=b"secret-of-ceph")
    assert host.secrets.read(pool.source.secret) == b"secret-of-ceph"
    assert b"secret-of-ceph" not in host.volumes.download_bytes(pool_card_name("ceph"))
    cloud.pools.remove("ceph")
    assert not host.secrets.has(pool.source.secret)


def test_a_pool_in_libvirts_own_words_gets_our_name(cloud: Cloud) -> None:
    xml = "<pool type='netfs'><name>x</name><source><host name='nas'/><dir path='/e'/></source><target><path>/mnt/e</path></target></pool>"
    pool = cloud.pools.add("mine", xml=xml)
    assert (pool.kind, str(pool.source), pool.path, pool.source.custom) == ("nfs", "nas:/e", "/mnt/e", True)
    assert make_pool_name("mine") == "tinycloud-mine"
    assert "mine" in cloud.parts.first_host.list_pools()


# limits


def test_limits_are_kept_on_the_pools_card_and_decide_what_is_admitted(cloud: Cloud, tmp_path: Path) -> None:
    pool = cloud.pools.set("default", overcommit=3, reserve="5 GiB")
    assert (pool.overcommit, pool.reserve) == (3.0, 5 * 2**30)
    assert cloud.world().hosts[0].pool == pool
    file = write_stack(tmp_path, STACK.replace("POOL", "default").replace("disk: 1 GiB", "disk: 2500 GiB"))
    assert cloud.plan(file).steps
    cloud.pools.set("default", overcommit=2)
    with pytest.raises(Refused) as caught:
        cloud.plan(file)
    assert caught.value.kind == "overcommit"


def test_a_limit_that_is_not_named_stays_and_the_usual_reserve_comes_back(cloud: Cloud) -> None:
    cloud.pools.add("fast", "/srv/fast")
    usual = cloud.pools.show("fast").reserve
    cloud.pools.set("fast", reserve=0)
    pool = cloud.pools.set("fast", overcommit=1.5)
    assert (pool.overcommit, pool.reserve, usual) == (1.5, 0, 2**30)
    assert cloud.pools.set("fast", reserve="usual").reserve == usual
    assert cloud.pools.show("fast").overcommit == 1.5


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"overcommit": 0.0}, "overcommit: found 0, expected more than 0, at most 1000"),
        ({"overcommit": float("nan")}, "overcommit: found nan, expected more than 0"),
        ({"reserve": 2**60}, "reserve: found 1024 PiB, pool default has 1 TiB"),
        ({"reserve": "much"}, "size: found 'much'"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(cloud: Cloud, limits: dict[str, float | str], message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        cloud.pools.set("default", **limits)  # type: ignore[arg-type]
    assert caught.value.kind == "wrong-value"
    assert caught.value.message.startswith(message)


def test_limits_of_a_pool_that_is_not_there_are_not_kept(cloud: Cloud) -> None:
    with pytest.raises(NotFound, match='there is no pool "defalt"'):
        cloud.pools.set("defalt", overcommit=3)


def test_disks_outside_of_folders_are_listed_with_their_machine_and_their_own_size(cloud: Cloud, tmp_path: Path) -> None:
    host = cloud.parts.first_host
    put_pools(host)
    text = STACK.replace("pool: POOL", "pool: san").replace("size: 1 GiB", "size: 1 GiB, pool: thick")
    cloud.up(write_stack(tmp_path, text))
    assert {row.ref: row.users for row in cloud.volumes.list()} == {"shop/db-1/disk": ("shop/db-1",), "shop/db-1/a": ("shop/db-1",)}
    assert cloud.disk_use(cloud.machines()) == {}, "a device takes all it is, whatever is on it"
    down = [fact for fact in cloud.why("shop/db-1").facts if fact.startswith("pool ")]
    assert next(line.split()[1] for line in down) == "thick:"
    cloud.down("shop", volumes=True)
    cloud.up(write_stack(tmp_path, STACK.replace("pool: POOL", "pool: fast")))
    assert list(cloud.disk_use(cloud.machines())) == ["shop/db-1"]
