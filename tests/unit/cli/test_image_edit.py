"""image edit, image inspect, publish: what is typed, what it means, and what is said when it cannot be."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tinycloud.cli.image_edit import edit, make_keys
from tinycloud.cli.main import app
from tinycloud.errors import WrongInput


def keys(*words: str) -> dict[str, Any]:
    flags = dict(edit.make_context("edit", ["nano", "--as", "x", *words]).params)
    return make_keys(flags)


def test_options_are_keys_of_a_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("geheim\nmore\n"))
    made = keys(
        "--user",
        "anna",
        "--password-stdin",
        "--ssh-key",
        "id.pub",
        "--ssh-key",
        "ssh-rsa AAAA x",
        "--group",
        "sudo",
        "--sudo",
        "--hostname",
        "web",
    )
    assert made == {
        "hostname": "web",
        "users": [
            {
                "name": "anna",
                "ssh_keys": [str(tmp_path / "id.pub"), "ssh-rsa AAAA x"],
                "groups": ["sudo"],
                "sudo": True,
                "password": "geheim",
            }
        ],
    }


def test_files_packages_and_commands_are_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    made = keys(
        "--install",
        "nginx",
        "--install",
        "curl",
        "--run",
        "true",
        "--file",
        "a:b:/etc/c",
        "--timezone",
        "UTC",
        "--generalise",
        "--disk",
        "4 GiB",
    )
    assert made == {
        "packages": ["nginx", "curl"],
        "run": ["true"],
        "files": [{"path": "/etc/c", "source": str(tmp_path / "a:b")}],
        "timezone": "UTC",
        "generalise": True,
        "disk": "4 GiB",
    }


def test_roots_password_comes_from_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("geheim"))
    assert keys("--root-password-stdin") == {"users": [{"name": "root", "password": "geheim"}]}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--password-stdin"], "which"),
        (["--sudo"], "which"),
        (["--user", "a", "--password-stdin", "--root-password-stdin"], "one password, not two"),
        (["--root-password-stdin"], "no password came in"),
        (["--file", "motd"], "expected SOURCE:/TARGET"),
        (["--file", "motd:etc/motd"], "expected SOURCE:/TARGET"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(WrongInput, match=says) as caught:
        keys(*words)
    assert caught.value.kind == "usage"


def test_an_edit_without_anything_to_do_is_refused() -> None:
    with pytest.raises(WrongInput, match="nothing to do"):
        app.main(["image", "edit", "nano", "--as", "x"], standalone_mode=False)
