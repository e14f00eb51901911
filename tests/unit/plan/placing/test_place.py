"""Which host a machine goes to, and what is said where none will do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import a_labelled_host, a_world, an_image, inhabit, load
from tinycloud.errors import NoHost
from tinycloud.model import world
from tinycloud.model.names import data_name
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.plan import Options, plan_up

NONE = Options(spare="0")


def three(**changes: str) -> world.World:
    hosts = [a_labelled_host("h1", rack="a"), a_labelled_host("h2", rack="a"), a_labelled_host("h3", rack="b")]
    return a_world(*hosts, **changes)


def place(groups: str, now: world.World, options: Options = NONE) -> dict[str, str]:
    """Machine → host."""
    plan = plan_up(load(f"stack: shop\ngroups: {groups}"), now, options)
    return {ref.partition("/")[2]: wanted.host for ref, wanted in plan.machines.items()}


def tell(groups: str, now: world.World, options: Options = NONE) -> dict[str, str]:
    """Machine → why there."""
    plan = plan_up(load(f"stack: shop\ngroups: {groups}"), now, options)
    return {ref.partition("/")[2]: wanted.why_here for ref, wanted in plan.machines.items()}


def refuse(groups: str, now: world.World, options: Options = NONE) -> NoHost:
    with pytest.raises(NoHost) as caught:
        plan_up(load(f"stack: shop\ngroups: {groups}"), now, options)
    assert caught.value.exit == 4
    return caught.value


def put(groups: str, now: world.World, stack: str = "shop", options: Options = NONE) -> world.World:
    return inhabit(plan_up(load(f"stack: {stack}\ngroups: {groups}"), now, options), now)


def test_machines_of_a_group_go_to_different_hosts_while_there_are_some() -> None:
    assert set(place("{web: {image: nano, count: 3}}", three()).values()) == {"h1", "h2", "h3"}


def test_the_host_with_most_free_memory_is_chosen_and_the_plan_says_so() -> None:
    now = a_world(a_labelled_host("h1", "4 GiB"), a_labelled_host("h2", "16 GiB"), a_labelled_host("h3", "8 GiB"), images=())
    now = replace(now, images=tuple(replace(an_image(), host=name) for name in ("h1", "h2", "h3")))
    assert place("{web: {image: nano, memory: 1 GiB}}", now) == {"web-1": "h2"}
    assert tell("{web: {image: nano, memory: 1 GiB}}", now) == {"web-1": "most free memory"}
    plan = plan_up(load("stack: shop\ngroups: {web: {image: nano}}"), now, NONE)
    assert [change.reason for change in plan.changes if change.kind == "machine"] == ["on h2: most free memory"]


def test_a_host_that_has_the_image_is_better_than_one_that_is_as_empty() -> None:
    now = replace(three(), images=(replace(an_image(), host="h3"),))
    assert place("{web: {image: nano}}", now) == {"web-1": "h3"}
    assert tell("{web: {image: nano}}", now) == {"web-1": "it has the image"}


def test_labels_say_which_hosts_will_do() -> None:
    assert place("{web: {image: nano, count: 2, on: {rack: b}}}", three()) == {"web-1": "h3", "web-2": "h3"}
    assert place("{web: {image: nano, on: {host: h2}}}", three()) == {"web-1": "h2"}
    assert tell("{web: {image: nano, on: {host: h2}}}", three()) == {"web-1": "the only one that can take it"}
    assert list(refuse("{web: {image: nano, on: {rack: c}}}", three()).facts) == [
        'h1  label rack is "a", needs "c"',
        'h2  label rack is "a", needs "c"',
        'h3  label rack is "b", needs "c"',
    ]
    assert refuse("{web: {image: nano, on: {ssd: yes}}}", three()).facts[0] == 'h1  no label ssd, needs "yes"'


def test_a_spread_that_must_be_leaves_no_two_on_one_host() -> None:
    must = "{web: {image: nano, count: 3, spread: {over: host, must: true}}}"
    assert set(place(must, three()).values()) == {"h1", "h2", "h3"}
    error = refuse(must.replace("3", "4"), three())
    assert error.message == "no host can take machine shop/web-4"
    assert list(error.facts) == [f"{name}  spread: a machine of web is on it" for name in ("h1", "h2", "h3")]


def test_a_spread_over_racks_leaves_no_two_in_one_rack() -> None:
    racks = {"h1": "a", "h2": "a", "h3": "b"}
    found = place("{web: {image: nano, count: 2, spread: {over: rack, must: true}}}", three())
    assert sorted(racks[host] for host in found.values()) == ["a", "b"]
    facts = refuse("{web: {image: nano, count: 3, spread: {over: rack, must: true}}}", three()).facts
    assert facts == ('h1  spread: a machine of web is on rack "a"', 'h2  spread: a machine of web is on rack "a"', facts[2])


def test_a_host_without_the_label_takes_nothing_that_is_spread_over_it() -> None:
    now = a_world(a_labelled_host("h1", rack="a"), a_labelled_host("h2"))
    facts = refuse("{web: {image: nano, count: 2, spread: {over: rack, must: true}}}", now).facts
    assert facts == ('h1  spread: a machine of web is on rack "a"', "h2  no label rack, over which web is spread")


def test_a_spread_that_should_be_fills_racks_alike_and_goes_on_when_they_are_full() -> None:
    racks = {"h1": "a", "h2": "a", "h3": "b"}
    found = place("{web: {image: nano, count: 4, memory: 1 GiB, spread: rack}}", three())
    assert sorted(racks[host] for host in found.values()) == ["a", "a", "b", "b"]
    found = place("{web: {image: nano, count: 5, memory: 3 GiB, spread: rack}}", three())
    assert sorted(racks[host] for host in found.values()) == ["a", "a", "a", "b", "b"]
    assert tell("{web: {image: nano, count: 2, spread: rack}}", three())["web-2"] == "spread over rack"


def test_groups_that_are_together_share_one_host_that_has_room_for_all() -> None:
    now = a_world(a_labelled_host("h1", "8 GiB"), a_labelled_host("h2", "12 GiB"))
    found = place("{db: {image: nano, memory: 3 GiB}, web: {image: nano, count: 3, memory: 2 GiB, together: [db]}}", now)
    assert set(found.values()) == {"h2"}
    error = refuse("{db: {image: nano, memory: 3 GiB}, web: {image: nano, count: 5, memory: 2 GiB, together: [db]}}", now)
    assert error.message == "no host can take machine shop/db-1 and the 5 that are together with it"
    assert error.facts == ("h1  memory: needs 13 GiB, 8 GiB free", "h2  memory: needs 13 GiB, 12 GiB free")


def test_who_comes_later_goes_to_those_that_are_there() -> None:
    now = put("{db: {image: nano, memory: 3 GiB}}", a_world(a_labelled_host("h1", "8 GiB"), a_labelled_host("h2", "12 GiB")))
    now = put("{big: {image: nano, memory: 8 GiB}}", now, "other")
    there = next(machine.host for machine in now.machines if machine.ref == "shop/db-1")
    both = "{db: {image: nano, memory: 3 GiB}, web: {image: nano, memory: 4 GiB, together: [db]}}"
    other = "h1" if there == "h2" else "h2"
    assert refuse(both, now).facts[int(other[1]) - 1] == f"{other}  together with db and web: on {there}"
    assert place(both.replace("4 GiB", "64 MiB"), now)["web-1"] == there
    assert tell(both.replace("4 GiB", "64 MiB"), now)["web-1"] == "together with db"


def test_what_exists_stays_and_a_second_plan_moves_nothing() -> None:
    now = put("{web: {image: nano, count: 4}}", three())
    before = {machine.ref: machine.host for machine in now.machines}
    found = place("{web: {image: nano, count: 6, on: {rack: b}}}", now)
    assert {f"shop/{name}": host for name, host in found.items() if f"shop/{name}" in before} == before
    assert {found["web-5"], found["web-6"]} == {"h3"}


def test_a_wish_that_changes_is_live_and_moves_nothing() -> None:
    now = put("{web: {image: nano, count: 2}}", three())
    plan = plan_up(load("stack: shop\ngroups: {web: {image: nano, count: 2, on: {rack: b}, recover: restart}}"), now, NONE)
    changed = [change for change in plan.changes if change.kind == "machine"]
    assert {(change.text, str(change.price)) for change in changed} == {("placing anywhere → on rack b; recover restart", "live")}
    assert {step.kind for step in plan.steps if step.kind.startswith("machine.")} == {"machine.define", "machine.live"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"drained": 1.0}, "drained"),
        ({"fenced": 1.0}, "fenced"),
        ({"unreachable": "no answer in 5 s"}, "unreachable: no answer in 5 s"),
    ],
)
def test_a_host_that_takes_no_machines_gets_none_and_is_told(said: dict[str, Any], reason: str) -> None:
    now = a_world(a_labelled_host("h1", "64 GiB", **said), a_labelled_host("h2", "1 GiB"))
    assert place("{web: {image: nano}}", now) == {"web-1": "h2"}
    assert refuse("{web: {image: nano, memory: 2 GiB}}", now).facts == (f"h1  {reason}", "h2  memory: needs 2 GiB, 1 GiB free")


def test_what_a_host_is_counts_too() -> None:
    bare = a_labelled_host("h1", "64 GiB", hypervisors=("qemu",), uefi=False)
    now = a_world(bare, a_labelled_host("h2", "1 GiB"))
    assert place("{web: {image: nano, memory: 128 MiB}}", now) == {"web-1": "h2"}, "auto prefers kvm"
    assert tell("{web: {image: nano, memory: 128 MiB}}", now) == {"web-1": "it has kvm"}
    assert place("{web: {image: nano, memory: 2 GiB}}", now) == {"web-1": "h1"}
    facts = refuse("{web: {image: nano, memory: 2 GiB, hypervisor: kvm}}", now).facts
    assert facts == ("h1  hypervisor: needs kvm, has qemu", "h2  memory: needs 2 GiB, 1 GiB free")
    facts = refuse("{web: {image: nano, memory: 2 GiB, firmware: uefi}}", now).facts
    assert facts[0] == "h1  firmware: needs uefi, has no UEFI firmware (apt-get install ovmf)"


def test_a_cpu_model_needs_a_host_that_can_show_it() -> None:
    old = replace(a_labelled_host("h1", "64 GiB"), cpu_models=("Westmere", "qemu64"))
    new = replace(a_labelled_host("h2", "1 GiB"), cpu_models=("EPYC-Milan", "Westmere", "qemu64"))
    now = a_world(old, new, images=())
    now = replace(now, images=tuple(replace(an_image(), host=name) for name in ("h1", "h2")))
    assert place("{web: {image: nano, cpus: {model: EPYC-Milan}}}", now) == {"web-1": "h2"}
    assert place("{web: {image: nano, cpus: {model: Westmere}}}", now) == {"web-1": "h1"}
    assert place("{web: {image: nano, cpus: {model: host-model}}}", now) == {"web-1": "h1"}
    facts = refuse("{web: {image: nano, memory: 2 GiB, cpus: {model: EPYC-Milan}}}", now).facts
    assert facts == ("h1  processor: needs EPYC-Milan, cannot show it", "h2  memory: needs 2 GiB, 1 GiB free")


def test_ratios_say_how_much_may_be_promised() -> None:
    now = a_world(a_labelled_host("h1", "4 GiB", cpus=2, memory_ratio=1.5, cpu_ratio=2.0))
    assert len(place("{web: {image: nano, count: 4, memory: 1.5 GiB}}", now)) == 4
    assert refuse("{web: {image: nano, count: 5, memory: 1.5 GiB}}", now).facts == ("h1  memory: needs 1.5 GiB, 0 B free",)
    assert refuse("{web: {image: nano, count: 5, memory: 64 MiB}}", now).facts == ("h1  processors: needs 1, 0 left to promise",)


def test_a_host_that_is_alone_promises_as_many_processors_as_its_owner_wants() -> None:
    assert len(place("{web: {image: nano, count: 40, memory: 64 MiB}}", a_world(a_labelled_host("local", cpus=1)))) == 40
    two = a_world(a_labelled_host("h1", cpus=1), a_labelled_host("h2", cpus=1))
    assert refuse("{web: {image: nano, count: 40, memory: 64 MiB}}", two).facts[0] == "h1  processors: needs 1, 0 left to promise"


def test_room_in_the_pool_counts() -> None:
    small = world.Pool("default", "/pool", parse_bytes("10 GiB"), parse_bytes("10 GiB"), overcommit=1.0)
    now = a_world(a_labelled_host("h1", "64 GiB", pool=small), a_labelled_host("h2", "2 GiB"), images=(replace(an_image(), host="h2"),))
    assert place("{web: {image: nano, disk: 12 GiB}}", now) == {"web-1": "h2"}
    facts = refuse("{web: {image: nano, disk: 12 GiB, memory: 4 GiB}}", now).facts
    assert facts[0] == "h1  pool default: needs 12 GiB, 10 GiB left to promise"


def test_a_network_on_a_bridge_needs_a_host_that_has_it() -> None:
    text = "stack: shop\nnetworks: {lan: {access: {bridge: br0}}}\ngroups: {web: {image: nano, networks: [lan], prepare: none}}"
    seen = [world.Foreign(name, switches=rows, cards=("eth0",)) for name, rows in (("h1", (("br0", "bridge"),)), ("h2", ()))]
    now = a_world(a_labelled_host("h1", "1 GiB"), a_labelled_host("h2", "64 GiB"), foreign=tuple(seen))
    assert [wanted.host for wanted in plan_up(load(text), now, NONE).machines.values()] == ["h1"]
    with pytest.raises(NoHost) as caught:
        plan_up(load(text.replace("prepare: none", "prepare: none, memory: 2 GiB")), now, NONE)
    assert caught.value.facts == ("h1  memory: needs 2 GiB, 1 GiB free", "h2  network: needs bridge br0, has none")


def test_a_machine_goes_where_its_volume_was_kept() -> None:
    kept = world.Volume("h3", data_name("shop", "db-1", "data"), parse_bytes("1 GiB"), Bytes(1))
    now = replace(three(), volumes=(kept,))
    group = "{db: {image: nano, volumes: [{name: data, size: 1 GiB, keep: true}]}}"
    assert place(group, now) == {"db-1": "h3"}
    assert tell(group, now) == {"db-1": "its volume is there"}
    gone = replace(now, hosts=tuple(replace(it, unreachable="no answer") if it.name == "h3" else it for it in now.hosts))
    assert refuse(group, gone).facts == (
        "h1  its volume db-1/data is on h3",
        "h2  its volume db-1/data is on h3",
        "h3  unreachable: no answer",
    )


def test_very_many_hosts_with_one_reason_share_a_line() -> None:
    now = a_world(*(a_labelled_host(f"h{n:02}", "1 GiB") for n in range(50)), a_labelled_host("big", "2 GiB"))
    facts = refuse("{web: {image: nano, memory: 4 GiB}}", now).facts
    assert [fact.partition("  ")[2] for fact in facts] == ["memory: needs 4 GiB, 1 GiB free", "memory: needs 4 GiB, 2 GiB free"]
    assert facts[0].startswith("h00 h01 h02 ")
