"""The world, read from a host: what is ours by its mark, what is foreign, what is broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import HELLO, SHA, copy_up, fake_parts, put_image, write_stack
from tests.unit.engine.pretend import TellingHost
from tinycloud.cloud import Cloud
from tinycloud.engine.inventory import read_images, read_machines, read_world
from tinycloud.errors import LibvirtFailed, ToolFailed
from tinycloud.model.names import image_name, make_network_uuid
from tinycloud.model.world import World
from tinycloud.templates.objects import render_volume

THEIRS = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def host(tmp_path: Path) -> TellingHost:
    """A host with the stack hello."""
    copy_up(tmp_path)
    return TellingHost(tmp_path)


def read(host: TellingHost) -> World:
    return read_world([host])


def test_what_an_up_made_is_ours(host: TellingHost) -> None:
    world = read(host)
    assert [(m.ref, m.state, m.live.level) for m in world.machines] == [
        ("hello/db-1", "running", "done"), ("hello/web-1", "running", "done"), ("hello/web-2", "running", "done"),
    ]  # fmt: skip
    (network,) = world.networks
    assert (network.ref, network.subnet, network.access, network.active) == ("hello/front", "10.60.0.0/24", "nat", True)
    assert [line.name for line in sorted(network.reservations, key=lambda line: line.name)] == ["db-1", "web-1", "web-2"]
    assert world.foreign[0].domains == world.foreign[0].networks == ()
    assert world.broken == ()


def test_somebody_elses_things_are_only_in_the_way(host: TellingHost) -> None:
    host.domains.define(f"<domain type='qemu'><name>their-vm</name><uuid>{THEIRS}</uuid></domain>")
    host.networks.define(f"<network><name>default</name><uuid>{THEIRS}</uuid><bridge name='virbr0'/></network>")
    (foreign,) = read(host).foreign
    assert (foreign.domains, foreign.networks) == (("their-vm",), ("default",))
    assert len(read(host).machines) == 3


def test_a_copy_of_our_machine_under_another_uuid_is_somebody_elses(host: TellingHost) -> None:
    xml = host.domains.get_xml("hello-db-1")
    uuid = read(host).machine_by_ref["hello/db-1"].mark.uuid
    host.domains.define(xml.replace(">hello-db-1<", ">my-copy<").replace(uuid, THEIRS))
    world = read(host)
    assert world.foreign[0].domains == ("my-copy",)
    assert [m.ref for m in world.machines if m.mark.group == "db"] == ["hello/db-1"]


def test_a_mark_that_cannot_be_read_is_told_and_hides_nobody_else(host: TellingHost) -> None:
    xml = host.domains.get_xml("hello-db-1", inactive=True)
    host.domains.destroy("hello-db-1")
    host.domains.define(xml.replace('{"guest"', "{guest", 1).replace('"memory"', "memory", 1))
    world = read(host)
    assert [m.ref for m in world.machines] == ["hello/web-1", "hello/web-2"]
    (text,) = world.broken
    assert text.startswith("local: domain hello-db-1: ")


@pytest.mark.parametrize(("stack", "network"), [("a", "b-c-d"), ("a-b", "c-d"), ("a-b-c", "d")])
def test_a_name_with_dashes_is_taken_apart_by_its_uuid(host: TellingHost, stack: str, network: str) -> None:
    host.networks.define(f"<network><name>a-b-c-d</name><uuid>{make_network_uuid(stack, network)}</uuid></network>")
    assert read(host).find_network(f"{stack}/{network}")


@pytest.mark.parametrize(
    ("xml", "access", "subnet"),
    [
        ("<forward mode='nat'/><ip address='10.9.0.1' netmask='255.255.255.0'/>", "nat", "10.9.0.0/24"),
        ("<forward/><ip address='10.9.0.1' prefix='28'/>", "nat", "10.9.0.0/28"),
        ("<forward mode='route'/><ip address='10.9.0.1' prefix='24'/>", "routed", "10.9.0.0/24"),
        ("<ip address='10.9.0.1' prefix='24'/>", "isolated", "10.9.0.0/24"),
        ("<forward mode='bridge'/><bridge name='br0'/>", "bridge:br0", ""),
        ("<forward mode='hostdev'/>", "foreign", ""),
    ],
)
def test_every_kind_of_network_is_read_as_it_is(host: TellingHost, xml: str, access: str, subnet: str) -> None:
    host.networks.define(f"<network><name>lab-x</name><uuid>{make_network_uuid('lab', 'x')}</uuid>{xml}</network>")
    network = read(host).find_network("lab/x")
    assert network is not None
    assert (network.access, network.subnet, network.active, network.mtu) == (access, subnet, False, None)


ADDRESSES = """[
  {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
  {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "192.0.2.5", "prefixlen": 24}, {"prefixlen": 64},
    {"family": "inet6", "local": "2001:db8::5", "prefixlen": 64}, {"family": "inet6", "local": "fe80::5", "prefixlen": 64}]},
  {"ifname": "ovs0", "linkinfo": {"info_kind": "openvswitch"}}, {"ifname": "br0", "linkinfo": {"info_kind": "bridge"}},
  {"ifname": "BRIDGE", "addr_info": [{"family": "inet", "local": "10.60.0.1", "prefixlen": 24}]},
  {"ifname": "down0"}
]"""
ROUTES = '[{"dst": "default", "dev": "eth0"}, {"dst": "198.51.100.0/24", "dev": "tun0"}, {"dst": "10.60.0.0/24", "dev": "BRIDGE"}]'


def test_subnets_of_the_host_are_in_the_way_but_not_those_of_our_own_bridges(host: TellingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = read(host).networks[0].bridge
    answers = {"addr": ADDRESSES, "route": ROUTES}
    plain = host.tools.run

    def run(argv: list[str], **more: object) -> object:
        return replace(plain(argv), stdout=answers.get(argv[-1], "").replace("BRIDGE", bridge).encode())

    monkeypatch.setattr(host.tools, "run", run)
    assert read(host).foreign[0].subnets == (
        ("192.0.2.5/24", "interface eth0 of local"), ("198.51.100.0/24", "route through tun0 on local"),
    )  # fmt: skip
    foreign = read(host).foreign[0]
    assert ("2001:db8::5/64", "interface eth0 of local") in foreign.subnets6
    assert not [subnet for subnet, _ in foreign.subnets6 if subnet.startswith("fe80")]
    assert (foreign.switches, foreign.cards) == ((("br0", "bridge"), ("ovs0", "openvswitch")), ("down0", "eth0", "lo"))


def test_a_host_that_cannot_tell_its_subnets_is_read_even_so(host: TellingHost) -> None:
    host.tools.fails["ip"] = ToolFailed("ip ended with status 1")
    assert read(host).foreign[0].subnets == ()
    del host.tools.fails["ip"]
    host.tools.says["ip"] = "not JSON"
    assert read(host).foreign[0].subnets == ()


def test_an_image_without_a_card_is_half_made_and_a_stranger_in_the_pool_is_nobodys(host: TellingHost) -> None:
    for name in (image_name("b" * 64), "notes.txt", "image-short"):
        host.volumes.create(render_volume(name, 10, format="raw"), name)
    world = read(host)
    assert [image.sha for image in world.images] == [SHA] == [image.sha for image in read_images(host)]
    assert not [volume for volume in world.volumes if "hello." not in volume.name]


def test_a_host_without_a_pool_is_a_host(tmp_path: Path) -> None:
    world = read_world([TellingHost(tmp_path)])
    assert (world.hosts[0].pool, world.volumes, world.images) == (None, (), ())


def test_listing_asks_only_for_domains(host: TellingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise LibvirtFailed("not asked for")

    monkeypatch.setattr(host.volumes, "list_all", fail)
    monkeypatch.setattr(host.networks, "list_all", fail)
    assert len(read_machines([host]).machines) == 3


def test_worlds_of_two_hosts_are_one(host: TellingHost, tmp_path: Path) -> None:
    other = TellingHost(tmp_path / "other")
    other.name = "server2"
    put_image(other, "nano", SHA)
    with Cloud(parts=fake_parts(tmp_path / "other", hosts={"server2": other})) as cloud:
        cloud.up(write_stack(tmp_path, HELLO.replace("stack: hello", "stack: shop")))
    world = read_world([host, other])
    assert [it.name for it in world.hosts] == ["local", "server2"]
    assert {m.host for m in world.machines if m.mark.stack == "shop"} == {"server2"}
    assert world.stacks == ("hello", "shop")
