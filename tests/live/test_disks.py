"""Disks as files: what can be done to them while no machine runs with them, and what is refused while one does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.inside import run_inside
from tinycloud.cloud import Cloud
from tinycloud.engine.garbage import clear
from tinycloud.errors import TinycloudError
from tinycloud.model.disk_facts import DiskInfo
from tinycloud.model.world import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.conftest import Bench

POOL = "/var/lib/libvirt/images/tinycloud"
MIB = 1024**2
STACK = """
stack: safe
networks: {lan: {subnet: 10.68.0.0/24}}
groups:
  box: {image: nano, memory: 128 MiB, disk: 160 MiB, disk_encrypt: true, networks: [lan], volumes: [{name: data, size: 8 MiB}]}
"""


def call(*argv: str, input: str | None = None) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=input, timeout=120).stdout


def write(volume: str, *commands: str) -> None:
    """Put patterns into a volume: ``write -P 1 0 1M``."""
    call("qemu-io", "-f", volume.rpartition(".")[2], *(word for command in commands for word in ("-c", command)), f"{POOL}/{volume}")


def reads(volume: str, *commands: str) -> bool:
    """Whether patterns are there: ``read -P 1 0 1M``."""
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-f", volume.rpartition(".")[2], *words, f"{POOL}/{volume}"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode == 0 and "verification failed" not in done.stdout


def refused(act: Callable[[], object]) -> tuple[str, int]:
    """Code and exit status of what ``act`` is refused with."""
    with pytest.raises(TinycloudError) as caught:
        act()
    return caught.value.kind, caught.value.exit


def test_volumes_are_made_as_they_are_wished(bench: Bench, tmp_path: Path) -> None:
    def inside() -> None:
        with Cloud(state=tmp_path) as cloud:
            volumes = cloud.volumes
            thin = volumes.create("thin", "64 MiB", cluster="128 KiB", compression="zstd")
            assert (thin.top.size, thin.cluster, thin.compression, thin.top.format) == (64 * MIB, 128 * 1024, "zstd", "qcow2")
            assert thin.top.stored < MIB < 64 * MIB < thin.worst < 66 * MIB
            tables = volumes.create("tables", "64 MiB", preallocation="metadata")
            assert tables.top.stored < 2 * MIB
            whole = volumes.create("whole", "8 MiB", format="raw", preallocation="full")
            assert (whole.top.format, whole.top.stored, whole.worst) == ("raw", 8 * MIB, 8 * MIB)
            over = volumes.create("over", base="nano", size="160 MiB")
            assert [(layer.ref[:4], layer.size) for layer in over.layers] == [("over", 160 * MIB), ("nano", 128 * MIB)]
            assert over.top.stored < MIB
            assert [row.ref for row in volumes.list()] == ["over", "tables", "thin", "whole"]
            (tree, *alone) = volumes.tree()
            assert (tree.kind, [it.ref for it in tree.above], [it.ref for it in alone]) == ("image", ["over"], ["tables", "thin", "whole"])
            assert volumes.info("nano").users == ("over",)
            assert refused(lambda: cloud.images.remove("nano")) == ("in-use", 4)
            assert refused(lambda: volumes.create("thin", "1 MiB")) == ("clash", 4)
            assert refused(lambda: volumes.create("nano", "1 MiB")) == ("clash", 4)
            assert refused(lambda: volumes.create("odd", "8 MiB", format="raw", encrypt=True)) == ("wrong-value", 2)
            assert refused(lambda: volumes.create("odd", "100 TiB", preallocation="falloc")) == ("no-space", 4)
            assert refused(lambda: volumes.create("odd", "1 MiB", base="nano")) == ("too-small", 4)
            assert refused(lambda: volumes.info("thinn")) == ("not-found", 2)
            # another pool
            folder = tmp_path / "fast"
            cloud.pools.add("fast", str(folder))
            there = volumes.create("there", base="nano", pool="fast")
            assert (there.pool, there.top.file) == ("fast", f"{folder}/volume-there.qcow2")
            assert refused(lambda: volumes.create("odd", "1 MiB", pool="fats")) == ("not-found", 2)
            assert [it.ref for it in volumes.tree("nano")[0].above] == ["there", "over"]
            assert len(volumes.flatten("there").layers) == 1
            assert clear(cloud.parts, cloud.parts.first_host, minutes=-1).garbage == ()
            os.unlink(f"{POOL}/volume-tables.qcow2")  # behind libvirt's back: it is not there
            assert "tables" not in [row.ref for row in volumes.list()]
            for name in ("over", "thin", "whole", "there"):
                volumes.remove(name)
            assert volumes.list() == []
            cloud.pools.remove("fast")

    run_inside(bench.host, inside)


def test_layers_are_changed_and_a_disk_reads_the_same(bench: Bench, tmp_path: Path) -> None:
    def inside() -> None:
        with Cloud(state=tmp_path) as cloud:
            volumes = cloud.volumes
            volumes.create("base", "16 MiB")
            write("volume-base.qcow2", "write -P 1 0 4M")
            volumes.create("top", base="base")
            write("volume-top.qcow2", "write -P 2 1M 1M")
            assert refused(lambda: volumes.resize("base", "32 MiB")) == ("in-use", 4)
            assert refused(lambda: volumes.remove("base")) == ("in-use", 4)
            volumes.convert("top", "same", format="raw")
            assert volumes.compare("top", "same").same
            # another base, which holds something else
            volumes.create("other", "16 MiB")
            write("volume-other.qcow2", "write -P 9 0 8M")
            assert [layer.ref for layer in volumes.rebase("top", "other").layers] == ["top", "other"]
            assert volumes.compare("top", "same").same
            assert refused(lambda: volumes.rebase("other", "top")) == ("in-use", 4)
            assert refused(lambda: volumes.rebase("top", "top")) == ("base-cycle", 2)
            assert refused(lambda: volumes.rebase("same", "other")) == ("wrong-format", 4)
            # its changes go down, and it is empty
            volumes.create("top-too", base="other")
            assert refused(lambda: volumes.commit("top")) == ("in-use", 4)
            volumes.remove("top-too")
            made = volumes.commit("top")
            assert isinstance(made, DiskInfo)
            assert made.top.stored < MIB
            assert volumes.compare("other", "same").same
            assert volumes.compare("top", "same").same
            # snapshots inside
            volumes.take_snapshot("top", "before")
            write("volume-top.qcow2", "write -P 3 0 2M")
            differ = volumes.compare("top", "same")
            assert (differ.same, differ.offset) == (False, 0)
            assert refused(lambda: volumes.flatten("top")) == ("has-snapshots", 4)
            assert refused(lambda: volumes.take_snapshot("top", "before")) == ("exists", 4)
            assert refused(lambda: volumes.revert("top", "befor")) == ("not-found", 2)
            volumes.revert("top", "before")
            assert volumes.compare("top", "same").same
            volumes.delete_snapshot("top", "before")
            assert volumes.snapshots("top") == ()
            flat = volumes.flatten("top")
            assert (len(flat.layers), volumes.compare("top", "same").same) == (1, True)
            assert refused(lambda: volumes.commit("top")) == ("no-base", 4)
            # an image is never written
            volumes.create("work", base="nano")
            write("volume-work.qcow2", "write -P 7 100M 1M")
            assert refused(lambda: volumes.commit("work")) == ("read-only", 4)
            assert refused(lambda: volumes.resize("nano", "1 GiB")) == ("read-only", 4)
            image = volumes.commit("work", "nano-too", move=True)
            assert isinstance(image, Image)
            assert image.base == cloud.images.show("nano").sha
            assert [layer.ref for layer in volumes.info("work").layers] == ["work", image.label]
            assert (volumes.compare("work", "nano-too").same, volumes.compare("nano", "nano-too").same) == (True, False)
            for name in ("work", "top", "other", "same", "base"):
                volumes.remove(name)
            cloud.images.untag("nano-too") if len(image.names) > 1 else cloud.images.remove("nano-too")

    run_inside(bench.host, inside)


def test_sizes_change_only_as_far_as_the_content_is_seen_to_fit(bench: Bench, tmp_path: Path) -> None:
    def inside() -> None:
        with Cloud(state=tmp_path) as cloud:
            volumes = cloud.volumes
            assert volumes.create("disk", "64 MiB", format="raw").top.size == 64 * MIB
            raw = f"{POOL}/volume-disk.raw"
            assert volumes.resize("disk", "96 MiB").top.size == 96 * MIB
            assert refused(lambda: volumes.resize("disk", "80 MiB")) == ("too-small", 4)
            assert volumes.resize("disk", "64 MiB", shrink=True).top.size == 64 * MIB  # nothing was ever written
            # a bare file system
            call("mke2fs", "-q", "-F", "-t", "ext4", raw, "24M")
            assert refused(lambda: volumes.resize("disk", "20 MiB", shrink=True)) == ("too-small", 4)
            assert volumes.resize("disk", "32 MiB", shrink=True).top.size == 32 * MIB
            call("e2fsck", "-fn", raw)
            volumes.remove("disk")
            # partitions, whose second table has to move, in a qcow2
            volumes.create("parts", "64 MiB", format="raw")
            call("sfdisk", "-q", f"{POOL}/volume-parts.raw", input="label: gpt\nsize=8M, name=one\nsize=16M, name=two\n")
            write("volume-parts.raw", "write -P 5 20M 1M")
            volumes.convert("parts", "parts-too")
            assert refused(lambda: volumes.resize("parts-too", "20 MiB", shrink=True)) == ("too-small", 4)
            assert volumes.resize("parts-too", "40 MiB", shrink=True).top.size == 40 * MIB
            volumes.convert("parts-too", "seen", format="raw")
            seen = call("sfdisk", "-d", f"{POOL}/volume-seen.raw")
            assert re.findall(r'name="(\w+)"', seen) == ["one", "two"]
            assert "No errors" in call("sfdisk", "--verify", f"{POOL}/volume-seen.raw")
            assert reads("volume-seen.raw", "read -P 5 20M 1M")
            # data without a form
            write("volume-parts.raw", "write -P 5 0 60M")
            assert refused(lambda: volumes.resize("parts", "8 MiB", shrink=True)) == ("unknown-content", 4)
            for name in ("parts", "parts-too", "seen"):
                volumes.remove(name)

    run_inside(bench.host, inside)


def test_every_format_is_written_sparse_and_holds_the_same(bench: Bench, tmp_path: Path) -> None:
    def inside() -> None:
        with Cloud(state=tmp_path / "state") as cloud:
            volumes = cloud.volumes
            volumes.create("src", "256 MiB")
            write("volume-src.qcow2", "write -P 65 1M 8M", "write -P 66 200M 1M")
            for format in ("raw", "qcow2", "vdi", "vmdk", "vhdx", "vpc"):
                file = tmp_path / f"out.{format}"
                taken = volumes.export("src", file, format=format)
                call("qemu-img", "compare", "-f", "qcow2", "-F", format, f"{POOL}/volume-src.qcow2", str(file))
                assert taken == file.stat().st_blocks * 512
                assert taken < (24 if format in ("vhdx", "vpc", "vdi") else 10) * MIB, format
                assert file.stat().st_mode & 0o777 == 0o600
            assert refused(lambda: volumes.export("src", file)) == ("exists", 4)
            assert refused(lambda: volumes.export("src", tmp_path / "absent/file")) == ("no-file", 4)
            assert volumes.export("src", file, compressed=True, force=True) < MIB
            assert refused(lambda: volumes.export("src", file, format="vdi", compressed=True, force=True)) == ("wrong-value", 2)
            for method in ("zlib", "zstd"):
                made = cloud.images.convert("nano", f"nano-{method}", compression=method)
                assert volumes.compare("nano", made.sha).same
                assert made.stored < cloud.images.show("nano").stored * 0.99
                assert volumes.info(made.sha).compression == method
                cloud.images.remove(made.sha)
            volumes.remove("src")
            assert [name for name in os.listdir(POOL) if name.endswith(".part")] == []
            assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []

    run_inside(bench.host, inside)


def test_damage_is_found_and_mended_and_what_nobody_needs_goes(bench: Bench, tmp_path: Path) -> None:
    def inside() -> None:
        with Cloud(state=tmp_path) as cloud:
            volumes, images = cloud.volumes, cloud.images
            volumes.create("hurt", "16 MiB")
            write("volume-hurt.qcow2", "write -P 1 0 1M")
            assert volumes.check("hurt").is_well
            with open(f"{POOL}/volume-hurt.qcow2", "r+b") as file:  # the refcount of the first data clusters: 0
                file.seek(2 * 65536 + 10)
                file.write(bytes(4))
            assert not volumes.check("hurt").is_well
            mended = volumes.check("hurt", repair=True)
            assert (mended.is_well, mended.mended > 0) == (True, True)
            assert reads("volume-hurt.qcow2", "read -P 1 0 1M")
            volumes.remove("hurt")
            assert images.verify()[0].is_well
            made = images.convert("nano", "bent", format="raw")
            path = f"{POOL}/image-{made.sha}"
            os.chmod(path, 0o600)
            with open(path, "r+b") as file:
                file.seek(5 * MIB)
                file.write(b"bent")
            assert [(it.label[:4], it.is_well) for it in images.verify(["bent", "nano"])] == [("bent", False), ("nano", True)]
            said = subprocess.run(
                [sys.executable, "-m", "tinycloud", "image", "verify", "bent"], capture_output=True, text=True, check=False
            )
            assert (said.returncode, "[changed-image]" in said.stderr) == (1, True)
            images.tag("nano", "bent")  # the name moves, and its image has none
            Path(f"{POOL}/work-0123456789abcdef.part").write_bytes(b"x")
            Path(f"{POOL}/gone.web-1.disk-1.qcow2").write_bytes(Path(f"{POOL}/image-{made.base}").read_bytes()[:65536])
            found = images.gc(dry_run=True)
            assert [it.kind for it in found.garbage] == ["image"]  # the others are young
            kinds = [it.kind for it in clear(cloud.parts, cloud.parts.first_host, minutes=-1).garbage]
            assert kinds == ["part", "disk", "image"]
            assert [name for name in os.listdir(POOL) if made.sha in name or name.startswith(("work-", "gone."))] == []
            images.untag("bent")
            assert [image.names for image in images.list()] == [("nano",)]

    run_inside(bench.host, inside)


def test_a_kill_in_the_middle_leaves_a_disk_that_reads_as_before(bench: Bench) -> None:
    bench.run("volume", "create", "low", "--size", "1GiB")
    bench.run("volume", "create", "high", "--base", "low", "--size", "1GiB")
    bench.call(["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 200M", f"{POOL}/volume-high.qcow2"])
    for verb in ("flatten", "commit"):
        worker = bench.start("volume", verb, "high", start_new_session=True)
        bench.wait_for(lambda: "qemu-img" in bench.call(["ps", "-eo", "comm="]).out)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()
        bench.wait_for(lambda: "qemu-img" not in bench.call(["ps", "-eo", "comm="]).out)
        seen = bench.call(["qemu-io", "-f", "qcow2", "-c", "read -P 1 0 200M", f"{POOL}/volume-high.qcow2"])
        assert (seen.status, "failed" in seen.out) == (0, False)
    bench.run("volume", "commit", "high")
    bench.run("volume", "check", "low")
    for name in ("high", "low"):
        bench.run("volume", "remove", name, "--yes")
    bench.call(["sh", "-c", f"rm -f {POOL}/work-*.part; virsh pool-refresh tinycloud"])


def test_an_encrypted_machine_boots_with_its_passphrase_alone_and_its_disks_are_its_own_while_it_runs(
    bench: Bench, tmp_path: Path, tidy: dict[str, list[str]]
) -> None:
    file = tmp_path / "safe.yaml"
    file.write_text(STACK)
    bench.run("up", str(file), "--yes")
    disk = f"{POOL}/safe.box-1.disk-1.qcow2"
    bench.run("exec", "safe", "--", "sh", "-c", "echo a-word-that-is-nowhere-else > /root/word; sync")
    assert bench.call(["grep", "-c", "a-word-that-is-nowhere-else", disk]).out == "0\n"
    (tree,) = bench.run("image", "tree", "nano", "--json").json
    assert [it["ref"] for it in tree["above"]] == ["safe/box-1/disk"]
    assert [it["ref"] for it in tree["above"][0]["above"]] == ["safe/box-1"]
    for words in (("flatten", "safe/box-1/disk"), ("export", "safe/box-1/disk", str(tmp_path / "x")), ("check", "safe/box-1/disk")):
        refusal = bench.run("volume", *words, status=4).err
        assert "safe/box-1/disk is in use by safe/box-1, which runs" in refusal
        assert "hint: tinycloud stop safe/box-1" in refusal
    bench.run("volume", "resize", "safe/box-1/data", "12 MiB")
    assert bench.run("exec", "safe", "--", "cat", "/sys/block/vdb/size").out == f"{12 * 2048}\n"
    larger = tmp_path / "larger.yaml"
    larger.write_text(STACK.replace("size: 8 MiB", "size: 16 MiB"))
    assert "volume data 12 MiB → 16 MiB" in bench.run("plan", str(larger), status=3).out
    bench.run("stop", "safe/box-1")
    info = bench.run("volume", "info", "safe/box-1/disk", "--json").json
    assert (info["layers"][0]["encrypted"], info["layers"][1]["encrypted"], info["users"]) == (True, False, ["safe/box-1"])
    assert "'encrypt.key-secret' is required" in bench.call(["qemu-img", "map", "-f", "qcow2", disk]).err
    secret = bench.virsh("secret-list").split()[0]
    kept = bench.call(["sh", "-c", f"cat /etc/libvirt/secrets/{secret}.base64"]).out
    bench.virsh("secret-undefine", secret)
    bench.run("start", "safe/box-1", status=1)
    # an up gives the host its passphrases again, and the machine is as it was
    bench.run("up", str(file), "--yes")
    assert bench.call(["sh", "-c", f"cat /etc/libvirt/secrets/{secret}.base64"]).out == kept
    assert bench.run("exec", "safe", "--", "cat", "/root/word").out == "a-word-that-is-nowhere-else\n"
    bench.run("down", "safe", "--yes")
    assert bench.virsh("secret-list") == ""


def test_a_disk_with_a_passphrase_of_ones_own_opens_with_nothing_else(bench: Bench, tmp_path: Path) -> None:
    def inside() -> None:
        with Cloud(state=tmp_path) as cloud:
            volumes = cloud.volumes
            own = volumes.create("own", "8 MiB", passphrase=b"open sesame")
            assert own.top.encrypted
            assert refused(lambda: volumes.check("own")) == ("wrong-passphrase", 4)
            assert volumes.check("own", passphrase=b"open sesame").is_well
            assert refused(lambda: volumes.create("over", base="own")) == ("encryption", 4)
            # one that this cloud derives opens by itself
            volumes.create("kept", "8 MiB", encrypt=True)
            volumes.resize("kept", "16 MiB")
            assert not volumes.convert("kept", "plain").top.encrypted
            assert volumes.compare("kept", "plain").same
            for name in ("own", "kept", "plain"):
                volumes.remove(name)
            assert cloud.parts.first_host.secrets.list_all() == []

    run_inside(bench.host, inside)
