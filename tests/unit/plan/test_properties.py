"""What is true of every plan: it hurts nothing, it comes to an end, and the same input gives the same bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import settle
from tests.simulation import Simulation
from tests.unit.plan.stacks import Doc, a_shared_world, a_wide_world, docs, edits, happenings, load_doc
from tests.unit.plan.views import list_needs, to_bytes
from tinycloud.errors import Refused
from tinycloud.model.machine import make_digest
from tinycloud.plan import Options, plan_down, plan_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.plan import Plan
    from tinycloud.model.world import World

WORLDS = (a_shared_world(), a_wide_world())
ADDS: tuple[str, ...] = ("pool.create", "network.create", "network.update", "disk.create", "disk.copy", "seed.write", "note.write")
ADDS += ("machine.define", "machine.start", "machine.ready", "machine.resume", "machine.live")
REMOVES = ("network.remove", "machine.undefine", "volume.remove")
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass(frozen=True)
class Turn:
    """A file, the world it met, and the plan; and the world before there was any."""

    doc: Doc
    world: World
    plan: Plan
    first: World


def find_plan(doc: Doc, now: World, *replacing: str) -> Plan | None:
    """The plan for a document, None when it is refused as a whole."""
    loaded = load_doc(doc)
    if loaded is None:
        return None
    try:
        return plan_up(loaded, now, Options(frozenset(replacing), make_digest(doc)))
    except Refused:
        return None


def live_through(data: st.DataObject) -> Iterator[Turn]:
    """A file is edited again and again, and things happen to the world; each plan is carried out before the next is made."""
    doc, first = data.draw(docs()), data.draw(st.sampled_from(WORLDS))
    now = first
    for _ in range(data.draw(st.integers(2, 5))):
        now = data.draw(happenings())(now)
        plan = find_plan(doc, now, *data.draw(st.sampled_from(((), ("*",)))))
        if plan is not None:
            yield Turn(doc, now, plan, first)
            now = settle(plan, now)
        doc = data.draw(edits(doc))


# safety


@many
@given(st.data(), st.randoms(use_true_random=False))
def test_steps_can_be_done_in_any_order_that_their_needs_allow(data: st.DataObject, dice: random.Random) -> None:
    """The simulation refuses what a host would: starts without disks, twice the same address, files of a running machine removed."""
    for turn in live_through(data):
        after = Simulation(turn.plan, turn.world).run(dice.randrange)
        assert to_set(after) == to_set(settle(turn.plan, turn.world))


@many
@given(st.data())
def test_nothing_of_another_stack_is_touched(data: st.DataObject) -> None:
    for turn in live_through(data):
        assert neighbours(settle(turn.plan, turn.world)) == neighbours(turn.first)
        assert not [step for step in turn.plan.steps if "neighbour" in str(step.args) or "their-vm" in str(step.args)]
        assert neighbours(settle(plan_down("shop", turn.world, volumes=True), turn.world)) == neighbours(turn.first)


@many
@given(st.data())
def test_nothing_is_removed_before_everything_new_is_there(data: st.DataObject) -> None:
    for turn in live_through(data):
        needs = list_needs(turn.plan)
        added = {step.id for step in turn.plan.steps if step.kind in ADDS}
        for step in turn.plan.steps:
            if step.kind in REMOVES and not is_remade(turn.plan, step.id):
                assert added <= needs[step.id], f"{step.id} comes before {added - needs[step.id]}"


def is_remade(plan: Plan, id: str) -> bool:
    return id.startswith("net:") and id.split(":")[1].partition("@")[0] in plan.networks and id.removesuffix(":remove") in ids(plan)


@many
@given(st.data())
def test_no_data_is_lost_unless_a_flag_allows_it(data: st.DataObject) -> None:
    for turn in live_through(data):
        kept = list_kept(turn.world)
        assert kept <= {volume.name for volume in settle(turn.plan, turn.world).volumes}
        assert kept <= {volume.name for volume in settle(plan_down("shop", turn.world), turn.world).volumes}
        if turn.plan.refused:
            assert turn.plan.steps == ()


@many
@given(st.data())
def test_without_a_flag_no_disk_and_no_network_is_made_anew(data: st.DataObject) -> None:
    for turn in live_through(data):
        plan = find_plan(turn.doc, turn.world)
        assert plan is not None
        after = settle(plan, turn.world)
        for machine in turn.world.stack_machines("shop"):
            now = after.machine_by_ref.get(machine.ref)
            assert now is None or now.mark.disk_volume == machine.mark.disk_volume
        assert not [step.id for step in plan.steps if step.kind == "network.remove" and is_remade(plan, step.id)]


@many
@given(st.data())
def test_machines_keep_their_addresses_and_macs(data: st.DataObject) -> None:
    for turn in live_through(data):
        after = settle(turn.plan, turn.world)
        steady = {
            n.name
            for n in turn.world.stack_networks("shop")
            if n.ref in after.networks_by_ref and not {f"net:{n.name}:remove", f"net:{n.name}@{n.host}:remove"} & ids(turn.plan)
        }
        for machine in turn.world.stack_machines("shop"):
            if (now := after.machine_by_ref.get(machine.ref)) is not None:
                for network in {nic.network for nic in machine.mark.spec.nics}:
                    old, new = (list_nics(it.mark.spec.nics, network, steady) for it in (machine, now))
                    assert new[: len(old)] == old[: len(new)]


@many
@given(st.data())
def test_a_machine_that_is_as_declared_is_left_alone(data: st.DataObject) -> None:
    for turn in live_through(data):
        touched = {step.args["machine"] for step in turn.plan.steps if "machine" in step.args}
        changed = {f"shop/{change.name}" for change in turn.plan.changes if change.kind == "machine"}
        assert touched <= changed


# liveness


@many
@given(st.data())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(data: st.DataObject) -> None:
    for turn in live_through(data):
        if not turn.plan.refused:
            again = find_plan(turn.doc, settle(turn.plan, turn.world))
            assert again is not None
            assert again.changes == ()
            assert again.steps == ()


@many
@given(st.data(), st.booleans())
def test_down_takes_everything_away_but_what_is_kept(data: st.DataObject, volumes: bool) -> None:
    for turn in live_through(data):
        plan = plan_down("shop", turn.world, volumes=volumes)
        after = settle(plan, turn.world)
        left = {volume.name for _, volume in after.stack_volumes("shop")}
        assert after.stack_machines("shop") == ()
        assert after.stack_networks("shop") == ()
        assert not left if volumes else left == list_kept(turn.world)
        again = plan_down("shop", after, volumes=volumes)
        assert again.steps == ()
        assert again.is_empty


# stability


@many
@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_keys_and_of_what_was_found_changes_nothing(data: st.DataObject, dice: random.Random) -> None:
    for turn in live_through(data):
        other = find_plan(shuffle_keys(turn.doc, dice), shuffle_world(turn.world, dice), *(["*"] if not turn.plan.refused else []))
        same = find_plan(turn.doc, turn.world, *(["*"] if not turn.plan.refused else []))
        assert other is not None
        assert same is not None
        assert to_bytes(other) == to_bytes(same)
        down = plan_down("shop", shuffle_world(turn.world, dice))
        assert to_bytes(down) == to_bytes(plan_down("shop", turn.world))


# words of these tests


def to_set(now: World) -> tuple[frozenset[Any], ...]:
    return frozenset(now.machines), frozenset(now.networks), frozenset(now.volumes), frozenset(now.hosts)


def neighbours(now: World) -> tuple[Any, ...]:
    volumes = tuple(volume for _, volume in now.stack_volumes("neighbour"))
    return now.stack_machines("neighbour"), now.stack_networks("neighbour"), volumes, now.foreign, now.images


def ids(plan: Plan) -> set[str]:
    return {step.id for step in plan.steps}


def list_kept(now: World) -> set[str]:
    """Data volumes that nobody may remove: marked keep, or left behind by a machine that is gone."""
    going = {m.mark.data_volume(v.name) for m in now.stack_machines("shop") for v in m.mark.spec.volumes if not v.keep}
    return {volume.name for name, volume in now.stack_volumes("shop") if name.is_data and volume.name not in going}


def list_nics(nics: tuple[Any, ...], network: str, steady: set[str]) -> list[Any]:
    """What must stay of the NICs in a network: the MAC, and the address unless the network is made anew."""
    return [(nic.mac, nic.address if network in steady else None) for nic in nics if nic.network == network]


def shuffle_keys(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        dice.shuffle(keys)
        return {key: shuffle_keys(value[key], dice) for key in keys}
    return [shuffle_keys(item, dice) for item in value] if isinstance(value, list) else value


def shuffle_world(now: World, dice: random.Random) -> World:
    def mix(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dice.sample(items, len(items)))

    return replace(
        now,
        machines=mix(now.machines),
        networks=mix(tuple(replace(n, reservations=mix(n.reservations)) for n in now.networks)),
        volumes=mix(now.volumes),
        images=mix(now.images),
        foreign=mix(now.foreign),
    )
