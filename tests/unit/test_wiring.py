"""Where things are, by what the environment says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tinycloud.errors import Missing, WrongInput
from tinycloud.wiring import Settings, make_parts

HOME = {"HOME": "/home/eve"}


@pytest.mark.parametrize(
    ("uid", "env", "places"),
    [
        (0, {}, ("qemu:///system", "/var/lib/tinycloud", "/var/cache/tinycloud")),
        (1000, {}, ("qemu:///system", "/home/eve/.local/state/tinycloud", "/home/eve/.cache/tinycloud")),
        (1000, {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}, ("qemu:///system", "/s/tinycloud", "/c/tinycloud")),
        (0, {"TINYCLOUD_STATE": "/s", "TINYCLOUD_CACHE": "/c", "TINYCLOUD_URI": "qemu:///session"}, ("qemu:///session", "/s", "/c")),
        (0, {"TINYCLOUD_STATE": "", "TINYCLOUD_URI": ""}, ("qemu:///system", "/var/lib/tinycloud", "/var/cache/tinycloud")),
    ],
)
def test_root_uses_the_systems_folders_and_others_their_own(
    monkeypatch: pytest.MonkeyPatch, uid: int, env: dict[str, str], places: tuple[str, str, str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    found = Settings.from_environment(env={**HOME, **env})
    assert (found.uri, str(found.state), str(found.cache)) == places


def test_what_is_given_counts_before_the_environment() -> None:
    found = Settings.from_environment("qemu:///session", Path("/mine"), {"TINYCLOUD_URI": "test:///default", "TINYCLOUD_STATE": "/s"})
    assert (found.uri, found.state) == ("qemu:///session", Path("/mine"))


def test_the_database_is_a_file_or_the_server_that_the_environment_names(tmp_path: Path) -> None:
    plain = make_parts(Settings("qemu:///system", tmp_path, tmp_path))
    assert plain.database == tmp_path / "tinycloud.db"
    settings = Settings.from_environment(state=tmp_path, env={**HOME, "TINYCLOUD_DATABASE": "postgresql://tc:hunter2@server1/cloud"})
    assert str(make_parts(settings).database) == "postgresql://tc@server1/cloud"
    assert "hunter2" not in repr(settings)
    with pytest.raises(WrongInput, match="TINYCLOUD_DATABASE is no address of a database"):
        make_parts(Settings("qemu:///system", tmp_path, tmp_path, database="/var/lib/tinycloud.db"))


@pytest.mark.parametrize("text", ["soon", "1", "-5", "nan", "86400"])
def test_a_lease_lasts_from_seconds_to_an_hour(text: str) -> None:
    assert Settings.from_environment(env={**HOME, "TINYCLOUD_LEASE": "2"}).lease == 2.0
    with pytest.raises(WrongInput) as caught:
        Settings.from_environment(env={**HOME, "TINYCLOUD_LEASE": text})
    assert caught.value.message == f'TINYCLOUD_LEASE is "{text}"; expected seconds, from 2 to 3600'


def test_the_state_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    make_parts(Settings("qemu:///system", tmp_path / "deep/state", tmp_path / "cache")).close()
    assert oct(stat.S_IMODE((tmp_path / "deep/state").stat().st_mode)) == "0o700"
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(Missing, match=r"cannot make the folder .*state: File exists"):
        make_parts(Settings("qemu:///system", tmp_path / "state", tmp_path))


@pytest.mark.parametrize("mode", [0o500, 0o600, 0])
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """Root may write anywhere: so the answer is the one that others get."""
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "access", lambda path, wanted: wanted & mode >> 6 == wanted)
    with pytest.raises(Missing) as caught:
        make_parts(Settings("qemu:///system", tmp_path / "state", tmp_path))
    assert (caught.value.message, caught.value.hint) == (
        f"no right to write to the folder {tmp_path}/state", "--state FOLDER, or TINYCLOUD_STATE",
    )  # fmt: skip


def test_the_reserve_is_what_the_environment_says(tmp_path: Path) -> None:
    assert Settings.from_environment(state=tmp_path, env=HOME).spare == "auto"
    settings = Settings.from_environment(state=tmp_path, env={**HOME, "TINYCLOUD_SPARE": "0"})
    assert make_parts(settings).spare == "0"
    with pytest.raises(WrongInput) as caught:
        Settings.from_environment(env={**HOME, "TINYCLOUD_SPARE": "2"})
    assert (caught.value.kind, caught.value.message) == ("wrong-value", 'TINYCLOUD_SPARE is "2"; expected auto, 0 or 1')
