"""The processor that a machine sees: one that every host has where there are several, and never another one under a machine that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import a_host, a_world, load, settle
from tinycloud.model.world import World
from tinycloud.plan import Options, plan_up
from tinycloud.templates.domain import make_machine, render_domain
from tinycloud.templates.xml import read_processor

TEXT = "stack: s\ngroups: {a: {image: nano, memory: 128 MiB%s}}\n"
COMMON = "EPYC +umip -vme"
TWO = (a_host("local"), a_host("two"))


def plan(world: World, more: str = "") -> Any:
    return plan_up(load(TEXT % more), world, Options(spare="0"))


def processor(world: World, more: str = "") -> str:
    (machine,) = settle(plan(world, more), world).machines
    return machine.mark.spec.processor


def emulated(world: World) -> World:
    return replace(world, hosts=tuple(replace(host, hypervisors=("qemu",)) for host in world.hosts))


def test_on_a_single_host_it_is_the_hosts_own() -> None:
    assert processor(a_world(processor=COMMON)) == ""
    assert processor(emulated(a_world())) == ""


def test_on_several_it_is_what_all_of_them_can_show() -> None:
    assert processor(a_world(*TWO, processor=COMMON)) == COMMON
    assert processor(emulated(a_world(*TWO))) == "Nehalem"


def test_where_they_have_nothing_in_common_it_is_the_hosts_own() -> None:
    assert processor(a_world(*TWO)) == ""


def test_what_the_file_says_counts() -> None:
    assert processor(a_world(*TWO, processor=COMMON), ", cpus: {model: host-passthrough}") == ""


@pytest.mark.parametrize("state", ["running", "paused", "unreachable"])
def test_a_machine_that_runs_keeps_its_processor_when_hosts_come(state: str) -> None:
    before = settle(plan(a_world()), a_world())
    now = replace(before, hosts=TWO, processor=COMMON, machines=tuple(replace(it, state=state) for it in before.machines))
    assert plan(now).is_empty


def test_one_that_is_off_gets_it_with_the_next_up() -> None:
    before = settle(plan(a_world()), a_world())
    now = replace(before, hosts=TWO, processor=COMMON, machines=tuple(replace(it, state="stopped") for it in before.machines))
    after = settle(plan(now), now)
    assert after.machines[0].mark.spec.processor == COMMON


def test_one_that_has_such_a_processor_keeps_it_whatever_hosts_come_and_go() -> None:
    first = a_world(*TWO, processor=COMMON)
    before = settle(plan(first), first)
    assert plan(replace(before, processor="Haswell")).is_empty
    off = replace(before, processor="", machines=tuple(replace(it, state="stopped") for it in before.machines))
    assert settle(plan(off), off).machines[0].mark.spec.processor == COMMON


def test_libvirt_is_told_the_model_and_what_it_has_more_and_less() -> None:
    wanted = plan(a_world(*TWO, processor=COMMON)).machines["s/a-1"]
    xml = render_domain(wanted, "x86_64", "/pool", {})
    assert "<cpu mode='custom'" in xml.replace('"', "'")
    facts = make_machine(wanted.mark, "x86_64", "/pool")
    assert facts["cpu_model"] == "EPYC"
    assert facts["cpu_features"] == [{"name": "umip", "policy": "require"}, {"name": "vme", "policy": "disable"}]


def test_libvirts_description_becomes_a_few_words() -> None:
    text = """<cpu mode="custom" match="exact"><model fallback="forbid">EPYC</model><vendor>AMD</vendor>
      <feature policy="require" name="umip"/><feature policy="disable" name="vme"/></cpu>"""
    assert read_processor(text) == COMMON
