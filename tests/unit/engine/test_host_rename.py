"""Hosts under other names: nothing on them changes, and all that was there is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import fake_cloud, write_stack
from tinycloud.drivers.fake import FakeHost
from tinycloud.errors import NotFound, Refused, TinycloudError, Unfinished, WrongInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tinycloud.cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """One host, that is reached by ssh as root@server1, too."""
    with fake_cloud(tmp_path) as made:
        folders = {"": "host", "root@server1": "host"}
        made.parts.make_host = lambda entry: FakeHost(tmp_path / folders.get(entry.target, "another"), entry.name, entry=entry)
        yield made


def test_local_gets_a_name_that_other_controllers_know_it_by(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(write_stack(tmp_path))
    before = {machine.ref: machine.state for machine in cloud.machines()}
    entry = cloud.hosts.rename("local", "server1", target="root@server1")
    assert (entry.name, entry.target) == ("server1", "root@server1")
    assert cloud.parts.store.list_hosts() == [entry]
    assert {machine.host for machine in cloud.machines()} == {"server1"}
    assert {machine.ref: machine.state for machine in cloud.machines()} == before
    assert cloud.plan(tmp_path / "stack.yaml").is_empty
    cloud.down("hello")
    assert cloud.machines() == []


def test_another_machine_is_not_called_by_its_name(cloud: Cloud) -> None:
    with pytest.raises(Refused) as caught:
        cloud.hosts.rename("local", "server2", target="root@server2")
    assert (caught.value.kind, caught.value.message) == ("unfit-host", 'root@server2 is another machine than the host "local"')
    assert cloud.hosts.names() == ["local"]


@pytest.mark.parametrize(
    ("old", "new", "target", "error"),
    [
        ("nobody", "server1", "root@server1", NotFound),
        ("local", "server1", "", WrongInput),
        ("local", "Server 1", "root@server1", WrongInput),
        ("local", "local", "root@server1", WrongInput),
    ],
)
def test_what_is_no_name_or_no_way_is_refused(cloud: Cloud, old: str, new: str, target: str, error: type[TinycloudError]) -> None:
    with pytest.raises(error):
        cloud.hosts.rename(old, new, target=target)
    assert (cloud.hosts.names(), cloud.parts.store.list_hosts()) == (["local"], [])


def test_a_name_is_given_once(cloud: Cloud) -> None:
    cloud.hosts.rename("local", "server1", target="root@server1")
    with pytest.raises(Refused, match='there is a host "server1" already'):
        cloud.hosts.rename("server1", "server1")
    assert cloud.hosts.rename("server1", "rack-b-7").target == "root@server1"


def test_what_is_unfinished_knows_the_old_name(cloud: Cloud, tmp_path: Path) -> None:
    cloud.parts.guests = type("Sick", (type(cloud.parts.guests),), {})(("it broke",))
    with pytest.raises(TinycloudError):
        cloud.up(write_stack(tmp_path), keep_failed=True)
    assert cloud.has_unfinished("hello")
    with pytest.raises(Unfinished, match="hello has an unfinished execution, which knows the host as local"):
        cloud.hosts.rename("local", "server1", target="root@server1")
