"""Pulling into the store of a fake host, from a real server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import fake_cloud, write_stack
from tests.unit.webserver import File, Handler, Site, serve
from tinycloud.cloud import Cloud
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.events import Event
from tinycloud.engine.pull import Order, make_image_name
from tinycloud.errors import Declined, Interrupted, NotFound, Refused, WrongInput
from tinycloud.model.plan import Change, Plan
from tinycloud.source.complaints import WrongFile

BODY = b"a disk" * 20_000
SUM, SUM512 = hashlib.sha256(BODY).hexdigest(), hashlib.sha512(BODY).hexdigest()
QUICK: dict[str, Any] = {"stall": 10.0, "tries": 1}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as made:
        made.pages["/mine-1.2.qcow2.raw"] = made.pages["/disk.raw"] = File(BODY)
        made.pages["/SUMS"] = File(f"{SUM512}  disk.raw\n".encode())
        yield made


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A fake host that can run tools of this machine."""
    with fake_cloud(tmp_path) as made:
        made.parts.shell = LocalShell()
        made.parts.config = tmp_path / "config"
        yield made


def list_names(cloud: Cloud) -> list[tuple[str, ...]]:
    return [image.names for image in cloud.images.list()]


def own_catalogue(cloud: Cloud, site: Site, proof: str = "") -> None:
    """An entry ``mine`` of the person's own folder."""
    assert cloud.parts.config
    folder = cloud.parts.config / "catalogue"
    folder.mkdir(parents=True, exist_ok=True)
    proof = proof or f"sha512: {SUM512}"
    (folder / "own.yaml").write_text(f"mine: {{title: Mine, url: '{site.url}/disk.raw', {proof}, user: me, os: Mine 1, disk_bus: sata}}\n")


def test_an_image_of_the_catalogue_comes_with_what_is_known_of_it(cloud: Cloud, site: Site) -> None:
    own_catalogue(cloud, site)
    told: list[tuple[str, int, int]] = []
    got = cloud.images.pull("mine", tell=lambda *n: told.append(n), **QUICK)
    assert (got.image.names, got.image.user, got.image.os, got.image.disk_bus) == (("mine",), "me", "Mine 1", "sata")
    assert (got.image.sha, got.image.source) == (SUM, f"{site.url}/disk.raw#sha512={SUM512}")
    assert (got.fetched, got.resumed) == (len(BODY), 0)
    assert {what for what, _, _ in told} == {"fetching", "storing"}
    assert not list((cloud.parts.cache / "fetch").iterdir())


def test_what_is_here_is_not_fetched_again_and_gets_the_name(cloud: Cloud, site: Site) -> None:
    own_catalogue(cloud, site)
    cloud.images.pull("mine", **QUICK)
    assert cloud.images.pull("mine", "other", **QUICK).fetched == 0
    assert list_names(cloud) == [("mine", "other"), ("nano",)]
    assert len(site.asked) == 1


def test_a_file_of_sums_saves_the_fetch_of_what_is_here(cloud: Cloud, site: Site) -> None:
    for name in ("one", "two"):
        cloud.images.pull(f"{site.url}/disk.raw", name, sums=f"{site.url}/SUMS", **QUICK)
    assert [handler.path for handler in site.asked] == ["/SUMS", "/disk.raw", "/SUMS"]
    assert list_names(cloud) == [("nano",), ("one", "two")]


def test_an_address_needs_a_sum_or_the_wish_to_do_without(cloud: Cloud, site: Site) -> None:
    address = f"{site.url}/mine-1.2.qcow2.raw"
    with pytest.raises(Refused) as caught:
        cloud.images.pull(address, **QUICK)
    assert (caught.value.kind, caught.value.hint) == ("no-sum", "--sha256 SUM, --sums ADDRESS, or --no-verify")
    assert cloud.images.pull(address, sha256=SUM.upper(), user="me", **QUICK).image.names == ("mine-1-2",)
    assert cloud.images.pull(address, "other", verify=False, **QUICK).image.names == ("mine-1-2", "other")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"sha256": "abc"}, "wrong-value"),
        ({"sha512": SUM}, "wrong-value"),
        ({"sha256": SUM, "sums": "https://h/S"}, "usage"),
        ({"name": "My Image", "sha256": SUM}, "wrong-name"),
    ],
)
def test_what_was_typed_wrong_is_said_before_anybody_is_asked(cloud: Cloud, site: Site, more: dict[str, Any], code: str) -> None:
    with pytest.raises(WrongInput) as caught:
        cloud.images.pull(f"{site.url}/disk.raw", **QUICK, **more)
    assert caught.value.kind == code
    assert site.asked == []


