"""Disks as VMware leaves them, and an appliance packed by hand: they come in, and a machine starts from each."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.conftest import Bench
from tests.unit.engine.appliances import CPUS, DISK, IDE, MEMORY, an_item, an_ova, an_ovf

pytestmark = pytest.mark.usefixtures("tidy")
MIB = 1024**2


def convert(nano: Path, target: Path, subformat: str, size: str) -> Path:
    """nano on a larger disk, so that it is another image, as a VMDK."""
    larger = target.parent / "larger.qcow2"
    shutil.copy(nano, larger)
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", larger, size], check=True)
    words = ["qemu-img", "convert", "-f", "qcow2", "-O", "vmdk", "-o", f"subformat={subformat}", str(larger), str(target)]
    subprocess.run(words, check=True, capture_output=True)
    return target


def test_a_split_vmdk_boots_and_takes_no_more_space_than_before(bench: Bench, nano_file: Path, tmp_path: Path) -> None:
    vmdk = convert(nano_file, tmp_path / "box.vmdk", "twoGbMaxExtentSparse", "160M")
    before = sum(part.stat().st_blocks * 512 for part in tmp_path.glob("box*.vmdk"))
    image = bench.run("image", "import", str(vmdk), "--name", "box", "--json").json
    assert (image["format"], image["size"]) == ("qcow2", 160 * MIB)
    assert image["stored"] <= 1.02 * before
    bench.run("run", "box", "--name", "imp", "--memory", "160 MiB")
    assert bench.run("ssh", "imp", "--", "cat /sys/block/vda/size").out == f"{160 * MIB // 512}\n"
    bench.run("down", "imp", "--yes")
    bench.run("image", "remove", "box")


def test_an_ova_starts_from_the_stack_file_that_came_of_it(bench: Bench, nano_file: Path, tmp_path: Path) -> None:
    body = convert(nano_file, tmp_path / "disk1.vmdk", "streamOptimized", "176M").read_bytes()
    nic = an_item(5, 10, Connection="VM Network", ResourceSubType="virtio")
    second = an_item(6, 17, HostResource="ovf:/disk/vmdisk2", Parent=3, AddressOnParent=1)
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "disk2.vmdk", "8M"], check=True)
    files = {"disk1.vmdk": body, "disk2.vmdk": (tmp_path / "disk2.vmdk").read_bytes()}
    ova = an_ova(tmp_path / "app.ova", an_ovf(CPUS, MEMORY, IDE, DISK, second, nic, files=tuple(files)), files)
    stack = tmp_path / "app.yaml"
    done = bench.run("image", "import", str(ova), "--name", "app", "--prepare", "cloud-init", "--group", str(stack), "--json").json
    assert [image["names"] for image in done["images"]] == [["app"], ["app-disk2"]]
    assert (done["images"][0]["disk_bus"], done["stack"]["groups"]["app"]["disk_bus"]) == ("ide", "ide")
    bench.run("up", str(stack), "--yes")
    said = bench.run("ssh", "app", "--", "cat /sys/block/sda/size /sys/block/sdb/size; nproc").out
    assert sorted(said.split()) == sorted([str(176 * MIB // 512), str(8 * MIB // 512), "2"]), "Linux looks at both at once"
    bench.run("down", "app", "--yes")
    bench.run("image", "remove", "app")
    bench.run("image", "remove", "app-disk2")


def test_a_hostile_image_leaves_nothing_in_the_store(bench: Bench, tmp_path: Path) -> None:
    bad = tmp_path / "bad.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", bad, "8M"], check=True)
    done = bench.run("image", "import", str(bad), "--name", "bad", "--json", status=4)
    assert json.loads(done.out)["error"] == "unsafe-image"
    done = bench.run("image", "import", "/dev/zero", "--name", "bad", "--format", "raw", "--json", status=4)
    assert json.loads(done.out)["error"] == "no-file"
