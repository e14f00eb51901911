"""Opening disks outside of machines: what is refused before anything is touched, and what is known of what is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import fake_cloud, write_stack
from tinycloud.cloud import Cloud
from tinycloud.errors import InUse, NotFound, NotYet, Refused, WrongInput

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups:
  web: {image: nano, memory: 128 MiB, networks: [front], volumes: [{name: data, size: 1 GiB, keep: true}]}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with fake_cloud(tmp_path) as made:
        made.up(write_stack(tmp_path, STACK))
        yield made


@pytest.mark.parametrize(("ref", "hint"), [("shop/web-1", "shop/web-1/disk"), ("shop/web-1/dat", 'did you mean "shop/web-1/data"?')])
def test_a_wrong_name_is_answered_with_the_nearest(cloud: Cloud, ref: str, hint: str) -> None:
    with pytest.raises(NotFound) as refused:
        cloud.images.shell_argv(ref)
    assert refused.value.hint == hint


def test_an_image_is_never_written(cloud: Cloud, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="never written") as refused:
        cloud.images.mount("nano", tmp_path / "m", write=True)
    assert refused.value.kind == "read-only"


def test_the_disk_of_a_running_machine_is_not_written_and_not_given_to_the_kernel(cloud: Cloud, tmp_path: Path) -> None:
    for action in (
        lambda: cloud.images.mount("shop/web-1/disk", tmp_path / "m", write=True),
        lambda: cloud.images.mount("shop/web-1/disk", tmp_path / "m", through_kernel=True),
        lambda: cloud.images.serve("shop/web-1/data"),
        lambda: cloud.images.shell_argv("shop/web-1/disk", write=True),
    ):
        with pytest.raises(InUse, match="shop/web-1 runs") as refused:
            action()
        assert refused.value.hint == "tinycloud stop shop/web-1"
    assert not (tmp_path / "m").exists()


def test_an_encrypted_disk_is_not_opened(tmp_path: Path) -> None:
    with fake_cloud(tmp_path) as cloud:
        cloud.up(write_stack(tmp_path, STACK.replace("keep: true", "encrypt: true")))
        with pytest.raises(NotYet, match="is encrypted"):
            cloud.images.shell_argv("shop/web-1/data")


def test_a_folder_that_holds_anything_is_no_mount_point(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine").touch()
    with pytest.raises(WrongInput, match="is not empty") as refused:
        cloud.images.mount("nano", tmp_path / "m")
    assert refused.value.kind == "not-empty"
    with pytest.raises(WrongInput, match="cannot make the folder"):
        cloud.images.mount("nano", tmp_path / "no" / "m")
    assert cloud.images.opened() == []
    assert (tmp_path / "m" / "mine").exists()


def test_only_loopback_is_served_without_certificates(cloud: Cloud) -> None:
    for address in ("0.0.0.0", "198.51.100.7", "example"):
        with pytest.raises(Refused, match="not loopback") as refused:
            cloud.images.serve("nano", address=address)
        assert refused.value.kind == "needs-tls"
    assert cloud.images.serve("nano", address="127.0.0.1").uri == "nbd://127.0.0.1:10809"
    with pytest.raises(WrongInput, match="one of them"):
        cloud.images.serve("nano", address="127.0.0.1", socket="/run/s")
    with pytest.raises(WrongInput, match="at most 107 bytes"):
        cloud.images.serve("nano", socket=f"/run/{'s' * 120}")


def test_what_is_open_is_listed_until_it_is_closed(cloud: Cloud, tmp_path: Path) -> None:
    cloud.images.mount("nano", tmp_path / "m")
    cloud.images.serve("nano", socket="/run/s")
    assert [(card.ref, card.how, card.where) for card in cloud.images.opened()] == [
        ("nano", "guestmount", str(tmp_path / "m")),
        ("nano", "nbd", "unix:/run/s"),
    ]
    cloud.images.unmount(tmp_path / "m")
    cloud.images.unserve("/run/s")
    assert cloud.images.opened() == []
    with pytest.raises(NotFound, match="nothing of ours is mounted"):
        cloud.images.unmount(tmp_path / "m")
    with pytest.raises(NotFound, match="is not served"):
        cloud.images.unserve("nano")
