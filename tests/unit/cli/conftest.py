"""The command line in this process, on a state folder of its own and a libvirt that is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import SHA, fake_parts, put_image
from tinycloud.cli.main import _run
from tinycloud.cli.session import SESSION


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def tinycloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``tinycloud("plan", file)`` runs one command, in the folder of the test."""
    monkeypatch.setenv("TINYCLOUD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TINYCLOUD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TINYCLOUD_URI", f"qemu+unix:///system?socket={tmp_path}/nobody-listens")
    monkeypatch.delenv("TINYCLOUD_LAB", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ended:
        capsys.readouterr()
        SESSION.clouds.clear()  # a program of its own has none from before
        status = _run([str(word) for word in words])
        return Ended(status, *capsys.readouterr())

    return run


@pytest.fixture
def on_a_fake_host(tinycloud: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same commands on a fake host with the nano image; it is kept in the folder of the test."""
    put_image(fake_parts(tmp_path).first_host, "nano", SHA)
    monkeypatch.setattr("tinycloud.cloud.make_parts", lambda settings, on_run: fake_parts(tmp_path))
    return tinycloud
