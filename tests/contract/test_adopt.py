"""A file becomes an image of the pool: whole, under the name of its content, or not at all."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.contract.things import POOL_PATH, make_pool
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.libvirt.errors import NO_POOL
from tinycloud.drivers.records import make_stamp
from tinycloud.errors import LibvirtFailed, Refused
from tinycloud.model.names import image_name

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.host import Host

MIB = 1024**2


def a_sparse_file(folder: Path) -> Path:
    """Data at 4 MiB, written zeros at 6 MiB, holes elsewhere, 9 MiB and 7 bytes in all."""
    path = folder / "disk.raw"
    with path.open("wb") as file:
        file.truncate(9 * MIB + 7)
        file.seek(4 * MIB)
        file.write(os.urandom(MIB))
        file.seek(6 * MIB)
        file.write(bytes(MIB))
    return path


def test_a_file_is_found_under_its_sha256_with_every_byte_and_no_more_space_than_before(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    path = a_sparse_file(tmp_path)
    told: list[tuple[int, int]] = []
    sha = host.volumes.adopt(path, stamp=make_stamp(path), progress=lambda *n: told.append(n))
    assert sha == sha256(path.read_bytes()).hexdigest()
    assert told[-1] == (9 * MIB + 7, 9 * MIB + 7)
    host.volumes.refresh()
    assert host.volumes.list_names() == [image_name(sha)]
    record = host.volumes.find(image_name(sha))
    assert record is not None
    assert record.capacity == 9 * MIB + 7
    assert MIB <= record.allocation <= 1.02 * path.stat().st_blocks * 512
    assert host.volumes.download_bytes(image_name(sha)) == path.read_bytes()
    assert path.exists(), "a file that is not ours stays"


def test_the_same_file_again_is_the_same_image(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    path = a_sparse_file(tmp_path)
    assert host.volumes.adopt(path) == host.volumes.adopt(path)
    host.volumes.refresh()
    assert len(host.volumes.list_names()) == 1


@pytest.mark.parametrize("size", [0, 1, 4096, MIB])
def test_files_of_any_length_arrive(host: Host, tmp_path: Path, size: int) -> None:
    make_pool(host)
    body = os.urandom(size)
    (tmp_path / "file").write_bytes(body)
    sha = host.volumes.adopt(tmp_path / "file")
    host.volumes.refresh()
    assert (sha, host.volumes.download_bytes(image_name(sha))) == (sha256(body).hexdigest(), body)


def test_a_file_of_ours_may_be_taken_away(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    path = a_sparse_file(tmp_path)
    body = path.read_bytes()
    sha = host.volumes.adopt(path, consume=True)
    host.volumes.refresh()
    assert host.volumes.download_bytes(image_name(sha)) == body


def test_a_file_that_changed_since_it_was_looked_at_is_refused_with_nothing_left(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    path = a_sparse_file(tmp_path)
    stamp = make_stamp(path)
    path.write_bytes(b"something else")
    with pytest.raises(Refused) as caught:
        host.volumes.adopt(path, stamp=stamp)
    assert (caught.value.kind, caught.value.hint) == ("changed-file", "import it again")
    host.volumes.refresh()
    assert host.volumes.list_names() == []


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe"])
def test_what_is_no_file_is_not_waited_for(host: Host, tmp_path: Path, kind: str) -> None:
    make_pool(host)
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(Refused) as caught:
        host.volumes.adopt(path)
    assert caught.value.kind == "no-file"


def test_without_a_pool_nothing_is_taken_in(host: Host, tmp_path: Path) -> None:
    with pytest.raises(LibvirtFailed) as failure:
        host.volumes.adopt(a_sparse_file(tmp_path))
    assert failure.value.number == NO_POOL


def test_what_a_killed_import_left_goes_with_the_next_one(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    if isinstance(host, FakeHost):
        return  # a fake pool has no files to be left
    left = os.path.join(POOL_PATH, f"import-{'0' * 16}.part")
    with open(left, "wb") as file:
        file.write(b"half")
    sha = host.volumes.adopt(a_sparse_file(tmp_path))
    assert not os.path.exists(left)
    assert oct(os.stat(os.path.join(POOL_PATH, image_name(sha))).st_mode)[-4:] == "0444"