def test_a_name_that_the_catalogue_does_not_know_is_said(cloud: Cloud) -> None:
    with pytest.raises(NotFound, match='the catalogue has no image "debian-21"'):
        cloud.images.pull("debian-21")


def test_a_failure_leaves_the_store_as_it_was_and_the_next_pull_goes_on(cloud: Cloud, site: Site) -> None:
    site.pages["/disk.raw"] = File(BODY, most=70_000)
    with pytest.raises(Refused) as caught:
        cloud.images.pull(f"{site.url}/disk.raw", sha256=SUM, **QUICK)
    assert caught.value.kind == "cut-short"
    assert list_names(cloud) == [("nano",)]
    site.pages["/disk.raw"] = File(BODY)
    got = cloud.images.pull(f"{site.url}/disk.raw", sha256=SUM, **QUICK)
    assert (got.resumed, got.fetched) == (70_000, len(BODY) - 70_000)


def test_ctrl_c_ends_at_once_and_the_next_pull_goes_on(cloud: Cloud, site: Site) -> None:
    stop = threading.Event()

    def hang(handler: Handler) -> None:
        handler.head(200, Content_Length=len(BODY), ETag='"one"')
        handler.wfile.write(BODY[:70_000])
        stop.wait(60)

    def interrupt(what: str, done: int, total: int) -> None:
        if done:
            raise Interrupted("interrupted")

    site.pages["/disk.raw"] = hang
    with pytest.raises(Interrupted):
        cloud.images.pull(f"{site.url}/disk.raw", sha256=SUM, tell=interrupt, **QUICK)
    stop.set()
    site.pages["/disk.raw"] = File(BODY)
    assert cloud.images.pull(f"{site.url}/disk.raw", sha256=SUM, **QUICK).resumed > 0


def test_of_two_pulls_at_once_the_second_uses_what_the_first_brought(tmp_path: Path, cloud: Cloud, site: Site) -> None:
    going, waiting = threading.Event(), threading.Event()

    def slow(handler: Handler) -> None:
        going.set()
        waiting.wait(60)
        File(BODY)(handler)

    site.pages["/disk.raw"] = slow
    first = threading.Thread(target=lambda: cloud.images.pull(f"{site.url}/disk.raw", "one", verify=False, **QUICK))
    first.start()
    going.wait(60)
    got = cloud.images.pull(f"{site.url}/disk.raw", "two", verify=False, tell=lambda *n: waiting.set(), **QUICK)
    first.join(60)
    assert got.fetched == 0
    assert list_names(cloud) == [("nano",), ("one", "two")]
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/debian-12-genericcloud-amd64.qcow2", "debian-12-genericcloud-amd64"),
        ("https://h/FreeBSD-14.4-RELEASE.qcow2.xz?x=1", "freebsd-14-4-release"),
        ("https://h/1%20%C3%A4.img", "image-1"),
        ("https://h/", "image"),
        ("https://h/" + "long-" * 20 + ".img", "long-long-long-long-long-long-l"),
    ],
)
def test_an_image_is_named_after_its_address(url: str, name: str) -> None:
    assert make_image_name(url) == name


@pytest.mark.parametrize(("url", "file"), [("https://h/../..", "image"), ("https://h/a%2Fb c.img", "b-c.img"), ("https://h/.part", "part")])
def test_no_address_names_a_file_outside_its_folder(url: str, file: str) -> None:
    assert Order(url, "x").file == file


# stacks


def a_stack(folder: Path, images: str, name: str = "debian") -> Path:
    return write_stack(folder, f"stack: shop\nimages: {{{images}}}\ngroups: {{web: {{image: {name}}}}}\n")


def test_up_pulls_what_the_catalogue_knows_and_the_store_lacks(tmp_path: Path, cloud: Cloud, site: Site) -> None:
    own_catalogue(cloud, site)
    file, heard, shown = a_stack(tmp_path, "debian: mine"), list[Event](), list[Plan]()
    (change,) = cloud.plan(file).changes
    assert (change.kind, change.name, change.text) == ("image", "debian", f"pulled from {site.url}/disk.raw")

    def agree(plan: Plan) -> bool:
        shown.append(plan)
        return True

    shop = cloud.up(file, listener=heard.append, agree=agree)
    assert (shop["web-1"].spec.image, shop["web-1"].spec.user) == (SUM, "me")
    assert [[change.kind for change in plan.changes] for plan in shown] == [["image"], ["machine"]]
    first = [event.kind for event in heard if event.subject == "image debian"]
    assert (first[0], first[-2:]) == ("start", ["progress", "done"])
    assert heard.index(next(e for e in heard if e.kind == "begin")) >= len(first)
    asked = len(site.asked)
    assert cloud.plan(file).is_empty
    assert len(site.asked) == asked


