"""Hosts: added after a look, written down, drained, removed when nothing is on them."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import HELLO, a_host, a_world, fake_cloud, fake_parts, write_stack
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.fake.moves import FakeMoves
from tinycloud.drivers.host import Patience
from tinycloud.drivers.records import HostIdentity
from tinycloud.drivers.shell import Done
from tinycloud.engine.host_rows import make_row
from tinycloud.engine.hosts import make_name
from tinycloud.engine.seen import save_pulse
from tinycloud.errors import InUse, NotFound, Refused, Unreachable, WrongInput
from tinycloud.model.host import HostEntry
from tinycloud.plan.beats import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with fake_cloud(tmp_path) as made:
        yield made


def names(cloud: Cloud) -> list[str]:
    return [row.name for row in cloud.hosts.list()]


def test_a_cloud_that_nobody_added_a_host_to_is_this_machine(cloud: Cloud) -> None:
    assert names(cloud) == ["local"]
    assert cloud.parts.store.list_hosts() == []


def test_a_host_that_is_added_stands_beside_this_machine_which_comes_first(cloud: Cloud, tmp_path: Path) -> None:
    added = cloud.hosts.add("root@alpha.example.org", labels={"rack": "b"}, address="192.0.2.2", memory_ratio=1.5)
    assert added.entry == HostEntry("alpha", "root@alpha.example.org", address="192.0.2.2", labels=(("rack", "b"),), memory_ratio=1.5)
    assert names(cloud) == ["local", "alpha"]
    with fake_cloud(tmp_path) as again:
        again.parts.made.clear()
        again.parts.find_entries = lambda _: again.parts.store.list_hosts()
        assert list(again.parts.hosts) == ["local", "alpha"]
        assert again.parts.hosts["alpha"].entry == added.entry


class Walled(FakeMoves):
    """A host from which no stream gets out."""

    def find_block(self, address: str) -> str:
        return "nobody answers, a firewall drops it"


def test_a_host_that_others_get_no_stream_to_is_noted_and_added(cloud: Cloud) -> None:
    cloud.hosts.add("root@alpha", address="192.0.2.2")
    found = {it.topic: it for it in cloud.hosts.add("root@beta", address="192.0.2.3").findings}
    assert (found["streams"].state, found["streams"].text) == ("ok", "TCP 49152 to 49215 is open between it and local, alpha")
    alpha: Any = cloud.parts.hosts["alpha"]
    alpha.moves = Walled(alpha)
    found = {it.topic: it for it in cloud.hosts.add("root@gamma", address="192.0.2.4").findings}
    assert found["streams"].state == "note"
    assert found["streams"].text.startswith("TCP 49152 to 49215, from alpha: nobody answers, a firewall drops it: machines that run")


def test_a_host_is_added_once(cloud: Cloud) -> None:
    cloud.hosts.add("root@alpha")
    with pytest.raises(Refused, match=r'^there is a host "alpha" already$'):
        cloud.hosts.add("root@alpha")
    with pytest.raises(Refused, match=r'^root@alpha is the host "alpha" already$'):
        cloud.hosts.add("root@alpha", "beta")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("root@server2", "server2"),
        ("server2.example.org", "server2"),
        ("eve@192.0.2.7", "h-192-0-2-7"),
        ("Rack_B", "rack-b"),
        ("fd00::7", "fd00-7"),
    ],
)
def test_a_host_is_named_after_its_server(target: str, name: str) -> None:
    assert make_name(target) == name


@pytest.mark.parametrize("target", ["", "-oProxyCommand=x", "root@-x", "a b", "root@", "a@b@c"])
def test_a_place_that_ssh_could_not_go_to_is_refused(cloud: Cloud, target: str) -> None:
    with pytest.raises(WrongInput):
        cloud.hosts.add(target, "alpha")
    assert names(cloud) == ["local"]


@pytest.mark.parametrize("wrong", [{"labels": {"host": "x"}}, {"labels": {"Rack": "x"}}, {"labels": {"rack": "a b"}}, {"cpu_ratio": 0.0}])
def test_what_cannot_be_said_of_a_host_is_refused(cloud: Cloud, wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongInput):
        cloud.hosts.add("root@alpha", **wrong)


class Saying(FakeShell):
    """Says the same whatever is asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, argv: Sequence[str], **_: Any) -> Done:
        return Done(tuple(argv), 0, self.text.encode(), b"")


class Twin(FakeHost):
    def read_identity(self) -> HostIdentity:
        return replace(super().read_identity(), uuid="11111111-1111-4111-8111-111111111111")


