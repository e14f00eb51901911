"""Disks on every kind of pool that this machine can have, for real: folder, devices, iSCSI, NBD, Ceph; a volume group as far as the kernel goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Bench

IQN = "iqn.2026-01.org.example:disks"
KINDS = ("dir", "device", "iscsi", "nbd", "rbd")
STACK = """
stack: kinds
networks: {lan: {subnet: 10.78.0.0/24}}
groups:
  one:
    image: nano
    memory: 128 MiB
    pool: iscsi
    networks: [lan]
    volumes:
      - {name: dir, size: 64 MiB, pool: dir, keep: true}
      - {name: device, size: 64 MiB, pool: device, keep: true}
      - {name: iscsi, size: 64 MiB, keep: true}
      - {name: nbd, size: 64 MiB, pool: nbd, keep: true}
      - {name: rbd, size: 64 MiB, pool: rbd, keep: true}
  two: {image: nano, memory: 128 MiB, pool: rbd, networks: [lan]}
"""
TARGET = """
tgtd -C 1 --iscsi portal=127.0.0.1:3260
until tgtadm -C 1 --mode sys --op show >/dev/null 2>&1; do sleep 0.1; done
set -e
admin="tgtadm -C 1 --lld iscsi --op new"
$admin --mode target --tid 1 -T {iqn}
$admin --mode logicalunit --tid 1 --lun 1 -b {folder}/lun1
$admin --mode logicalunit --tid 1 --lun 2 -b {folder}/lun2
tgtadm -C 1 --lld iscsi --op bind --mode target --tid 1 -I ALL
$admin --mode account --user me --password secret-of-chap
tgtadm -C 1 --lld iscsi --op bind --mode account --tid 1 --user me
"""
EXPORTS = """
set -e
qemu-nbd --fork -t -e 8 -f raw -x one -b 127.0.0.1 {folder}/nbd1
qemu-nbd --fork -t -e 8 -f raw -x two -k /run/two.sock {folder}/nbd2
"""
CEPH_CONF = """
[global]
fsid = 11111111-2222-4333-8444-555555555555
mon host = 127.0.0.1:6789
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 2147483648
osd memory target = 939524096
osd data = {folder}/osd
mon data = {folder}/mon
mgr data = {folder}/mgr
[mon.a]
mon addr = 127.0.0.1:6789
"""
CEPH = """
set -e
cd {folder}
mkdir mon osd mgr
key() {{ name=$1; shift; ceph-authtool keyring --gen-key -n $name "$@"; }}
ceph-authtool -C keyring --gen-key -n mon. --cap mon 'allow *'
key client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
key mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd'
monmaptool --create --add a 127.0.0.1:6789 --fsid 11111111-2222-4333-8444-555555555555 monmap
export CEPH_CONF={folder}/ceph.conf
ceph-mon --mkfs -i a --monmap monmap --keyring keyring
ceph-mon -i a
ceph-mgr -i x
uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new $uuid
ceph auth import -i keyring
ceph-osd -i 0 --mkfs --osd-uuid $uuid
ceph-osd -i 0
ceph osd pool create vms 8
rbd pool init vms
ceph auth get-or-create client.vms mon 'profile rbd' osd 'profile rbd pool=vms' > vms.keyring
"""


def run(bench: Bench, script: str, **words: object) -> str:
    done = bench.call(["bash", "-c", script.format(**words)], limit=200)
    assert done.status == 0, done.err[-2000:]
    return done.out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that stand for disks."""
    made = tmp_path_factory.mktemp("disks")
    for name, mib in {"lun1": 160, "lun2": 300, "nbd1": 160, "nbd2": 200, "sda": 140, "sdb": 200, "vg": 200}.items():
        with (made / name).open("wb") as file:
            file.truncate(mib * 1024**2)
    return made


@pytest.fixture(scope="module")
def loops(bench: Bench, folder: Path) -> Iterator[dict[str, str]]:
    """Loop devices by the name of their file. They belong to the whole machine: a lab that goes leaves them."""
    made: dict[str, str] = {}
    try:
        for name in ("sda", "sdb", "vg"):
            made[name] = run(bench, "losetup -f --show {file}", file=folder / name).strip()
        yield made
    finally:
        bench.call(["losetup", "-d", *made.values()])


@pytest.fixture(scope="module")
def pools(bench: Bench, folder: Path, loops: dict[str, str]) -> Iterator[Bench]:
    """A pool of each kind, with its servers; they end with the lab."""
    ceph = Path("/run/ceph-lab")
    run(bench, TARGET, iqn=IQN, folder=folder)
    run(bench, EXPORTS, folder=folder)
    (folder / "ceph.conf").write_text(CEPH_CONF.format(folder=ceph))
    run(bench, "mkdir -p {ceph} && cp {folder}/ceph.conf {ceph}", ceph=ceph, folder=folder)
    run(bench, CEPH, folder=ceph)
    (folder / "chap").write_text("secret-of-chap\n")
    bench.run("pool", "add", "dir", str(folder / "new"))
    bench.run("pool", "add", "device", loops["sda"], loops["sdb"])
    bench.run("pool", "add", "iscsi", f"iscsi://127.0.0.1/{IQN}", "--user", "me", "--key-file", str(folder / "chap"))
    bench.run("pool", "add", "nbd", "nbd://127.0.0.1/one", "nbd+unix:///two?socket=/run/two.sock")
    bench.run("pool", "add", "rbd", "rbd://127.0.0.1:6789/vms", "--user", "vms", "--key-file", f"{ceph}/vms.keyring")
    yield bench
    for kind in KINDS:
        bench.run("pool", "remove", kind)
    assert [pool["name"] for pool in bench.run("pool", "list", "--json").json] == ["default"]
    assert bench.virsh("secret-list").split() == []