def test_nothing_is_fetched_when_the_person_says_no(tmp_path: Path, cloud: Cloud, site: Site) -> None:
    own_catalogue(cloud, site)
    with pytest.raises(Declined):
        cloud.up(a_stack(tmp_path, "debian: mine"), agree=lambda plan: False)
    assert site.asked == []


def test_a_pull_that_fails_fails_the_up_before_anything_is_made(tmp_path: Path, cloud: Cloud, site: Site) -> None:
    own_catalogue(cloud, site, f"sha256: {'a' * 64}")
    heard: list[Event] = []
    with pytest.raises(Refused) as caught:
        cloud.up(a_stack(tmp_path, "debian: mine"), listener=heard.append)
    assert caught.value.kind == "wrong-sum"
    assert heard[-1].kind == "failed"
    assert cloud.list_stacks() == []
    assert not cloud.has_unfinished("shop")


def test_an_address_with_its_sum_is_a_source(tmp_path: Path, cloud: Cloud, site: Site) -> None:
    file = a_stack(tmp_path, f"debian: {{source: '{site.url}/disk.raw', sha256: {SUM}, user: me}}")
    assert cloud.up(file)["web-1"].spec.user == "me"
    assert list_names(cloud) == [(f"disk-{SUM[:8]}",), ("nano",)]
    assert cloud.plan(file).is_empty


def test_a_file_beside_the_stack_file_is_a_source(tmp_path: Path, cloud: Cloud) -> None:
    (tmp_path / "disks").mkdir()
    disk = tmp_path / "disks/own.raw"
    disk.write_bytes(BODY)
    file = a_stack(tmp_path, "debian: {source: disks/own.raw}")
    assert cloud.plan(file).changes[0].text == "imported from disks/own.raw"
    assert cloud.up(file)["web-1"].spec.image == SUM
    assert cloud.images.show(SUM).source == f"own.raw#sha256={SUM}"
    assert cloud.plan(file).is_empty
    disk.write_bytes(b"another disk")
    assert cloud.plan(file).changes[0].kind == "image"
    (change,) = _plan_again(cloud, file)
    assert (change.kind, str(change.price)) == ("machine", "replace")


def _plan_again(cloud: Cloud, file: Path) -> tuple[Change, ...]:
    """The plan once the new content is in the store."""
    with pytest.raises(Refused):
        cloud.up(file)
    return cloud.plan(file).changes


def test_a_file_that_is_not_there_or_not_the_one_meant_is_refused(tmp_path: Path, cloud: Cloud) -> None:
    with pytest.raises(Refused) as caught:
        cloud.up(a_stack(tmp_path, "debian: ./none.raw"))
    assert caught.value.kind == "no-file"
    (tmp_path / "own.raw").write_bytes(BODY)
    with pytest.raises(Refused) as caught:
        cloud.up(a_stack(tmp_path, f"debian: {{source: own.raw, sha256: {'a' * 64}}}"))
    assert caught.value.kind == "wrong-sum"


def test_a_sum_also_holds_for_an_image_of_the_store(tmp_path: Path, cloud: Cloud) -> None:
    sha = cloud.images.show("nano").sha
    assert cloud.up(a_stack(tmp_path, f"debian: {{source: nano, sha256: {sha}}}"))["web-1"].spec.image == sha
    with pytest.raises(Refused, match='image "nano" is not the one with sha256 aaaa') as caught:
        cloud.plan(a_stack(tmp_path, f"debian: {{source: nano, sha256: {'a' * 64}}}"))
    assert caught.value.kind == "wrong-sum"


def test_a_machine_without_a_file_stands_on_an_image_of_the_catalogue(cloud: Cloud, site: Site) -> None:
    own_catalogue(cloud, site)
    assert cloud.run("mine").spec.image == SUM


@pytest.mark.parametrize(
    ("images", "code"),
    [
        ("debian: 'https://h/x.qcow2'", "missing-key"),
        (f"debian: {{source: 'ftp://h/x', sha256: {SUM}}}", "wrong-value"),
        ("debian: {source: x.raw, sha256: abc}", "wrong-value"),
    ],
)
def test_a_source_that_proves_nothing_is_a_mistake_in_the_file(tmp_path: Path, cloud: Cloud, images: str, code: str) -> None:
    with pytest.raises(WrongFile) as caught:
        cloud.plan(a_stack(tmp_path, images))
    assert caught.value.kind == code


def test_a_name_that_neither_store_nor_catalogue_knows_is_said(tmp_path: Path, cloud: Cloud) -> None:
    with pytest.raises(NotFound, match='there is no image "debain-99"'):
        cloud.plan(a_stack(tmp_path, "debian: debain-99"))
