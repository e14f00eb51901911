"""Images built here: the same ingredients are built once, half a build is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.shell import Shell
from tinycloud.engine.build import RECIPES, Recipe, build_image
from tinycloud.errors import NotFound, ToolFailed


class Kitchen:
    """A recipe whose ingredients and outcome a test decides."""

    def __init__(self) -> None:
        self.ingredients = ["flour=1"]
        self.builds = 0
        self.fails = False

    def list(self, shell: Shell) -> list[str]:
        return self.ingredients

    def build(self, shell: Shell, into: Path, work: Path) -> None:
        self.builds += 1
        assert list(work.iterdir()) == []
        (work / "half").touch()
        if self.fails:
            raise ToolFailed("mke2fs ended with status 1")
        into.write_text(" ".join(self.ingredients))


@pytest.fixture
def kitchen(monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    made = Kitchen()
    monkeypatch.setitem(RECIPES, "bread", Recipe(made.list, made.build, "baker"))
    return made


def test_the_same_ingredients_are_built_once(kitchen: Kitchen, tmp_path: Path) -> None:
    path, recipe = build_image(FakeShell(), tmp_path, "bread")
    assert (path.read_text(), recipe.user) == ("flour=1", "baker")
    assert build_image(FakeShell(), tmp_path, "bread")[0] == path
    assert kitchen.builds == 1
    assert [it.name for it in path.parent.iterdir()] == [path.name], "nothing else is left"


def test_other_ingredients_are_another_image_beside_the_first(kitchen: Kitchen, tmp_path: Path) -> None:
    first, _ = build_image(FakeShell(), tmp_path, "bread")
    kitchen.ingredients = ["flour=2"]
    second, _ = build_image(FakeShell(), tmp_path, "bread")
    assert (first.read_text(), second.read_text()) == ("flour=1", "flour=2")


def test_half_a_build_is_none(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.fails = True
    with pytest.raises(ToolFailed):
        build_image(FakeShell(), tmp_path, "bread")
    assert list((tmp_path / "images").iterdir()) == []
    kitchen.fails = False
    build_image(FakeShell(), tmp_path, "bread")
    assert kitchen.builds == 2


def test_a_recipe_that_nobody_knows_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        build_image(FakeShell(), tmp_path, "debian12")
    assert (caught.value.message, caught.value.facts, caught.value.hint) == (
        'there is no recipe "debian12"', ("recipes: nano, debian-12",), 'did you mean "debian-12"?',
    )  # fmt: skip
