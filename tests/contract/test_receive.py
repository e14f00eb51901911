"""An image comes from another host: whole, proved, with its card; a folder beside the pool stands for the other host's."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.things import make_other_pool, make_pool
from tinycloud.drivers.fake import FakeHost
from tinycloud.errors import Refused
from tinycloud.model.names import image_card_name, image_name
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.host import Host

MIB = 1024**2
CARD = '{"names": ["x"]}'.ljust(4096)


def make_far(host: Host, folder: Path) -> tuple[Any, str]:
    """Another host, and the sha256 of an image that it has."""
    make_other_pool(host)
    path = folder / "disk.raw"
    with path.open("wb") as file:
        file.truncate(9 * MIB + 7)
        file.seek(4 * MIB)
        file.write(os.urandom(MIB))
    volumes = host.pool("fast")
    sha = volumes.adopt(path)
    volumes.refresh()
    return SimpleNamespace(name="far", shell=host.shell, volumes=volumes), sha


def test_an_image_comes_with_its_card_and_its_holes_and_again_nothing_comes(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    far, sha = make_far(host, tmp_path)
    told: list[tuple[int, int]] = []
    ways: list[str] = []
    came = host.volumes.receive(far, sha, CARD, "image x of far", lambda *n: told.append(n), at="127.0.0.1", on_way=ways.append)
    assert (came > 0, ways) == (True, [""])
    there, here = far.volumes.find(image_name(sha)), host.volumes.find(image_name(sha))
    assert here is not None
    assert (here.capacity, here.allocation <= there.allocation) == (9 * MIB + 7, True)
    assert told[-1][0] == told[-1][1]
    assert host.volumes.download_bytes(image_card_name(sha)).decode() == CARD
    assert sorted(host.volumes.list_names()) == [image_name(sha), image_card_name(sha)]
    assert host.volumes.receive(far, sha, CARD, "image x of far") == 0


def test_one_that_was_damaged_is_refused_and_nothing_is_left(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    far, sha = make_far(host, tmp_path)
    wrong = f"{int(sha[:8], 16) ^ 1:08x}{sha[8:]}"
    body = far.volumes.download_bytes(image_name(sha))
    far.volumes.create(render_volume(image_name(wrong), len(body), format="raw"), image_name(wrong))
    far.volumes.upload_bytes(image_name(wrong), body)
    with pytest.raises(Refused, match="image x of far is not what its name says") as caught:
        host.volumes.receive(far, wrong, CARD, "image x of far")
    assert caught.value.kind == "changed-image"
    host.volumes.refresh()
    assert host.volumes.list_names() == []


def test_what_its_progress_raises_ends_it(host: Host, tmp_path: Path) -> None:
    make_pool(host)
    far, sha = make_far(host, tmp_path)

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        host.volumes.receive(far, sha, CARD, "image x of far", stop)
    assert host.volumes.find(image_name(sha)) is None
    assert host.volumes.receive(far, sha, CARD, "image x of far") >= 0
    assert isinstance(host, FakeHost) or host.shell.run(["ls", "/var/lib/libvirt/images/tinycloud"]).text.split() == [
        image_name(sha),
        image_card_name(sha),
    ]