DISKS = dict(zip(KINDS, ("vdb", "vdc", "vdd", "vde", "vdf"), strict=True))
SOURCES = {"dir": "file='", "device": "dev='/dev/loop", "iscsi": f"name='{IQN}/", "nbd": "name='one'", "rbd": "name='vms/"}


def read_data(bench: Bench) -> list[str]:
    """What each data disk begins with, in the order of KINDS."""
    script = "; ".join(f"head -c 20 /dev/{disk} | head -n 1" for disk in DISKS.values())
    return bench.run("exec", "kinds/one-1", "--", "sh", "-c", script).out.split()


def test_machines_boot_from_and_use_every_kind_of_pool_and_their_data_outlives_them(pools: Bench, folder: Path) -> None:
    file = folder / "kinds.yaml"
    file.write_text(STACK)
    pools.run("up", str(file), "--yes")
    xml = pools.run("show", "kinds/one-1", "--xml").out
    assert {kind: source in xml for kind, source in SOURCES.items()} == dict.fromkeys(KINDS, True)
    for secret in ("secret-of-chap", run(pools, "ceph -c /run/ceph-lab/ceph.conf auth print-key client.vms").strip()):
        assert secret not in pools.call(["ps", "-ef"]).out
    write = "; ".join(f"echo {kind} | dd of=/dev/{disk} conv=sync 2>/dev/null" for kind, disk in DISKS.items())
    pools.run("exec", "kinds/one-1", "--", "sh", "-c", f"{write}; sync")
    pools.run("exec", "kinds", "--", "sh", "-c", "hostname > /root/mark; sync")
    assert "nothing to do" in pools.run("plan", str(file)).out

    pools.run("stop", "kinds")
    pools.run("up", str(file), "--yes")
    assert pools.run("exec", "kinds", "--", "cat", "/root/mark").out == "one-1: one-1\ntwo-1: two-1\n"
    assert read_data(pools) == list(KINDS)
    file.write_text(STACK.replace("{name: rbd, size: 64 MiB", "{name: rbd, size: 96 MiB"))
    pools.run("up", str(file), "--yes")
    assert pools.run("exec", "kinds/one-1", "--", "cat", "/sys/block/vdf/size").out == f"{96 * 2048}\n", "it grew while it ran"

    pools.run("down", "kinds", "--yes")
    assert {kind: "is in use" in pools.run("pool", "remove", kind, status=4).err for kind in KINDS} == dict.fromkeys(KINDS, True)
    pools.run("up", str(file), "--yes")
    pools.run("exec", "kinds/one-1", "--", "test", "!", "-e", "/root/mark")
    assert read_data(pools) == list(KINDS), "kept volumes are found again"

    pools.run("down", "kinds", "--yes", "--volumes")
    units = [disk for kind in ("device", "iscsi", "nbd") for disk in pools.run("pool", "show", kind, "--json").json["disks"]]
    assert {(disk["volume"], disk["used"]) for disk in units if disk["used"]} == {(None, True)}, "given back, with what they carry"
    assert run(pools, "rbd -c /run/ceph-lab/ceph.conf ls vms") == "", "where we make disks, they go"


def test_a_source_that_cannot_be_used_is_refused_with_the_reason(pools: Bench, folder: Path, loops: dict[str, str]) -> None:
    run(pools, "mkfs.ext4 -q {device} && mkdir -p /mnt/vg && mount {device} /mnt/vg", device=loops["vg"])
    try:
        refused = pools.run("pool", "add", "more", loops["vg"], status=4).err
        assert "mounted on /mnt/vg" in refused
    finally:
        pools.call(["umount", "/mnt/vg"])
    (folder / "wrong").write_text("wrong-key\n")
    refused = pools.run(
        "pool", "add", "more", f"iscsi://127.0.0.1/{IQN}", "--user", "me", "--key-file", str(folder / "wrong"), status=4
    ).err
    assert "no-source" in refused
    assert "no-device" in pools.run("pool", "add", "more", "nbd://127.0.0.1/three", status=4).err
    assert "is in pool device already" in pools.run("pool", "add", "more", loops["sda"], status=4).err
    assert "more" not in {pool["name"] for pool in pools.run("pool", "list", "--json").json}
    assert "tinycloud-more" not in pools.virsh("pool-list", "--all", "--name")


def test_a_volume_group_is_a_pool_and_nothing_of_it_is_removed_with_the_pool(bench: Bench, loops: dict[str, str], tmp_path: Path) -> None:
    """This kernel has no device-mapper: the pool is real, and a disk in it goes as far as lvcreate."""
    run(bench, "vgcreate -y tc-test {device}", device=loops["vg"])
    try:
        bench.run("pool", "add", "thick", "lvm:tc-test")
        pool = bench.run("pool", "show", "thick", "--json").json
        assert (pool["kind"], pool["path"], pool["capacity"] > 100 * 1024**2) == ("lvm", "/dev/tc-test", True)
        file = tmp_path / "thick.yaml"
        file.write_text("stack: thick\ngroups: {box: {image: nano, memory: 128 MiB, pool: thick}}\n")
        if not Path("/sys/class/misc/device-mapper").exists():
            failed = bench.run("up", str(file), "--yes", status=1).err
            assert "lvcreate --name thick.box-1.disk-1.qcow2 -L 131072K tc-test" in failed
            assert "what it did was undone" in failed
        bench.run("pool", "remove", "thick")
        assert "tc-test" in run(bench, "vgs --noheadings -o vg_name")
    finally:
        bench.call(["vgremove", "-y", "tc-test"])
