"""Balance, pack and drain: what is proposed, in which order, why, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_labelled_host, a_world, inhabit, load
from tests.unit.plan.placing.clouds import carry_out
from tinycloud.errors import NotFound
from tinycloud.model import world
from tinycloud.model.balance import Balance
from tinycloud.model.load import MachineLoad
from tinycloud.model.units import Bytes
from tinycloud.plan import Options, plan_up
from tinycloud.plan.balance import plan_balance, plan_drain, plan_pack


def hosts(*memory: str) -> world.World:
    return a_world(*(a_labelled_host(f"h{n}", size) for n, size in enumerate(memory, 1)))


def put(groups: str, now: world.World, where: dict[str, str]) -> world.World:
    """Machines of a stack, on the hosts that are named: ``{"web": "h1"}`` for a group, ``{"web-2": "h1"}`` for one machine."""
    made = inhabit(plan_up(load(f"stack: shop\ngroups: {groups}"), empty_rules(now), Options(spare="0")), now)
    machines = [replace(it, host=where.get(it.mark.machine, where.get(it.mark.group, it.host))) for it in made.machines]
    return replace(made, machines=tuple(machines), volumes=())


def empty_rules(now: world.World) -> world.World:
    """The same hosts with room for anything: where machines are is said by hand."""
    return replace(now, hosts=tuple(replace(it, memory=Bytes(it.memory * 9), memory_free=Bytes(it.memory * 9)) for it in now.hosts))


def say(found: Balance) -> list[str]:
    return [f"{move.machine} {move.source} → {move.target}: {move.reason}" for move in found.moves]


def test_machines_go_from_the_full_host_to_the_empty_one() -> None:
    now = put("{web: {image: nano, count: 4, memory: 1 GiB}}", hosts("8 GiB", "8 GiB"), {"web": "h1"})
    found = plan_balance(now)
    assert say(found) == [
        "shop/web-1 h1 → h2: memory h1 50% → 38%, h2 0% → 12%",
        "shop/web-2 h1 → h2: memory h1 38% → 25%, h2 12% → 25%",
    ]
    assert [(it.host, it.machines) for it in found.hosts] == [("h1", (4, 2)), ("h2", (0, 2))]
    assert found.score[1] < found.score[0]
    assert found.cost == 2 * 1024**3
    assert plan_balance(carry_out(now, found)).moves == ()


def test_what_is_even_enough_is_left_alone() -> None:
    now = put("{web: {image: nano, count: 5, memory: 128 MiB}}", hosts("64 GiB", "64 GiB"), {"web": "h1"})
    assert plan_balance(now).moves == ()
    assert len(plan_balance(now, price=0.0).moves) == 2


def test_measured_load_counts_and_not_only_what_was_promised() -> None:
    now = put(
        "{web: {image: nano, count: 4, memory: 512 MiB}}",
        hosts("64 GiB", "64 GiB"),
        {"web-1": "h1", "web-2": "h1", "web-3": "h2", "web-4": "h2"},
    )
    assert plan_balance(now).moves == ()
    busy = replace(
        now,
        loads=(
            *(MachineLoad(f"shop/web-{n}", cpu=3.0, steal=0.5) for n in (1, 2)),
            *(MachineLoad(f"shop/web-{n}", cpu=0.1) for n in (3, 4)),
        ),
    )
    found = plan_balance(busy)
    assert len(found.moves) == 1
    assert found.moves[0].machine in ("shop/web-1", "shop/web-2")
    assert found.moves[0].reason.startswith("processors h1 88% → 44%, h2 3% → ")


def test_traffic_counts_too() -> None:
    now = put("{web: {image: nano, count: 2, memory: 512 MiB}}", hosts("64 GiB", "64 GiB"), {"web": "h1"})
    loads = tuple(MachineLoad(f"shop/web-{n}", disk=4e8, net=4e8) for n in (1, 2))
    assert plan_balance(now).moves == ()
    assert len(plan_balance(replace(now, loads=loads)).moves) == 1


def test_a_machine_where_it_must_not_be_goes_first_whatever_it_costs() -> None:
    now = a_world(a_labelled_host("h1", "64 GiB", rack="a"), a_labelled_host("h2", "8 GiB", rack="b"))
    now = put("{web: {image: nano, memory: 1 GiB, on: {rack: b}}, db: {image: nano, memory: 16 GiB}}", now, {"web": "h1", "db": "h1"})
    found = plan_balance(now)
    assert say(found)[0] == 'shop/web-1 h1 → h2: label rack is "a", needs "b"'
    assert found.broken == (1, 0)


def test_two_that_must_not_share_a_host_are_parted_and_two_that_must_are_joined() -> None:
    now = hosts("8 GiB", "8 GiB", "8 GiB")
    apart = put("{web: {image: nano, count: 2, spread: {over: host, must: true}}}", now, {"web": "h1"})
    (move,) = plan_balance(apart).moves
    assert (move.source, move.reason) == ("h1", "spread: a machine of web is on it")
    joined = put("{db: {image: nano}, web: {image: nano, count: 2, together: [db]}}", now, {"db": "h1", "web": "h2"})
    found = plan_balance(joined)
    assert len({machine.host for machine in carry_out(joined, found).machines}) == 1
    assert found.broken[1] == 0


def test_a_full_pair_is_exchanged_by_way_of_a_third_host() -> None:
    now = a_world(
        a_labelled_host("h1", "4 GiB", rack="a"), a_labelled_host("h2", "4 GiB", rack="b"), a_labelled_host("h3", "5 GiB", rack="c")
    )
    now = put(
        "{app: {image: nano, memory: 4 GiB, on: {rack: b}}, web: {image: nano, memory: 4 GiB, on: {rack: a}}}",
        now,
        {"app": "h1", "web": "h2"},
    )
    found = plan_balance(now)
    assert found.broken == (2, 2), "neither may wait on h3, where rules forbid both"
    assert found.stuck.keys() == {"shop/app-1", "shop/web-1"}
    free = replace(
        now,
        machines=tuple(
            replace(
                it,
                mark=replace(it.mark, spec=replace(it.mark.spec, placing=replace(it.mark.spec.placing, on=())))
                if it.mark.group == "web"
                else it.mark,
            )
            for it in now.machines
        ),
    )
    found = plan_balance(free)
    assert [(move.machine, move.target) for move in found.moves] == [("shop/web-1", "h3"), ("shop/app-1", "h2")]
    assert found.broken == (1, 0)


def test_no_more_machines_are_moved_than_one_wants() -> None:
    now = put("{web: {image: nano, count: 8, memory: 1 GiB}}", hosts("16 GiB", "16 GiB"), {"web": "h1"})
    whole, few = plan_balance(now), plan_balance(now, most=2)
    assert (len(whole.moves), len(few.moves)) == (4, 2)
    assert whole.score[1] < few.score[1] < few.score[0] == whole.score[0]
    assert plan_balance(now, fixed=["shop/web-1", "shop/web-2"]).moves[0].machine == "shop/web-3"


def test_what_is_on_a_host_that_does_not_answer_stays_and_what_is_on_a_drained_one_goes() -> None:
    now = put("{web: {image: nano, count: 4, memory: 1 GiB}}", hosts("8 GiB", "8 GiB", "8 GiB"), {"web": "h1"})
    gone = replace(now, hosts=(replace(now.hosts[0], unreachable="no answer"), *now.hosts[1:]))
    assert plan_balance(gone).moves == ()
    drained = replace(now, hosts=(replace(now.hosts[0], entry=replace(now.hosts[0].entry, drained=1.0)), *now.hosts[1:]))
    found = plan_balance(drained)
    assert {move.reason for move in found.moves} == {"drained"}
    assert found.hosts[0].machines == (4, 0)


def test_the_reserve_is_not_given_up_for_evenness() -> None:
    now = put(
        "{big: {image: nano, memory: 7 GiB}, web: {image: nano, count: 4, memory: 2 GiB}}",
        hosts("16 GiB", "8 GiB", "8 GiB"),
        {"big": "h2", "web": "h1"},
    )
    found = plan_balance(now)
    assert found.safe == (True, True)


def test_a_drain_moves_everything_also_what_is_off_and_makes_room_where_there_is_none() -> None:
    now = put("{web: {image: nano, count: 2, memory: 1 GiB}, old: {image: nano}}", hosts("8 GiB", "8 GiB"), {"web": "h1", "old": "h1"})
    now = replace(now, machines=tuple(replace(it, state="stopped") if it.mark.group == "old" else it for it in now.machines))
    found = plan_drain(now, "h1")
    assert {(move.machine, move.target, move.running) for move in found.moves} == {
        ("shop/web-1", "h2", True),
        ("shop/web-2", "h2", True),
        ("shop/old-1", "h2", False),
    }
    assert {move.reason for move in found.moves} == {"drained"}
    tight = put(
        "{app: {image: nano, memory: 6 GiB}, db: {image: nano, memory: 3 GiB}}", hosts("8 GiB", "8 GiB", "4 GiB"), {"app": "h1", "db": "h2"}
    )
    assert say(plan_drain(tight, "h1")) == ["shop/db-1 h2 → h3: makes room", "shop/app-1 h1 → h2: drained"]


def test_what_a_drain_cannot_move_is_told_with_each_hosts_reason() -> None:
    now = put("{db: {image: nano, memory: 4 GiB}, pin: {image: nano, on: {host: h1}}}", hosts("8 GiB", "2 GiB"), {"db": "h1", "pin": "h1"})
    found = plan_drain(now, "h1")
    assert found.moves == ()
    assert found.stuck == {
        "shop/db-1": ("h2  memory: needs 4 GiB, 2 GiB free",),
        "shop/pin-1": ('h2  label host is "h2", needs "h1"',),
    }
    with pytest.raises(NotFound):
        plan_drain(now, "h9")


def test_packing_empties_hosts_as_far_as_the_reserve_allows() -> None:
    now = put(
        "{web: {image: nano, count: 4, memory: 1 GiB}}",
        hosts("8 GiB", "8 GiB", "8 GiB", "8 GiB"),
        {f"web-{n}": f"h{n}" for n in (1, 2, 3, 4)},
    )
    kept = plan_pack(now)
    assert {move.reason for move in kept.moves} == {"empties its host"}
    assert sum(it.machines[1] == 0 for it in kept.hosts) == 2
    assert sum(it.machines[1] == 0 for it in plan_pack(now, spare=False).hosts) == 3
    assert plan_pack(carry_out(now, kept)).moves == ()