def test_all_that_stands_against_a_server_is_said_at_once(cloud: Cloud, tmp_path: Path) -> None:
    def make(entry: HostEntry) -> FakeHost:
        host = Twin(tmp_path / entry.name, entry.name, entry=entry)
        host.shell = Saying("missing nft\nmissing python3\nclock 1000.5\nssh 127.0.0.1 5 127.0.0.1 22\nsystemd\n")
        return host

    cloud.parts.make_host = make
    cloud.parts.made["local"] = Twin(tmp_path / "twin")
    with pytest.raises(Refused) as caught:
        cloud.hosts.add("alpha")
    error = caught.value
    assert (error.kind, error.message) == ("unfit-host", '"alpha" cannot be a host of this cloud as it is')
    assert [fact.split()[0] for fact in error.facts] == ["packages", "same", "clock", "pool", "address"]
    assert "not installed: nft, python3" in error.facts[0]
    assert 'same machine as the host "local"' in error.facts[1]
    assert error.hint == "--fix, or: ssh alpha sudo apt-get install -y nftables python3"
    assert names(cloud) == ["local"]


def test_what_is_said_of_a_host_can_be_changed(cloud: Cloud) -> None:
    cloud.hosts.add("root@alpha", labels={"rack": "b", "disk": "fast"})
    entry = cloud.hosts.set("alpha", labels={"rack": "c", "disk": None}, cpu_ratio=4.0, fence=("off", "alpha"))
    assert (entry.labels, entry.cpu_ratio, entry.fence) == ((("rack", "c"),), 4.0, ("off", "alpha"))
    assert cloud.parts.store.list_hosts()[0] == entry
    with pytest.raises(NotFound, match='no label "rak"'):
        cloud.hosts.set("alpha", labels={"rak": None})
    with pytest.raises(NotFound, match='no host "alpa"'):
        cloud.hosts.set("alpa", cpu_ratio=1.0)


def test_this_machine_has_labels_too(cloud: Cloud) -> None:
    cloud.hosts.set("local", labels={"rack": "a"})
    assert cloud.parts.store.list_hosts() == [HostEntry("local", labels=(("rack", "a"),))]


def test_a_drained_host_takes_nothing_until_it_is_let(cloud: Cloud) -> None:
    cloud.hosts.add("root@alpha")
    since = cloud.hosts.drain("alpha").drained
    assert since
    assert cloud.hosts.drain("alpha").drained == since, "drained twice"
    row = cloud.hosts.show("alpha")
    assert (row.state, row.facts.takes) == ("drained", False)
    assert cloud.hosts.drain("alpha", off=True).drained == 0
    assert cloud.hosts.show("alpha").facts.takes


def test_two_at_once_do_not_take_back_what_the_other_said(cloud: Cloud, tmp_path: Path) -> None:
    cloud.hosts.add("root@alpha")
    cloud.hosts.add("root@beta")
    with fake_cloud(tmp_path) as other:
        other.parts.made.clear()
        other.parts.find_entries = lambda _: other.parts.store.list_hosts()
        assert list(other.parts.hosts) == ["local", "alpha", "beta"]
        cloud.parts.store.save_hosts(replace(cloud.parts.get_host("alpha").entry, fenced=5.0))
        cloud.hosts.remove("beta")
        other.hosts.set("local", labels={"rack": "a"})
        other.hosts.set("alpha", memory_ratio=2.0)
        with pytest.raises(NotFound, match=r'^there is no host "beta"$'):
            other.hosts.drain("beta")
        found = {entry.name: entry for entry in other.parts.store.list_hosts()}
    assert list(found) == ["alpha", "local"]
    assert (found["alpha"].fenced, found["alpha"].memory_ratio) == (5.0, 2.0)


