"""A database that was lost is rebuilt from the hosts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import HELLO, fake_cloud, write_stack
from tinycloud.cloud import Cloud
from tinycloud.engine.recover import Recovered
from tinycloud.model.names import note_name
from tinycloud.model.plan import Plan
from tinycloud.templates.objects import render_volume

SECRETIVE = """
stack: vault
inputs: {password: {type: secret}, size: {default: small}}
groups: {vm: {image: nano, guest: {users: [{name: eve, password: "${inputs.password}"}]}}}
outputs: {login: "eve:${inputs.password}"}
"""


@pytest.fixture
def loser(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that made a stack ``vault`` and a stack ``hello``, and then lost its database (not its keys)."""
    with fake_cloud(tmp_path) as cloud:
        vault = cloud.up(write_stack(tmp_path, SECRETIVE, "vault.yaml"), {"size": "large"})
        cloud.up(write_stack(tmp_path))
        (tmp_path / "password").write_text(vault.secrets()["password"])
    shutil.rmtree(tmp_path / "state")
    with fake_cloud(tmp_path) as cloud:
        yield cloud


def list_notes(cloud: Cloud) -> list[str]:
    return [name for name in cloud.parts.first_host.volumes.list_names() if ".note-" in name]


def test_every_stack_comes_back_with_its_file_its_inputs_and_its_secrets(loser: Cloud, tmp_path: Path) -> None:
    assert loser.recover() == Recovered(whole=("hello", "vault"), bare=(), known=())
    record = loser.parts.store.find_stack("vault")
    assert record is not None
    assert (record.text, record.given) == (SECRETIVE, {"size": "large"})
    assert record.file == str(tmp_path / "vault.yaml")
    assert loser.stack("vault").secrets() == {"password": (tmp_path / "password").read_text()}


def test_after_it_there_is_nothing_to_do_and_the_password_is_the_old_one(loser: Cloud, tmp_path: Path) -> None:
    loser.recover()
    asked: list[Plan] = []
    for file, given in (("vault.yaml", {"size": "large"}), ("stack.yaml", {})):
        loser.up(tmp_path / file, given, agree=lambda plan: bool(asked.append(plan)))
    assert asked == []


def test_a_second_time_all_is_known(loser: Cloud) -> None:
    loser.recover()
    assert loser.recover() == Recovered(whole=(), bare=(), known=("hello", "vault"))


def test_what_is_known_is_not_overwritten(loser: Cloud, tmp_path: Path) -> None:
    loser.recover()
    loser.parts.store.forget_stack("hello")
    loser.up(write_stack(tmp_path, HELLO + "# a remark\n"))
    assert loser.recover().known == ("hello", "vault")
    record = loser.parts.store.find_stack("hello")
    assert record is not None
    assert record.text.endswith("# a remark\n")


def test_a_stack_without_a_note_can_be_listed_entered_and_taken_down(loser: Cloud) -> None:
    (note,) = [name for name in list_notes(loser) if name.startswith("hello.")]
    loser.parts.first_host.volumes.remove(note)
    assert loser.recover() == Recovered(whole=("vault",), bare=("hello",), known=())
    assert len(loser.stack("hello")) == 3
    assert loser.stack("hello").outputs() == {}
    loser.down("hello")
    assert loser.list_stacks() == ["vault"]


@pytest.mark.parametrize("body", [b"", b"{half", b"[]", b"\xff\xfe", b'{"stack": "other"}', b'{"stack": "broken"}', b'"hello"'])
def test_a_note_that_cannot_be_read_is_passed_over(loser: Cloud, body: bytes) -> None:
    volumes = loser.parts.first_host.volumes
    name = note_name("broken", "0" * 64)
    volumes.create(render_volume(name, len(body), format="raw"), name)
    volumes.upload_bytes(name, body)
    assert loser.recover().whole == ("hello", "vault")


def test_nothing_on_the_host_is_touched(loser: Cloud, tmp_path: Path) -> None:
    def photograph() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (tmp_path / "host").rglob("*.json")}

    before = photograph()
    loser.recover()
    assert photograph() == before


def test_an_empty_host_has_nothing_to_recover(tmp_path: Path) -> None:
    with fake_cloud(tmp_path) as cloud:
        assert cloud.recover() == Recovered((), (), ())
