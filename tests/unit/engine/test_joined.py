"""A stack on two fake hosts: networks of both, what joins them, what says so, and what puts it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import SHA, fake_parts, put_image
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.shell import Done
from tinycloud.engine.doctor_joined import check_joined
from tinycloud.engine.inventory import read_world
from tinycloud.engine.watch import Seen, Watch
from tinycloud.model.host import HostEntry
from tinycloud.model.names import make_network_name, make_vni
from tinycloud.plan.reach import Question, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.plan.reach import Verdict

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups:
  db: {image: nano, networks: [front], on: {host: h2}}
  web: {image: nano, networks: [front], on: {host: h1}}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    hosts = {name: FakeHost(tmp_path / name, name, entry=HostEntry(name, address=f"192.0.2.{name[1]}")) for name in ("h1", "h2")}
    cloud = Cloud(parts=fake_parts(tmp_path, hosts=hosts))
    for host in hosts.values():
        put_image(host, "nano", SHA)
    (tmp_path / "stack.yaml").write_text(STACK)
    cloud.up(tmp_path / "stack.yaml")
    return cloud


def host_of(cloud: Cloud, name: str) -> FakeHost:
    host = cloud.parts.hosts[name]
    assert isinstance(host, FakeHost)
    return host


def test_a_network_is_listed_once_with_all_its_hosts(cloud: Cloud) -> None:
    (row,) = cloud.networks.list()
    assert row.hosts == ("h1", "h2")
    assert (row.vni, row.addresses) == (make_vni("shop", "front"), ("192.0.2.1", "192.0.2.2"))
    assert [member.machine for member in row.members] == ["shop/db-1", "shop/web-1"]
    host_of(cloud, "h2").networks.remove(make_network_name("shop", "front"))
    assert cloud.networks.show("front").vni == 0
    assert len(cloud.networks.leases("front")) == 2


def test_leases_of_all_hosts_are_told_once(cloud: Cloud) -> None:
    lines = cloud.networks.leases()
    assert [(line.machine, line.reserved, line.leased) for line in lines] == [("shop/db-1", True, True), ("shop/web-1", True, True)]


def test_a_device_that_is_gone_is_said_by_plan_and_doctor_and_put_back_by_up(cloud: Cloud, tmp_path: Path) -> None:
    assert cloud.plan(tmp_path / "stack.yaml").is_empty
    host_of(cloud, "h1").firewall.cut()
    (change,) = cloud.plan(tmp_path / "stack.yaml").changes
    assert (change.kind, change.name) == ("access", "rules")
    assert [finding.state for finding in check_joined(cloud.parts)] == ["problem"]
    cloud.up(tmp_path / "stack.yaml")
    assert [(finding.state, finding.text) for finding in check_joined(cloud.parts)] == [("ok", "shop/front joined to 1 other host")]
    assert cloud.plan(tmp_path / "stack.yaml").is_empty


def test_a_watch_puts_it_back_and_tells_it(cloud: Cloud) -> None:
    told: list[Seen] = []
    watch = Watch(cloud.parts, told.append)
    watch.look()
    assert told == []
    host_of(cloud, "h2").firewall.cut()
    watch.look()
    assert [(it.kind, it.subject) for it in told] == [("rules", "h2")]
    assert host_of(cloud, "h2").firewall.find_overlays()
    watch.look()
    assert len(told) == 1


def ask(cloud: Cloud, source: str, target: str) -> Verdict:
    return decide(read_world(cloud.parts.hosts.values()), Question(source, target, "tcp", 80))


def test_who_reaches_whom_over_hosts(cloud: Cloud) -> None:
    verdict = ask(cloud, "shop/web-1", "shop/db-1")
    assert verdict.allowed
    assert "from h1 to h2" in verdict.reasons[0].text
    assert verdict.path.network is not None
    assert ask(cloud, "host", "shop/db-1").source.name == "host h2"
    assert ask(cloud, "shop/db-1", "10.60.0.1").target.host == "h2"
    assert ask(cloud, "shop/web-1", "10.60.0.1").target.host == "h1"
    other = ask(cloud, "h1", "shop/db-1")
    assert not other.allowed
    assert "db-1 is on h2" in other.reasons[0].text
    assert "through the host to host h1" in ask(cloud, "shop/db-1", "h1").reasons[0].text


class Nft(FakeShell):
    """Says the chains, and the rules."""

    def __init__(self, chains: str, rules: str) -> None:
        self._chains, self._rules = chains, rules

    def run(self, argv: Sequence[str], **more: Any) -> Done:
        said = {"-j": self._chains, "list": self._rules}.get(argv[1], "") if argv[0] == "nft" else ""
        return Done(tuple(argv), 0, said.encode(), b"")


CHAINS = {"ufw": "ufw-user-input", "plain": "input", "firewalld": "filter_INPUT"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("plain", "nft 'insert rule inet mine input ip saddr 192.0.2.2 udp dport 4789 accept'"),
        ("ufw", "ufw allow proto udp from 192.0.2.2 to any port 4789"),
        ("firewalld", "firewall-cmd --permanent --zone=trusted --add-source=192.0.2.2; firewall-cmd --reload"),
    ],
)
def test_the_doctor_says_how_the_hosts_own_firewall_is_opened(cloud: Cloud, kind: str, words: str) -> None:
    chains = [{"family": "inet", "table": "mine", "name": "input", "hook": "input", "policy": "drop"}]
    chains += [{"family": "ip", "table": "firewalld" if kind == "firewalld" else "filter", "name": CHAINS[kind]}]
    listed = json.dumps({"nftables": [{"chain": chain} for chain in chains]})
    host_of(cloud, "h1").shell = Nft(listed, "table inet mine {")
    told = [finding.text for finding in check_joined(cloud.parts) if finding.topic == "wire"]
    assert [text.partition("To let it pass: ")[2] for text in told] == [words]
    open_one = "table inet mine {\n  udp dport 4789 accept"
    host_of(cloud, "h1").shell = Nft(listed, open_one)
    assert [finding.topic for finding in check_joined(cloud.parts)] == ["lans over hosts"]
