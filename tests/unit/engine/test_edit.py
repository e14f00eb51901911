"""New images from old ones, as far as no disk is needed: what is refused, what is known already, what the card says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import SHA, PlainVault, put_image
from tinycloud.cloud import Cloud
from tinycloud.engine.images import About, Images
from tinycloud.errors import InUse, Missing, NotFound, WrongInput
from tinycloud.plan.recipe import make_recipe_digest
from tinycloud.source.recipe import parse_recipe


def a_made_image(cloud: Cloud, folder: Path, text: str) -> str:
    """An image that the recipe made of nano at some earlier time."""
    path = folder / "edited.raw"
    path.write_bytes(b"an edited disk")
    recipe = make_recipe_digest(parse_recipe(text, "recipe.yaml", {}, PlainVault()))
    return Images(cloud.parts, cloud.parts.first_host).import_file(path, "edited", about=About(base=SHA, recipe=recipe)).sha


def test_the_same_base_and_recipe_are_made_once_and_get_one_more_name(cloud: Cloud, tmp_path: Path) -> None:
    sha = a_made_image(cloud, tmp_path, "hostname: web\ntimezone: UTC\n")
    (tmp_path / "recipe.yaml").write_text("timezone: UTC\nhostname: web\n")
    made = cloud.images.edit("nano", "again", tmp_path / "recipe.yaml")
    assert (made.present, made.image.sha, made.image.names) == (True, sha, ("again", "edited"))
    assert cloud.images.edit("nano", "third", hostname="web", timezone="UTC").present


def test_another_recipe_another_base_or_fresh_is_an_image_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    a_made_image(cloud, tmp_path, "hostname: web\n")
    put_image(cloud.parts.first_host, "other", "a" * 64)
    for base, fresh, hostname in (("nano", False, "other"), ("nano", True, "web"), ("other", False, "web")):
        with pytest.raises(Missing, match="guestfish is not installed"):  # so far the fake host comes: it would be made
            cloud.images.edit(base, "again", fresh=fresh, hostname=hostname)
    assert not list((tmp_path / "cache/imports").glob("import-*")), "nothing is left of what was begun"


def test_names_are_checked_before_anything_is_done(cloud: Cloud) -> None:
    with pytest.raises(WrongInput) as caught:
        cloud.images.edit("nano", "No Name", hostname="web")
    assert caught.value.kind == "wrong-name"
    with pytest.raises(NotFound, match='there is no image "nanno"'):
        cloud.images.edit("nanno", "x", hostname="web")
    with pytest.raises(NotFound):
        cloud.images.publish("hello/web-1", "x")


def test_a_machine_that_runs_or_is_paused_is_not_published(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    with pytest.raises(InUse, match="hello/web-1 is running; only what is off") as caught:
        cloud.images.publish("hello/web-1", "mine")
    assert caught.value.hint == "tinycloud stop hello/web-1"
    cloud.machine("hello/web-1").pause()
    with pytest.raises(InUse, match="is paused"):
        cloud.images.publish("hello/web-1", "mine")


def test_the_disk_of_a_running_machine_is_not_looked_into(cloud: Cloud, stack: Path) -> None:
    cloud.up(stack)
    with pytest.raises(InUse, match="which runs"):
        cloud.images.inspect("hello/web-1/disk")


def test_what_was_learnt_of_an_image_stands_in_its_card(cloud: Cloud) -> None:
    shelf = Images(cloud.parts, cloud.parts.first_host)
    image = shelf.store.describe(shelf.get("nano"), os="Tiny 1", prepare="offline")
    assert (image.os, image.prepare, image.names, image.user) == ("Tiny 1", "offline", ("nano",), "root")
