"""Names that libvirt would know twice."""

from __future__ import annotations

import pytest

from tests.builders import a_world, load, settle
from tinycloud.errors import Clash
from tinycloud.model.world import Foreign
from tinycloud.plan import plan_up

A = "stack: a\nnetworks: {b-c: {}}\ngroups: {b-c: {image: nano, networks: [b-c]}}\n"
OTHER = "stack: a-b\nnetworks: {NETWORK: {}}\ngroups: {GROUP: {image: nano}}\n"


@pytest.mark.parametrize(
    ("group", "network", "message", "hint"),
    [
        ("c", "x", "a-b/c-1 and a/b-c-1 would both be domain a-b-c-1", "rename the stack or the group"),
        ("x", "c", "a-b/c and a/b-c would both be network a-b-c", "rename the stack or the network"),
    ],
)
def test_two_stacks_whose_names_run_together_are_told_apart(group: str, network: str, message: str, hint: str) -> None:
    world = settle(plan_up(load(A), a_world()), a_world())
    with pytest.raises(Clash) as caught:
        plan_up(load(OTHER.replace("GROUP", group).replace("NETWORK", network)), world)
    assert (caught.value.kind, caught.value.message, caught.value.hint) == ("clash", message, hint)


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (Foreign("local", domains=("a-b-c-1",)), "host local has a domain a-b-c-1 that is not ours"),
        (Foreign("local", networks=("a-b-c",)), "host local has a network a-b-c that is not ours"),
    ],
)
def test_what_is_somebody_elses_keeps_its_name(foreign: Foreign, message: str) -> None:
    with pytest.raises(Clash, match=f"^{message}$"):
        plan_up(load(A), a_world(foreign=(foreign,)))


def test_a_name_on_another_host_is_in_nobodys_way() -> None:
    assert plan_up(load(A), a_world(foreign=(Foreign("server2", domains=("a-b-c-1",)),))).steps
