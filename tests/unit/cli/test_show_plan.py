"""A plan as people read it, and as programs do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.builders import HELLO, a_world, load, settle
from tinycloud.cli.show_plan import format_plan, plan_as_json
from tinycloud.model.plan import Act, Change, Plan, Price, Totals
from tinycloud.plan import plan_down, plan_up

CHANGES = (
    Change(Act.ADD, "network", "front", "10.60.0.0/24, nat", Price.ADD),
    Change(Act.ADD, "machine", "db-1", "1 cpu, 1 GiB", Price.ADD, "on local: only host"),
    Change(Act.CHANGE, "machine", "web-1", "memory 512 MiB → 1 GiB", Price.LIVE),
    Change(Act.CHANGE, "machine", "web-2", "networks front → back", Price.RESTART, "a NIC is unplugged"),
    Change(Act.REMOVE, "machine", "old-1", "with its disk", Price.REMOVE),
    Change(Act.KEEP, "volume", "db-1/data", "20 GiB", Price.LIVE, "stays"),
)
REFUSED = Change(Act.REFUSED, "machine", "db-1", "disk 8 GiB → 4 GiB", Price.REPLACE, "a disk cannot shrink under a machine")


def a_plan(*changes: Change, totals: Totals = Totals(), hosts: tuple[str, ...] = ("local",)) -> Plan:
    return Plan("shop", "up", changes, (), totals=totals, hosts=hosts)


def test_each_change_is_a_line_with_its_sign_its_price_and_its_reason() -> None:
    assert format_plan(a_plan(*CHANGES), "shop.yaml") == [
        "shop  on local  from shop.yaml",
        "  + network  front      10.60.0.0/24, nat",
        "  + machine  db-1       1 cpu, 1 GiB            on local: only host",
        "  ~ machine  web-1      memory 512 MiB → 1 GiB  live",
        "  ~ machine  web-2      networks front → back   restart: a NIC is unplugged",
        "  - machine  old-1      with its disk",
        "  = volume   db-1/data  20 GiB                  stays",
        "2 to add, 2 to change, 1 to remove.",
    ]


def test_what_is_refused_says_which_flag_would_allow_it() -> None:
    assert format_plan(a_plan(CHANGES[2], REFUSED)) == [
        "shop  on local",
        "  ~ machine  web-1  memory 512 MiB → 1 GiB  live",
        "  ! machine  db-1   disk 8 GiB → 4 GiB      replace: a disk cannot shrink under a machine",
        "1 to change, 1 refused without --replace db-1.",
    ]


def test_the_sum_says_what_is_needed_and_what_there_is() -> None:
    totals = Totals(disk_now=3 * 2**20, disk_most=33 * 2**30, disk_free=80 * 2**30, memory=2 * 2**30, memory_free=23 * 2**30)
    assert format_plan(a_plan(CHANGES[0], totals=totals))[-1] == (
        "1 to add. Disk: 3 MiB now, 33 GiB at most, of 80 GiB free. Memory: 2 GiB of 23 GiB free."
    )
    assert format_plan(a_plan(CHANGES[0], totals=replace(totals, disk_free=0)))[-1] == (
        "1 to add. Disk: 3 MiB now, 33 GiB at most. Memory: 2 GiB of 23 GiB free."
    )


def test_a_plan_without_changes_says_so() -> None:
    assert format_plan(a_plan(hosts=())) == ["shop", "nothing to do."]


def test_a_very_long_change_does_not_push_all_others_away() -> None:
    lines = format_plan(a_plan(Change(Act.ADD, "machine", "a-1", "x" * 300, Price.ADD, "here"), CHANGES[1]))
    assert lines[1].endswith(f"{'x' * 300}  here")
    assert len(lines[2]) < 130


@pytest.fixture
def plan() -> Plan:
    return plan_up(load(HELLO), a_world())


def test_a_new_stack_is_shown_with_addresses_and_places(plan: Plan) -> None:
    lines = format_plan(plan, "hello.yaml")
    assert lines[0] == "hello  on local  from hello.yaml"
    assert lines[1].split() == ["+", "network", "front", "10.60.0.0/24,", "nat"]
    machines = [line for line in lines if line.startswith("  + machine")]
    assert [line.split()[2] for line in machines] == ["db-1", "web-1", "web-2"]
    assert "front 10.60.0.11" in machines[0]
    assert lines[-1].startswith("4 to add. Disk: 1.1 MiB now, 384 MiB at most, of 500 GiB free. Memory: 384 MiB of 64 GiB free.")


def test_programs_get_every_change_and_step(plan: Plan) -> None:
    told = json.loads(json.dumps(plan_as_json(plan)))
    assert (told["stack"], told["kind"], told["hosts"]) == ("hello", "up", ["local"])
    assert told["changes"][0] == {
        "act": "+",
        "kind": "network",
        "name": "front",
        "text": "10.60.0.0/24, nat",
        "price": "add",
        "reason": "",
    }
    ids = {step["id"] for step in told["steps"]}
    assert all(set(step["needs"]) <= ids for step in told["steps"]), "no step waits for one that is not there"
    assert told["totals"]["memory"] == 3 * 128 * 2**20


def test_a_secret_stands_in_no_plan() -> None:
    text = HELLO.replace("web: {", "web: {guest: {run: ['echo ${inputs.s}'], users: [{name: a, password: '${inputs.s}'}]}, ")
    loaded = load(f"{text}inputs: {{s: {{type: secret}}}}\noutputs: {{o: '${{inputs.s}}'}}\n", {"s": "hunter2"})
    plan = plan_up(loaded, a_world())
    assert "hunter2" not in json.dumps(plan_as_json(plan))
    assert "hunter2" not in "\n".join(format_plan(plan))
    assert "hunter2" not in repr(plan)
    assert plan.secrets == ("s",)


def test_taking_a_stack_away_is_shown_too(plan: Plan) -> None:
    after = settle(plan, a_world())
    lines = format_plan(plan_down("hello", after))
    assert [line.split()[:3] for line in lines[1:5]] == [
        ["-", "machine", "db-1"],
        ["-", "machine", "web-1"],
        ["-", "machine", "web-2"],
        ["-", "network", "front"],
    ]
    assert lines[-1] == "4 to remove."
