"""The script that takes a file into a folder, run as a host runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tinycloud.drivers import onhost
from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.records import make_stamp
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused

SHELL = LocalShell()
MIB = 1024**2


def adopt(source: Path, pool: Path, **more: object) -> str:
    return str(run_script(SHELL, "adopt", {"source": str(source), "folder": str(pool), **more})["sha"])


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "pool").mkdir()
    return tmp_path / "pool"


def test_two_imports_of_one_file_at_once_both_end_well(pool: Path, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(8 * MIB))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(adopt(path, pool))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sha256(path.read_bytes()).hexdigest()] * 3
    assert [it.name for it in pool.iterdir()] == [f"image-{found[0]}"]


def test_an_import_that_is_killed_leaves_no_image_and_the_next_one_clears_up(pool: Path, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.truncate(200 * 1024 * MIB)  # hashing the hole takes long enough to be killed in it
    script = (Path(onhost.__file__).parent / "adopt.py").read_bytes()
    child = subprocess.Popen(
        [sys.executable, "-I", "-", f'{{"source": "{path}", "folder": "{pool}"}}'], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(script)
    child.stdin.close()
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert [it.suffix for it in pool.iterdir()] == [".part"]
    path.write_bytes(b"small")
    sha = adopt(path, pool)
    assert [it.name for it in pool.iterdir()] == [f"image-{sha}"]


def test_a_part_that_somebody_writes_now_is_not_swept(pool: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "disk").write_bytes(b"x")
    part = pool / f"import-{'a' * 16}.part"
    with part.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        adopt(tmp_path / "disk", pool)
        assert part.exists()
    adopt(tmp_path / "disk", pool)
    assert not part.exists()


def test_an_image_whose_bytes_went_bad_is_replaced_by_the_good_ones(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"good")
    sha = adopt(tmp_path / "disk", pool)
    image = pool / f"image-{sha}"
    image.chmod(0o600)
    image.write_bytes(b"baad")
    assert adopt(tmp_path / "disk", pool) == sha
    assert image.read_bytes() == b"good"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root")
def test_a_full_disk_ends_it_with_nothing_left(tmp_path: Path, pool: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", pool], check=True)
    try:
        (tmp_path / "large").write_bytes(os.urandom(5 * MIB))
        with pytest.raises(Refused, match="large needs 5 MiB, its pool has 4 MiB free") as caught:
            adopt(tmp_path / "large", pool)
        assert (caught.value.kind, os.listdir(pool)) == ("no-space", [])
        with (tmp_path / "grows").open("wb") as file:
            file.truncate(8 * MIB)
        (tmp_path / "fits").write_bytes(os.urandom(3 * MIB))
        adopt(tmp_path / "fits", pool)
    finally:
        subprocess.run(["umount", pool], check=True)


def test_a_file_that_is_written_to_meanwhile_is_refused(tmp_path: Path, pool: Path) -> None:
    path, ended = tmp_path / "disk", threading.Event()
    path.write_bytes(os.urandom(32 * MIB))

    def tamper() -> None:
        while not ended.is_set():
            with path.open("r+b") as file:
                file.write(os.urandom(8))
            time.sleep(0.001)

    thread = threading.Thread(target=tamper)
    thread.start()
    try:
        stamp = make_stamp(path)
        with pytest.raises(Refused) as caught:
            adopt(path, pool, stamp=stamp)
    finally:
        ended.set()
        thread.join()
    assert caught.value.kind == "changed-file"
    assert list(pool.iterdir()) == []


def test_a_pool_without_its_folder_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x")
    with pytest.raises(Refused, match=r"cannot work in .*/gone: No such file or directory") as caught:
        adopt(tmp_path / "disk", tmp_path / "gone")
    assert caught.value.kind == "pool-trouble"