def test_a_host_goes_when_nothing_is_on_it(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(write_stack(tmp_path, HELLO))
    with pytest.raises(Refused, match='"local" is the only host'):
        cloud.hosts.remove("local")
    cloud.hosts.add("root@alpha")
    with pytest.raises(InUse) as caught:
        cloud.hosts.remove("local")
    assert caught.value.facts[0] == "machines: hello/db-1, hello/web-1, hello/web-2"
    cloud.down("hello")
    cloud.hosts.remove("local")
    assert names(cloud) == ["alpha"]
    assert [entry.name for entry in cloud.parts.store.list_hosts()] == ["alpha"]
    with pytest.raises(Refused, match="only host"):
        cloud.hosts.remove("alpha")
    with pytest.raises(WrongInput, match='"local" is the machine that tinycloud runs on, not root@beta'):
        cloud.hosts.add("root@beta", "local")
    cloud.hosts.add("local")
    assert names(cloud) == ["local", "alpha"]


class Gone(FakeHost):
    """Its link is cut: nothing that is asked of it comes back with an answer."""

    @property
    def domains(self) -> Any:
        raise Unreachable('host "alpha" (root@alpha) does not answer by ssh', facts=["Connection timed out"])

    @domains.setter
    def domains(self, value: Any) -> None:
        """Set by the parent."""


def cut(cloud: Cloud, name: str) -> None:
    host: Any = cloud.parts.made[name]
    cloud.parts.made[name] = Gone(host._folder, name, entry=host.entry, patience=host.patience)


def test_a_host_that_is_gone_goes_by_force_alone(cloud: Cloud) -> None:
    cloud.hosts.add("root@alpha")
    cut(cloud, "alpha")
    with pytest.raises(Unreachable):
        cloud.hosts.remove("alpha")
    cloud.hosts.remove("alpha", force=True)
    assert names(cloud) == ["local"]


def a_pulse(verdict: str, ago: float = 5.0) -> Pulse:
    return Pulse(verdict, 5, time.time() - 60, time.time() - ago, "it missed 5 looks")


@pytest.mark.parametrize(
    ("changes", "unreachable", "pulse", "state", "notes"),
    [
        ({}, "", ("well", 1.0), "ready", ()),
        ({"drained": 5.0}, "", ("well", 1.0), "drained", ()),
        ({}, "no route", ("silent", 1.0), "unreachable", ("silent",)),
        ({}, "no route", ("cut off", 1.0), "unreachable", ("cut off",)),
        ({}, "no route", ("suspected dead", 1.0), "suspected dead", ()),
        ({}, "no route", ("suspected dead", 700.0), "unreachable", ()),
        ({"drained": 5.0}, "no route", ("suspected dead", 1.0), "suspected dead", ("drained",)),
        ({"drained": 5.0, "fenced": 6.0}, "no route", ("suspected dead", 1.0), "fenced", ("drained",)),
        ({"fenced": 6.0}, "", ("well", 1.0), "fenced", ("answers again",)),
    ],
)
def test_the_state_of_a_host_is_the_one_that_counts_most(
    cloud: Cloud, changes: dict[str, Any], unreachable: str, pulse: tuple[str, float], state: str, notes: tuple[str, ...]
) -> None:
    facts = a_host("alpha", unreachable=unreachable)
    host = FakeHost(cloud.parts.state / "alpha", "alpha", patience=Patience(memory=cloud.parts.state / "seen"))
    cloud.parts.made = {"alpha": host}
    save_pulse(host, a_pulse(*pulse))
    facts = replace(facts, entry=HostEntry("alpha", **changes))
    row = make_row(cloud.parts, a_world(facts), facts, {})
    assert (row.state, row.notes) == (state, notes)


def cpu(*features: str) -> str:
    words = "".join(f'<feature policy="disable" name="{name}"/>' for name in features)
    return f'<cpu mode="custom" match="exact"><model fallback="forbid">EPYC</model>{words}</cpu>'


def test_a_host_that_limits_what_machines_see_is_told(tmp_path: Path) -> None:
    class Common(FakeHost):
        def find_common(self, processors: Sequence[str], hypervisor: str = "kvm") -> str:
            lacking = {name for it in processors for name in re.findall('name="([^"]+)"', it)}
            return cpu(*sorted(lacking))

    hosts: dict[str, Any] = {}
    for name, it in (("h1", cpu()), ("h2", cpu("avx2")), ("h3", cpu())):
        hosts[name] = Common(tmp_path / name, name)
        hosts[name].processor = it
    with Cloud(parts=fake_parts(tmp_path, hosts=hosts)) as cloud:
        found = cloud.hosts.processor("h2")
        assert found is not None
        assert (found.model, found.without, found.limits) == ("EPYC -avx2", "EPYC", True)
        found = cloud.hosts.processor("h1")
        assert found is not None
        assert (found.model, found.limits) == ("EPYC -avx2", False)
        with pytest.raises(NotFound):
            cloud.hosts.processor("h9")


def test_a_host_alone_shows_machines_all_it_has(cloud: Cloud) -> None:
    assert cloud.hosts.processor("local") is None


@pytest.mark.parametrize(
    "uri", ["qemu+tls://alpha/system", "qemu+tls://[fd00::2]:16515/system?pkipath=/etc/pki/cloud", "qemu+ssh://eve@alpha/system"]
)
def test_libvirt_of_a_host_may_have_an_address_of_its_own(cloud: Cloud, uri: str) -> None:
    assert cloud.hosts.add("root@alpha", uri=uri).entry.uri == uri


@pytest.mark.parametrize("uri", ["junk", "qemu:///system", "qemu+tls:///system", "qemu+tls://alpha", "http://alpha/system"])
def test_an_address_of_libvirt_that_leads_nowhere_is_refused(cloud: Cloud, uri: str) -> None:
    with pytest.raises(WrongInput, match="the address of libvirt on alpha is") as failure:
        cloud.hosts.add("root@alpha", uri=uri)
    assert failure.value.hint == "--uri qemu+tls://alpha/system"
    with pytest.raises(WrongInput, match="TINYCLOUD_URI"):
        cloud.hosts.set("local", uri="qemu+tls://alpha/system")
