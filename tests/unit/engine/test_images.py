"""Images: stored once by content, found by name or digits, never taken from under a machine."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.builders import SHA, fake_cloud, fake_parts, put_image, write_stack
from tests.unit.engine.full import FullHost
from tinycloud.cloud import Cloud
from tinycloud.engine.images import Images
from tinycloud.errors import InUse, NotFound, Refused, WrongInput
from tinycloud.model.names import data_name, disk_name, image_card_name, image_name
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from pathlib import Path


def a_file(folder: Path, body: bytes = b"a disk", name: str = "disk.raw") -> Path:
    path = folder / name
    path.write_bytes(body)
    return path


def list_names(cloud: Cloud) -> list[tuple[str, ...]]:
    return [image.names for image in cloud.images.list()]


def test_an_import_keeps_every_byte_and_says_what_it_knows(cloud: Cloud, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    image = cloud.images.import_file(a_file(tmp_path, b"x" * 700), "mine", user="admin", prepare="none", progress=lambda *n: told.append(n))
    assert image.sha == sha256(b"x" * 700).hexdigest()
    assert (image.names, image.format, image.user, image.seed, image.source) == (("mine",), "raw", "admin", False, "disk.raw")
    assert image.size == 1024, "whole sectors"
    assert cloud.parts.first_host.volumes.download_bytes(image_name(image.sha)) == b"x" * 700
    assert told == [(700, 700)]


def test_the_same_content_is_stored_once_under_both_names(cloud: Cloud, tmp_path: Path) -> None:
    first = cloud.images.import_file(a_file(tmp_path), "one")
    second = cloud.images.import_file(a_file(tmp_path, name="other.raw"), "two")
    assert second.names == ("one", "two")
    assert (second.sha, second.created) == (first.sha, first.created)
    assert list_names(cloud) == [("nano",), ("one", "two")]


def test_a_name_moves_to_the_image_imported_last(cloud: Cloud, tmp_path: Path) -> None:
    old = cloud.images.import_file(a_file(tmp_path), "mine")
    new = cloud.images.import_file(a_file(tmp_path, b"a newer disk"), "mine")
    assert cloud.images.show("mine").sha == new.sha
    assert cloud.images.show(old.sha).names == ()
    assert cloud.images.show(old.sha).label == f"unnamed {old.sha[:7]}"


def test_a_file_with_holes_is_hashed_as_the_zeros_that_they_are(cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "sparse.raw"
    with path.open("wb") as file:
        file.seek(3 * 1024 * 1024)
        file.write(b"end")
        file.truncate(5 * 1024 * 1024)
    assert cloud.images.import_file(path, "sparse").sha == sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_written_to_while_it_is_read_is_not_kept(cloud: Cloud, tmp_path: Path) -> None:
    path = a_file(tmp_path)

    def tamper(_done: int, _total: int) -> None:
        path.write_bytes(b"tampered with")

    with pytest.raises(Refused) as caught:
        cloud.images.import_file(path, "mine", progress=tamper)
    assert caught.value.as_json() == {
        "error": "changed-file",
        "message": f"{path} changed while it was read",
        "facts": [],
        "hint": "import it again",
        "exit": 4,
    }
    assert list_names(cloud) == [("nano",)]
    assert not [name for name in cloud.parts.first_host.volumes.list_names() if SHA not in name]


def test_what_does_not_fit_is_refused_before_a_byte_is_copied(tmp_path: Path) -> None:
    host = FullHost(tmp_path)
    with Cloud(parts=fake_parts(tmp_path, hosts={"local": host})) as cloud, pytest.raises(Refused) as caught:
        cloud.images.import_file(a_file(tmp_path, b"x" * 9000), "mine")
    assert caught.value.kind == "no-space"
    assert caught.value.message == "disk.raw needs 12 KiB, pool default has 4.9 KiB free, of which 1 GiB are its reserve"
    assert host.volumes.list_names() == []


def test_half_an_import_is_no_image_and_the_next_import_makes_it_whole(cloud: Cloud, tmp_path: Path) -> None:
    path, volumes = a_file(tmp_path), cloud.parts.first_host.volumes
    volume = image_name(sha256(path.read_bytes()).hexdigest())
    volumes.create(render_volume(volume, 3, format="raw"), volume)
    assert list_names(cloud) == [("nano",)]
    assert cloud.images.import_file(path, "mine").names == ("mine",)
    assert volumes.download_bytes(volume) == b"a disk"


def test_a_card_that_cannot_be_read_hides_its_image_and_no_other(cloud: Cloud, tmp_path: Path) -> None:
    image = cloud.images.import_file(a_file(tmp_path), "mine")
    cloud.parts.first_host.volumes.upload_bytes(image_card_name(image.sha), b"{half")
    assert list_names(cloud) == [("nano",)]


@pytest.mark.parametrize("name", ["", "Nano", "a b", "../x", "a--b", "x" * 32])
def test_a_name_that_nothing_can_have_is_refused(cloud: Cloud, tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongInput, match=r"^name of an image: found ") as caught:
        cloud.images.import_file(a_file(tmp_path), name)
    assert caught.value.kind == "wrong-name"


def test_six_digits_of_the_sha_find_an_image_and_five_do_not(cloud: Cloud) -> None:
    assert cloud.images.show(SHA[:6]).sha == SHA
    with pytest.raises(NotFound, match=f'there is no image "{SHA[:5]}"'):
        cloud.images.show(SHA[:5])


def test_a_name_counts_before_digits(cloud: Cloud) -> None:
    host = cloud.parts.first_host
    put_image(host, "abcdef", "1" * 64)
    put_image(host, "aaa", "abcdef" + "2" * 58)
    assert cloud.images.show("abcdef").sha == "1" * 64


def test_a_wrong_name_is_answered_with_the_nearest(cloud: Cloud) -> None:
    with pytest.raises(NotFound) as caught:
        cloud.images.show("nanno")
    assert (caught.value.facts, caught.value.hint) == (("images: nano",), 'did you mean "nano"?')


def test_an_image_goes_with_its_card(cloud: Cloud) -> None:
    assert cloud.images.remove("nano").sha == SHA
    assert cloud.parts.first_host.volumes.list_names() == []


def test_an_image_that_machines_stand_on_stays(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    with pytest.raises(InUse) as caught:
        cloud.images.remove("nano")
    assert caught.value.as_json() == {
        "error": "in-use",
        "message": f"image nano {SHA[:7]} is in use",
        "facts": ["by hello/db-1", "by hello/web-1", "by hello/web-2"],
        "hint": "tinycloud down STACK",
        "exit": 4,
    }
    assert cloud.images.users("nano") == ["hello/db-1", "hello/web-1", "hello/web-2"]
    cloud.down("hello")
    assert cloud.images.users("nano") == []
    cloud.images.remove("nano")


def test_a_disk_that_no_machine_has_holds_its_image_and_a_data_volume_does_not(cloud: Cloud) -> None:
    volumes, loose = cloud.parts.first_host.volumes, disk_name("hello", "web-1", 1)
    volumes.create(render_volume(loose, 10**6, format="qcow2", backing=(f"/pool/{image_name(SHA)}", "qcow2")), loose)
    data = data_name("hello", "web-1", "data")
    volumes.create(render_volume(data, 10**6, format="qcow2"), data)
    with pytest.raises(InUse) as caught:
        cloud.images.remove("nano")
    assert caught.value.facts == (f"by volume {loose}",)


def test_the_only_name_of_an_image_is_not_taken_off(cloud: Cloud, tmp_path: Path) -> None:
    shelf = Images(cloud.parts, cloud.parts.first_host)
    with pytest.raises(Refused, match=f"nano is the only name of image nano {SHA[:7]}"):
        shelf.store.remove_name("nano")
    shelf.import_file(a_file(tmp_path), "one")
    shelf.import_file(a_file(tmp_path), "two")
    shelf.store.remove_name("one")
    assert list_names(cloud) == [("nano",), ("two",)]


def test_a_plan_finds_an_image_that_was_imported(tmp_path: Path) -> None:
    with fake_cloud(tmp_path) as cloud:
        image = cloud.images.import_file(a_file(tmp_path), "mine", user="admin")
        shop = cloud.up(write_stack(tmp_path, "stack: shop\ngroups: {web: {image: mine}}\n"))
        assert (shop["web-1"].spec.image, shop["web-1"].spec.user) == (image.sha, "admin")
        card = json.loads(cloud.parts.first_host.volumes.download_bytes(image_card_name(image.sha)))
        assert card["source"] == "disk.raw"
