"""What lies in a folder that several hosts see: its word, and who may run a machine in it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tinycloud.drivers.onhost import common

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hooks" / "tinycloud-lease"
    monkeypatch.setattr(common, "HOOK", str(path))
    return path


def lease(generation: int, host: str) -> dict[str, Any]:
    return {"generation": generation, "host": host, "by": "a test"}


def take(folder: Path, generation: int, host: str) -> Any:
    return common.main("take", folder=str(folder), machine="shop-web-1", lease=lease(generation, host))["done"]["over"]


def look(folder: Path) -> Any:
    return common.main("look", folder=str(folder), machine="shop-web-1")["done"]["lease"]


def test_all_who_see_a_folder_learn_the_same_word(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        words = {it["done"]["id"] for it in pool.map(lambda _: common.main("know", folder=str(tmp_path)), range(16))}
    assert len(words) == 1
    assert [path.name for path in (tmp_path / ".tinycloud").iterdir() if path.is_file()] == ["id"]


def test_two_folders_have_two_words(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert common.main("know", folder=str(tmp_path / "a")) != common.main("know", folder=str(tmp_path / "b"))


def test_a_later_generation_takes_over_and_the_older_one_is_refused(tmp_path: Path) -> None:
    assert take(tmp_path, 1, "h1") is None
    assert take(tmp_path, 1, "h1") is None, "the same one starts again"
    assert take(tmp_path, 2, "h2") is None
    assert take(tmp_path, 1, "h1") == lease(2, "h2")
    assert look(tmp_path) == lease(2, "h2")


def test_one_generation_runs_on_one_host(tmp_path: Path) -> None:
    take(tmp_path, 3, "h1")
    assert take(tmp_path, 3, "h2") == lease(3, "h1")


def test_a_step_that_is_taken_back_leaves_the_lease_as_it_was(tmp_path: Path) -> None:
    take(tmp_path, 2, "h2")
    common.main("put", folder=str(tmp_path), machine="shop-web-1", lease=lease(1, "h1"))
    assert look(tmp_path) == lease(1, "h1")
    common.main("put", folder=str(tmp_path), machine="shop-web-1", lease=None)
    assert look(tmp_path) is None


def test_only_its_owner_drops_a_lease(tmp_path: Path) -> None:
    take(tmp_path, 2, "h2")
    common.main("drop", folder=str(tmp_path), machine="shop-web-1", owner="h1")
    assert look(tmp_path) == lease(2, "h2")
    common.main("drop", folder=str(tmp_path), machine="shop-web-1", owner="h2")
    assert look(tmp_path) is None


@pytest.mark.parametrize(
    ("generation", "moment", "recover", "status"),
    [(1, "prepare", "restart", 1), (2, "prepare", "restart", 0), (1, "started", "restart", 0), (1, "prepare", "", 0)],
)
def test_the_hook_refuses_an_old_copy_alone(tmp_path: Path, hook: Path, generation: int, moment: str, recover: str, status: int) -> None:
    take(tmp_path, 2, "h2")
    mark = f"<tc:machine xmlns:tc='urn:tinycloud:1' stack='shop' group='web' index='1' generation='{generation}'>{{\"r\":\"{recover}\"}}</tc:machine>"
    xml = f"<domain><metadata>{mark}</metadata><devices><disk><source file='{tmp_path}/disk.qcow2' index='1'/></disk></devices></domain>"
    argv = [sys.executable, "-I", str(hook), "shop-web-1", moment, "begin", "-"]
    done = subprocess.run(argv, input=xml, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert done.stderr == ("shop-web-1 was started on h2 since; this copy is an old one\n" if status else "")
