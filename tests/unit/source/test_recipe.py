"""Recipe files: what they say, and how their mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import PlainVault
from tinycloud.errors import WrongInput
from tinycloud.model.recipe import Recipe
from tinycloud.plan.recipe import make_recipe_digest
from tinycloud.source.recipe import load_recipe, parse_recipe

WHOLE = """
hostname: web-1.example
users:
  - {name: anna, password: geheim, ssh_keys: [key.pub], groups: [sudo], shell: /bin/bash, sudo: true}
nics:
  - {mac: "52:54:00:00:00:01", name: lan0, address: 10.9.8.7/24, gateway: 10.9.8.1, dns: [10.9.8.1]}
files: [{path: /etc/motd, source: motd}]
proxy: http://10.9.8.1:3142
packages: [nginx, g++]
run: ["echo done > /etc/done"]
timezone: Europe/Berlin
locale: de_DE.UTF-8
disk: 4 GiB
grow: false
cloud_init: "off"
generalise: true
"""


def read(text: str, folder: Path | None = None, **more: Any) -> Recipe:
    return parse_recipe(text, str((folder or Path()) / "recipe.yaml"), more, PlainVault())


def refuse(text: str, **more: Any) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        read(text, **more)
    return caught.value


def test_a_recipe_says_everything_and_its_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA anna\n")
    (tmp_path / "motd").write_text("hello\n")
    (tmp_path / "recipe.yaml").write_text(WHOLE)
    recipe = load_recipe(tmp_path / "recipe.yaml", {}, PlainVault())
    assert (recipe.hostname, recipe.timezone, recipe.locale, recipe.grow, recipe.generalise) == (
        "web-1.example",
        "Europe/Berlin",
        "de_DE.UTF-8",
        False,
        True,
    )
    assert recipe.users[0].ssh_keys == ("ssh-ed25519 AAAA anna",)
    assert recipe.files[0].content is not None
    assert recipe.files[0].content.reveal() == "hello\n"
    assert recipe.needs_network
    assert "geheim" not in repr(recipe)


def test_an_empty_file_is_an_empty_recipe() -> None:
    assert read("") == Recipe()
    assert read("{}").is_empty


def test_options_are_put_to_a_file() -> None:
    recipe = read("hostname: a\npackages: [one]\n", hostname="b", packages=["two"], timezone="UTC")
    assert (recipe.hostname, recipe.packages, recipe.timezone) == ("b", ("one", "two"), "UTC")


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("hostnam: x\n", "unknown-key", 'unknown key "hostnam"'),
        ("- a\n", "wrong-type", "is not a recipe"),
        ("hostname: -x-\n", "wrong-value", "hostname: found"),
        ("hostname: 'a b'\n", "wrong-value", "hostname: found"),
        ("timezone: ../../etc/passwd\n", "wrong-value", "expected a time zone"),
        ("timezone: Europe/../../x\n", "wrong-value", "expected a time zone"),
        ("locale: 'de; reboot'\n", "wrong-value", "locale: found"),
        ('proxy: "http://x\';reboot"\n', "wrong-value", "proxy: found"),
        ("packages: ['-o=x']\n", "wrong-value", "packages[0]: found"),
        ("packages: ['a; reboot']\n", "wrong-value", "packages[0]: found"),
        ("users: [{name: anna, ssh_keys: [nowhere.pub]}]\n", "no-file", "there is no file nowhere.pub"),
        ("users: [{name: Anna}]\n", "wrong-value", "name"),
        ("files: [{path: /x}]\n", "wrong-value", "needs either content or source"),
        ("nics: [{mac: x}]\n", "wrong-value", "nics[0].mac: found"),
        ("nics: [{mac: '52:54:00:00:00:01', gateway: 10.0.0.1}]\n", "wrong-value", "DHCP brings its own"),
        ("cloud_init: on\n", "wrong-value", "expected one of keep, off"),
        ("disk: 5\n", "wrong-value", "disk"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, code: str, says: str) -> None:
    caught = refuse(text)
    assert caught.kind == code
    assert says in caught.message
    assert caught.facts[0].startswith("recipe.yaml:1:")


def test_equal_recipes_have_equal_digests_and_different_ones_do_not() -> None:
    texts = [
        "hostname: a\n",
        "hostname: b\n",
        "run: [a]\n",
        "run: [a, b]\n",
        "users: [{name: root, password: x}]\n",
        "users: [{name: root, password: y}]\n",
        "grow: false\n",
        "",
    ]
    digests = [make_recipe_digest(read(text)) for text in texts]
    assert len(set(digests)) == len(texts)
    assert digests == [make_recipe_digest(read(text)) for text in texts]
    assert make_recipe_digest(read("grow: true\n")) == make_recipe_digest(read("")), "what is said anyway changes nothing"
