"""How volumes, trees, checks and comparisons are shown."""

from __future__ import annotations

import json

import click
import pytest

from tinycloud.cli.main import app
from tinycloud.cli.volume_work import print_check, print_comparison
from tinycloud.cli.volumes import print_info, print_tree
from tinycloud.errors import Failed
from tinycloud.model.disk_facts import Branch, CheckResult, Comparison, DiskInfo, DiskSnapshot, Layer
from tinycloud.model.units import Bytes

MIB = 1024**2
TOP = Layer("work", "/pool/volume-work.qcow2", "qcow2", Bytes(64 * MIB), Bytes(MIB), encrypted=True)
BASE = Layer("nano 44cd92c", "/pool/image-44", "raw", Bytes(32 * MIB), Bytes(30 * MIB))
INFO = DiskInfo(
    "work", "local", "default", (TOP, BASE), Bytes(66 * MIB), Bytes(65536), "zstd", (DiskSnapshot("before", 1.0),), ("shop/web-1",)
)


def test_a_disk_is_shown_with_its_layers(capsys: pytest.CaptureFixture[str]) -> None:
    print_info(INFO, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "name       work",
        "file       /pool/volume-work.qcow2 on local, pool default",
        "format     qcow2, clusters of 64 KiB, zstd",
        "size       64 MiB, 1 MiB on disk, at most 66 MiB",
        "encrypted  LUKS",
        "used by    shop/web-1",
        "snapshots  before",
        "stands on  nano 44cd92c  raw, 32 MiB, 30 MiB on disk",
    ]
    print_info(INFO, as_json=True)
    assert json.loads(capsys.readouterr().out)["layers"][1]["format"] == "raw"


def test_a_tree_is_drawn_to_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    machine = Branch("machine", "shop/web-1", "runs")
    top = Branch("disk", "shop/web-1/disk", "1 GiB", (machine,))
    print_tree(
        (Branch("image", "nano 44cd92c", "128 MiB", (Branch("disk", "low", "x", (top,)), Branch("disk", "other", "y"))),), as_json=False
    )
    assert capsys.readouterr().out.splitlines() == [
        "nano 44cd92c  128 MiB",
        "├─ low  x",
        "│  └─ shop/web-1/disk  1 GiB",
        "│     └─ machine shop/web-1  runs",
        "└─ other  y",
    ]


def test_a_damaged_disk_ends_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(CheckResult("work", 0, 0, 3), as_json=False)
    assert capsys.readouterr().out == "work is well; 3 clusters were mended\n"
    for result, words in (
        (CheckResult("work", 2, 0, 0), "2 clusters are damaged"),
        (CheckResult("work", 0, 5, 0), "5 clusters take space"),
    ):
        with pytest.raises(Failed, match=words) as caught:
            print_check(result, as_json=False)
        assert (caught.value.kind, caught.value.exit) == ("damaged-disk", 1)


@pytest.mark.parametrize(
    ("found", "words", "status"),
    [
        (Comparison(True, None, (Bytes(MIB), Bytes(MIB))), "a and b hold the same", 0),
        (Comparison(True, None, (Bytes(MIB), Bytes(2 * MIB))), "a and b hold the same; 1 MiB and 2 MiB, the rest is zeros", 0),
        (Comparison(False, 512, (Bytes(MIB), Bytes(MIB))), "a and b differ from byte 512 on", 1),
    ],
)
def test_a_comparison_is_said_and_is_the_exit_status(
    capsys: pytest.CaptureFixture[str], found: Comparison, words: str, status: int
) -> None:
    with click.Context(app):
        try:
            print_comparison("a", "b", found, as_json=False)
            ended = 0
        except click.exceptions.Exit as err:
            ended = err.exit_code
    assert (capsys.readouterr().out, ended) == (f"{words}\n", status)
