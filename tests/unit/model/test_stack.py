"""The stack as values: shorthands, defaults, and that nobody changes one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.builders import load
from tinycloud.model.stack import Cpus, Group, ImageUse, Nic, Ready
from tinycloud.model.units import Duration


def group(body: str) -> Group:
    return load(f"stack: a\nnetworks: {{n: {{}}, m: {{}}}}\ngroups: {{web: {{image: nano, {body}}}}}\n").stack.groups["web"]


def test_a_bare_value_stands_for_a_mapping_with_one_key() -> None:
    assert group("cpus: 2").cpus == group("cpus: {count: 2}").cpus == Cpus(count=2)
    assert group("ready: ssh").ready == group("ready: {level: ssh}").ready == Ready(level="ssh")
    assert (
        group("networks: [n, m]").networks
        == group("networks: [{network: n}, {network: m}]").networks
        == (Nic(network="n"), Nic(network="m"))
    )
    loaded = load("stack: a\nimages: {one: nano, two: {source: nano}}\npolicies: {p: {inbound: [{tcp: 22}, {tcp: [22]}]}}\n").stack
    assert loaded.images["one"] == loaded.images["two"] == ImageUse(source="nano")
    one, two = loaded.policies["p"].inbound
    assert one == two


def test_a_group_of_nothing_but_an_image_is_a_small_machine() -> None:
    it = group("")
    assert (it.count, it.cpus.count, str(it.memory), it.disk, it.networks, it.boot) == (1, 1, "512 MiB", None, (), ("disk",))
    assert (it.firmware, it.graphics, it.serial, it.hypervisor, it.autostart) == ("bios", "vnc", True, "auto", True)
    assert (it.ready.level, it.ready.timeout, it.stop_timeout) == ("done", Duration(300), Duration(60))


@pytest.mark.parametrize(
    ("access", "bridge"),
    [("nat", None), ("isolated", None), ("routed", None), ("{bridge: br0}", "br0"), ("{bridge: en.p0-1_x}", "en.p0-1_x")],
)
def test_only_a_bridged_network_has_a_bridge_of_the_host(access: str, bridge: str | None) -> None:
    network = load(f"stack: a\nnetworks: {{n: {{access: {access}}}}}\n").stack.networks["n"]
    assert network.bridge == bridge


def test_an_automatic_subnet_is_none_yet() -> None:
    networks = load("stack: a\nnetworks: {n: {}, m: {subnet: auto}, o: {subnet: 10.0.0.0/24}}\n").stack.networks
    assert [str(network.subnet) for network in networks.values()] == ["None", "None", "10.0.0.0/24"]


def test_a_stack_does_not_change_after_it_was_read() -> None:
    stack = load("stack: a\n").stack
    with pytest.raises(ValidationError):
        stack.stack = "b"  # type: ignore[misc]
