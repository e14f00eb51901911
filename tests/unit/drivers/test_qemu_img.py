"""qemu-img, for real, on files of a test: what is told to it and what is made of its answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tinycloud.drivers.qemu_img import Checked, Compared, Node, QemuImg
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import InUse, Refused, ToolFailed

MIB = 1024**2


class AsIAm(LocalShell):
    """No root: the files are the test's own."""

    def run(self, argv, **more):  # type: ignore[no-untyped-def]
        return super().run(argv, **{**more, "root": False})


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def qemu(told: list[str]) -> QemuImg:
    return QemuImg(AsIAm(told.append))


def write(node: Node, *commands: str) -> None:
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", node.format, *words, node.path], check=True, capture_output=True, timeout=60)


def test_a_name_with_a_comma_or_a_colon_is_a_name(qemu: QemuImg, tmp_path: Path) -> None:
    node = Node(str(tmp_path / "a,file.filename=b:c"), "qcow2")
    qemu.create(node, MIB)
    assert qemu.info(node)["virtual-size"] == MIB
    assert qemu.check(node) == Checked()


def test_a_raw_disk_may_begin_like_a_qcow2_and_stays_raw(qemu: QemuImg, tmp_path: Path) -> None:
    inner, outer = Node(str(tmp_path / "inner"), "qcow2"), Node(str(tmp_path / "inner"), "raw")
    qemu.create(inner, 64 * MIB)
    assert qemu.info(outer)["virtual-size"] < MIB


def test_sizes_are_measured_before_anything_is_made(qemu: QemuImg, tmp_path: Path) -> None:
    node = Node(str(tmp_path / "disk"), "qcow2")
    qemu.create(node, 64 * MIB)
    write(node, "write -P 1 0 4M")
    assert 4 * MIB <= qemu.measure(node, "qcow2") < 6 * MIB
    assert 64 * MIB < qemu.measure_empty("qcow2", 64 * MIB) < 66 * MIB
    assert qemu.measure_empty("raw", 64 * MIB) == 64 * MIB
    assert qemu.find_end(node) == 4 * MIB


def test_the_first_difference_is_told_and_a_tail_of_zeros_is_none(qemu: QemuImg, tmp_path: Path) -> None:
    one, other = Node(str(tmp_path / "one"), "qcow2"), Node(str(tmp_path / "other"), "raw")
    qemu.create(one, 8 * MIB)
    qemu.create(other, 4 * MIB)
    assert qemu.compare(one, other, 8 * MIB) == Compared(same=True)
    write(one, "write -P 1 1M 64k")
    assert qemu.compare(one, other, 8 * MIB) == Compared(same=False, offset=MIB)


def test_a_copy_tells_how_far_it_is(qemu: QemuImg, tmp_path: Path) -> None:
    node, copy = Node(str(tmp_path / "disk"), "qcow2"), Node(str(tmp_path / "copy"), "vmdk")
    qemu.create(node, 64 * MIB)
    write(node, "write -P 1 0 32M")
    seen: list[tuple[int, int]] = []
    qemu.convert(node, copy, 64 * MIB, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (64 * MIB, 64 * MIB)
    assert qemu.compare(node, copy, 64 * MIB).same


def test_a_passphrase_goes_by_stdin_and_stands_on_no_command_line(qemu: QemuImg, told: list[str], tmp_path: Path) -> None:
    node = Node(str(tmp_path / "disk"), "qcow2", b"open sesame")
    qemu.create(node, MIB, options={"encrypt.iter-time": "10"})
    assert qemu.check(node) == Checked()
    assert "open sesame" not in f"{told}{node}"
    with pytest.raises(Refused) as caught:
        qemu.check(Node(node.path, "qcow2", b"wrong"))
    assert (caught.value.kind, caught.value.exit) == ("wrong-passphrase", 4)


def test_two_passphrases_do_not_go_through_one_stdin(qemu: QemuImg, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        qemu.compare(Node("/a", "qcow2", b"one"), Node("/b", "qcow2", b"other"), MIB)
    assert caught.value.kind == "encryption"


def test_a_disk_that_somebody_writes_is_not_touched(qemu: QemuImg, tmp_path: Path) -> None:
    node = Node(str(tmp_path / "disk"), "qcow2")
    qemu.create(node, MIB)
    holder = subprocess.Popen(["qemu-io", "-f", "qcow2", node.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write("length\n")
        holder.stdin.flush()
        assert "1 MiB" in holder.stdout.readline()
        with pytest.raises(InUse, match="another process has the disk open"):
            qemu.resize(node, 2 * MIB)
        assert qemu.info(node)["virtual-size"] == MIB  # looking is allowed
    finally:
        holder.communicate("quit\n", timeout=30)


def test_what_qemu_says_of_a_file_that_is_none_is_a_fact(qemu: QemuImg, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed) as caught:
        qemu.info(Node(str(tmp_path / "absent"), "qcow2"))
    assert any("No such file" in fact for fact in caught.value.facts)
