"""What becomes of the machines of a host that is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_host, a_world, load, settle
from tinycloud.errors import NoHost, Refused
from tinycloud.model import world
from tinycloud.model.host import HostEntry
from tinycloud.model.plan import Act
from tinycloud.model.pool import Source
from tinycloud.model.units import Bytes
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.plan.healing import Way, is_surely_off, list_fates

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan
    from tinycloud.model.world import World

STACK = """
stack: shop
networks: {{front: {{subnet: 10.60.0.0/24}}}}
groups:
  web: {{count: 3, image: nano, memory: 128 MiB, networks: [front], spread: {{over: host, must: true}}{words}}}
"""
DISPOSABLE = ", recover: restart, disposable: true"
ON_SHARED = ", recover: restart, pool: common"


def some_hosts(*names: str, **changes: object) -> World:
    gib = 1024**3
    common = world.Pool("common", "/common", Bytes(1024 * gib), Bytes(512 * gib), source=Source("dir", "/common", shared="a-folder"))
    hosts = [a_host(name, address=f"198.18.0.{n}", more_pools=(common,)) for n, name in enumerate(names, start=1)]
    return a_world(*hosts, **changes)


def bring(words: str = DISPOSABLE, *names: str) -> World:
    """The stack on three hosts and one to spare, a machine on each."""
    now = some_hosts(*(names or ("h1", "h2", "h3", "h4")))
    return see_shared(settle(plan_up(load(STACK.format(words=words)), now, Options(spare="0")), now))


def see_shared(now: World) -> World:
    """What is in the common pool is seen by each host."""
    own = [volume for volume in now.volumes if volume.pool != "common"]
    common = {volume.name: volume for volume in now.volumes if volume.pool == "common"}.values()
    return replace(now, volumes=(*own, *(replace(volume, host=host.name) for host in now.hosts for volume in common)))


def silence(now: World, *names: str, fenced: float = 0.0, state: str = "unreachable") -> World:
    """The world in which these hosts do not answer; ``fenced``: and are known to be off."""
    hosts = tuple(_silence(host, fenced) if host.name in names else host for host in now.hosts)
    return replace(now, hosts=hosts, machines=tuple(replace(it, state=state) if it.host in names else it for it in now.machines))


def _silence(host: world.Host, fenced: float) -> world.Host:
    return replace(host, unreachable="it did not answer", entry=replace(host.entry, fenced=fenced))


def fence(now: World, *names: str) -> World:
    return silence(now, *names, fenced=1.0)


def drop(now: World, host: str) -> World:
    """Without what is on a host: nothing happens there."""
    left = {word: tuple(it for it in getattr(now, word) if it.host != host) for word in ("machines", "volumes", "networks")}
    return replace(now, **left)  # type: ignore[arg-type]


def plan(now: World, words: str = DISPOSABLE, **options: object) -> Plan:
    return plan_up(load(STACK.format(words=words)), now, Options(spare="0", **options))  # type: ignore[arg-type]


def home_of(now: World, machine: str) -> str:
    return now.machine_by_ref[f"shop/{machine}"].host


def steps_of(made: Plan, machine: str) -> list[str]:
    return [step.kind for step in made.steps if step.subject == machine]


def find_line(made: Plan, machine: str) -> str:
    return next(f"{change.act} {change.text}" for change in made.changes if change.name == machine)


def test_a_machine_on_a_silent_host_is_left_alone_and_the_plan_says_why() -> None:
    now = bring()
    host = home_of(now, "web-2")
    made = plan(silence(now, host))
    assert made.steps == ()
    assert find_line(made, "web-2") == f"= left alone: {host} does not answer, and is not known to be off"


def test_a_disposable_machine_of_a_fenced_host_is_made_anew_on_another_with_the_same_address() -> None:
    now = bring()
    old = now.machine_by_ref["shop/web-2"]
    made = plan(fence(now, old.host))
    assert {step.subject for step in made.steps if step.kind == "machine.start"} == {"web-2"}
    assert "disk.create" in steps_of(made, "web-2")
    wanted = made.machines["shop/web-2"]
    assert wanted.host == ({"h1", "h2", "h3", "h4"} - {machine.host for machine in now.machines}).pop()
    assert wanted.mark.generation == old.mark.generation + 1
    assert wanted.mark.spec.nics == old.mark.spec.nics
    assert f"was on {old.host}, made anew from its image" in find_line(made, "web-2")
    assert all(step.host != old.host for step in made.steps)


def test_a_machine_on_shared_storage_starts_elsewhere_with_the_disk_that_it_has() -> None:
    now = bring(ON_SHARED)
    old = now.machine_by_ref["shop/web-1"]
    made = plan(fence(now, old.host), ON_SHARED)
    [disk] = [step for step in made.steps if step.kind == "disk.create"]
    assert (disk.args["volume"], disk.args["pool"]) == (old.mark.disk_volume, "common")
    wanted = made.machines["shop/web-1"]
    assert replace(wanted.mark, generation=old.mark.generation) == old.mark
    assert "with its disks as they are" in find_line(made, "web-1")


def test_what_comes_back_leaves_nothing_to_do() -> None:
    for words in (DISPOSABLE, ON_SHARED):
        dead = fence(bring(words), "h1")
        after = see_shared(settle(plan(dead, words), drop(dead, "h1")))
        assert after.machine_by_ref["shop/web-1"].host != "h1"
        after = replace(after, networks=(*after.networks, *(it for it in dead.networks if it.host == "h1")))
        assert plan(after, words).is_empty


def test_a_machine_without_recover_waits_for_its_host() -> None:
    now = fence(bring(", disposable: true"), "h1")
    [fate] = list_fates(now)
    assert (fate.way, fate.reason) == (Way.STAYS, "its group does not say recover: restart")


def test_a_machine_whose_disk_only_its_host_has_waits_for_it() -> None:
    [fate] = list_fates(fence(bring(", recover: restart"), "h1"))
    assert (fate.way, fate.reason) == (Way.STAYS, "its disk is on h1 alone")


def test_a_shared_pool_whose_disk_no_other_host_sees_proves_nothing() -> None:
    now = fence(bring(ON_SHARED), "h1")
    hidden = replace(now, volumes=tuple(volume for volume in now.volumes if volume.host == "h1"))
    [fate] = list_fates(hidden)
    assert (fate.way, fate.reason) == (Way.STAYS, "its disk is not seen in pool common of h2")


def test_folders_of_one_name_that_are_not_proven_to_be_one_are_not_shared() -> None:
    now = fence(bring(ON_SHARED), "h1")
    own = tuple(replace(pool, source=Source("dir", "/common", shared="another")) for pool in now.hosts[0].more_pools)
    [fate] = list_fates(replace(now, hosts=(replace(now.hosts[0], more_pools=own), *now.hosts[1:])))
    assert fate.reason == "its disk is on h1 alone"


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        (Source("nfs", "/a", "/export", ("nas",)), Source("nfs", "/b", "/export", ("nas",)), True),
        (Source("nfs", "/a", "/export", ("nas",)), Source("nfs", "/a", "/other", ("nas",)), False),
        (Source("nfs", "/a"), Source("nfs", "/a"), False),
        (Source("dir", "/a"), Source("dir", "/a"), False),
        (Source("dir", "/a", shared="x"), Source("dir", "/b", shared="x"), True),
        (Source("rbd", name="vms", hosts=("mon",)), Source("rbd", name="vms", hosts=("mon",)), True),
        (Source("lvm", "/dev/vg", "vg"), Source("lvm", "/dev/vg", "vg"), False),
    ],
)
def test_pools_of_two_hosts_are_the_same_where_their_sources_prove_it(here: Source, there: Source, same: bool) -> None:
    assert here.is_same(there) == there.is_same(here) == same


def test_a_machine_whose_image_went_with_the_host_says_so() -> None:
    now = fence(bring(), "h1")
    gone = replace(now, images=tuple(image for image in now.images if image.host == "h1"))
    [fate] = list_fates(gone)
    assert fate.reason.startswith("image nano ")
    assert fate.reason.endswith(" is on h1 alone")


def test_a_fenced_host_that_answers_and_runs_the_machine_keeps_it() -> None:
    now = fence(bring(), "h1")
    answering = replace(now.hosts[0], unreachable="")
    awake = replace(now, hosts=(answering, *now.hosts[1:]), machines=tuple(replace(it, state="running") for it in now.machines))
    [fate] = list_fates(awake)
    assert (fate.way, fate.reason) == (Way.STAYS, "h1 is fenced, and runs it")
    off = replace(awake, machines=tuple(replace(it, state="stopped") for it in awake.machines))
    assert [fate.way for fate in list_fates(off)] == [Way.ANEW]


def test_only_what_is_meant_is_changed() -> None:
    now = bring()
    dead, stopped = home_of(now, "web-1"), home_of(now, "web-3")
    off = replace(now, machines=tuple(replace(it, state="stopped") if it.host == stopped else it for it in now.machines))
    made = plan(fence(off, dead), only=frozenset({"shop/web-1"}))
    assert made.kind == "heal"
    assert {step.subject for step in made.steps if step.kind.startswith("machine.")} == {"web-1"}


def test_a_machine_that_nobody_has_room_for_names_each_host() -> None:
    dead = fence(bring(DISPOSABLE, "h1", "h2", "h3"), "h1")
    [lost] = {it.ref for it in dead.machines if it.host == "h1"}
    with pytest.raises(NoHost) as caught:
        plan(dead, only=frozenset({lost}))
    assert any((fact.startswith("h1") and "fenced" in fact) or "unreachable" in fact for fact in caught.value.facts)
    assert any("spread: a machine of web is on it" in fact for fact in caught.value.facts)
    made = plan(dead)
    assert list(made.stranded) == [lost], "an up does without it"
    assert all(fact.split(None, 1)[1] in made.stranded[lost] for fact in caught.value.facts)
    assert not [step for step in made.steps if step.kind.startswith("machine.")]


def test_nothing_is_added_while_nobody_ever_saw_what_a_silent_host_has() -> None:
    never = replace(a_host("h9"), memory=Bytes(0), memory_free=Bytes(0), unreachable="no answer", pool=None)
    now = a_world(a_host("h1", address="198.18.0.1"), never)
    text = STACK.format(words="").replace("count: 3", "count: 1")
    with pytest.raises(Refused) as caught:
        plan_up(load(text), now)
    assert caught.value.kind == "unseen-host"
    assert caught.value.hint == "when it is off for sure: tinycloud host fence h9 --confirm"
    off = replace(never, entry=HostEntry("h9", fenced=1.0))
    assert plan_up(load(text), replace(now, hosts=(now.hosts[0], off))).steps


def test_a_down_leaves_alone_what_does_not_answer_and_says_so() -> None:
    now = bring()
    made = plan_down("shop", silence(now, "h1"))
    assert all(step.host != "h1" for step in made.steps)
    assert [change.text for change in made.changes if change.act is Act.KEEP] == ["left alone: h1 does not answer"]


STATES = st.sampled_from(["well", "silent", "fenced and silent", "fenced and running", "fenced and off"])


@given(st.lists(STATES, min_size=4, max_size=4), st.sampled_from([DISPOSABLE, ON_SHARED, "", ", recover: restart"]), st.booleans())
@settings(max_examples=60)
def test_no_machine_is_planned_to_start_while_its_old_host_may_run_it(states: list[str], words: str, some: bool) -> None:
    now = _BROUGHT.setdefault(words, bring(words))
    for name, state in zip(("h1", "h2", "h3", "h4"), states, strict=True):
        now = _put(now, name, state)
    only = frozenset(machine.ref for machine in now.machines) if some else None
    try:
        made = plan(now, words, only=only)
    except Refused:
        return
    for step in made.steps:
        if step.kind not in ("machine.start", "machine.define", "machine.resume", "machine.live"):
            continue
        old = now.machine_by_ref[step.args["machine"]]
        home = now.host_by_name[old.host]
        assert is_surely_off(now, old) or (step.host == old.host and not home.unreachable and not home.entry.fenced)
        assert now.host_by_name[step.host].takes


_BROUGHT: dict[str, World] = {}


def _put(now: World, name: str, state: str) -> World:
    if state == "well":
        return now
    after = silence(
        now,
        name,
        fenced=float("fenced" in state),
        state={"fenced and running": "running", "fenced and off": "stopped"}.get(state, "unreachable"),
    )
    if state in ("fenced and running", "fenced and off"):
        hosts = tuple(replace(host, unreachable="") if host.name == name else host for host in after.hosts)
        return replace(after, hosts=hosts)
    return after
