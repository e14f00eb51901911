"""The script that makes equal overlays, run as a host runs it, with the real qemu-img."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024**2


def make(pool: Path, *names: str, image: str = "base") -> list[str]:
    args = {"folder": str(pool), "names": names, "size": 64 * MIB, "image": str(pool / image), "format": "raw"}
    return list(run_script(LocalShell(), "overlays", args)["made"])


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    with (tmp_path / "base").open("wb") as file:
        file.write(b"below")
        file.truncate(32 * MIB)
    return tmp_path


def test_every_copy_is_an_overlay_as_qemu_img_makes_it(pool: Path) -> None:
    assert make(pool, "one", "two") == ["one", "two"]
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", pool / "base", pool / "hand", str(64 * MIB)], check=True, cwd=pool
    )
    for name in ("one", "two"):
        assert (pool / name).read_bytes() == (pool / "hand").read_bytes()
        assert (pool / name).stat().st_blocks <= (pool / "hand").stat().st_blocks
        assert (pool / name).stat().st_mode & 0o777 == 0o600
        seen = json.loads(subprocess.run(["qemu-img", "info", "--output=json", pool / name], check=True, capture_output=True).stdout)
        assert (seen["virtual-size"], seen["backing-filename"]) == (64 * MIB, str(pool / "base"))
    subprocess.run(["qemu-io", "-c", "read -P 98 0 1", pool / "two"], check=True, capture_output=True)  # b, through the image below


def test_a_file_that_exists_stays_and_is_not_counted(pool: Path) -> None:
    (pool / "one").write_bytes(b"mine")
    (pool / "two").symlink_to("/nowhere")
    assert make(pool, "one", "two", "three") == ["three"]
    assert ((pool / "one").read_bytes(), (pool / "two").is_symlink()) == (b"mine", True)


def test_without_the_image_nothing_is_left(pool: Path) -> None:
    with pytest.raises(ToolFailed):
        make(pool, "one", image="nowhere")
    assert [path.name for path in pool.iterdir()] == ["base"]
