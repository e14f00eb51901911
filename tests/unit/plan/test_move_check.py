"""What is in the way of a move, said all at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import a_host, a_world, an_image, load, settle
from tinycloud.errors import Refused
from tinycloud.model import world
from tinycloud.model.host import HostEntry
from tinycloud.model.move import Abilities, Traits, Way
from tinycloud.model.pool import Source
from tinycloud.model.units import Bytes, parse_bytes
from tinycloud.plan import plan_up
from tinycloud.plan.move_check import Ask, check_target, choose_way, list_obstacles, refuse
from tinycloud.plan.move_disks import Fate, list_moving

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups:
  web: {image: nano, memory: 1 GiB, networks: [front], firmware: uefi, volumes: [{name: data, size: 1 GiB}]}
"""


def two_hosts(**other: Any) -> world.World:
    """``shop/web-1`` runs on a; b is like it, but for ``other``."""
    a, b = (a_host(name, entry=HostEntry(name, address=f"10.0.0.{n}")) for n, name in enumerate("ab", 1))
    empty = a_world(a, b, images=tuple(replace(an_image(), host=name) for name in "ab"))
    made = settle(plan_up(load(STACK), empty), empty)
    return replace(made, hosts=(a, replace(b, **other)))


def ask(made: world.World | None = None, **changes: Any) -> Ask:
    made = made or two_hosts()
    (machine,) = made.machines
    traits = Traits("pc-q35-7.2", "<cpu/>", "custom")
    here = Abilities("1", 9000000, 7002000, frozenset({"pc-q35-7.2"}))
    return replace(Ask(made, machine, made.host_by_name["b"], Way.LIVE, traits, here, replace(here, id="2")), **changes)


def test_nothing_is_in_the_way_between_equal_hosts() -> None:
    assert list_obstacles(ask()) == []


def change_machine(**changes: Any) -> Ask:
    it = ask()
    return replace(it, machine=replace(it.machine, **changes))


THERE = Abilities("2", 9000000, 7002000, frozenset({"pc-q35-7.2"}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: ask(two_hosts(memory_free=Bytes(1024))), "memory      needs 1 GiB, 1 KiB free"),
        (lambda: ask(two_hosts(uefi=False)), "firmware    needs uefi, b has no UEFI firmware"),
        (lambda: ask(two_hosts(arch="aarch64")), "cpu         a is x86_64, b is aarch64"),
        (lambda: ask(two_hosts(hypervisors=())), "hypervisor  needs kvm, b has none"),
        (lambda: ask(two_hosts(entry=HostEntry("b"))), "address     nobody knows the address of b"),
        (lambda: ask(two_hosts(pool=replace(a_host().pools[0], free=Bytes(0), name="default"))), "pool default of b has 0 B free"),
        (lambda: ask(cpu_fits=False), "cpu         the processor of b lacks something"),
        (lambda: ask(traits=Traits("pc-q35-7.2", "", "maximum"), there=replace(THERE, emulator=8000000)), "its model is maximum"),
        (
            lambda: ask(there=replace(THERE, types=frozenset({"pc"}))),
            "machine     its type is pc-q35-7.2, which the QEMU of b does not know",
        ),
        (lambda: ask(there=replace(THERE, emulator=6002000)), "version     QEMU 7.2.0 → 6.2.0"),
        (lambda: ask(there=replace(THERE, libvirt=8000000)), "version     libvirt 9.0.0 → 8.0.0"),
        (lambda: ask(there=replace(THERE, clock=-60.0)), "clock       b is 60 s behind a"),
        (lambda: ask(there=replace(THERE, id="1")), "host        a and b are the same server"),
        (lambda: ask(traits=Traits("pc-q35-7.2", tied=("a device of the host (hostdev)",))), "device      a device of the host (hostdev)"),
        (lambda: ask(traits=Traits("pc-q35-7.2", sources=("/srv/own.img",))), "disk        /srv/own.img is nothing that this cloud made"),
        (lambda: ask(ties=("2 snapshots",)), "state       2 snapshots"),
        (lambda: ask(blocked="nobody answers"), "ports       a does not reach 10.0.0.2, ports 49152-49215 of tcp: nobody answers"),
        (lambda: change_machine(state="paused", reason="no space"), "state       it is paused: no space"),
    ],
)
def test_what_is_in_the_way_is_named(given: Any, words: str) -> None:
    assert [line for line in list_obstacles(given()) if words in line], list_obstacles(given())


def test_all_of_it_is_said_at_once() -> None:
    it = ask(two_hosts(uefi=False, memory_free=Bytes(0)), ties=("a saved state",), blocked="a firewall")
    assert len(list_obstacles(it)) == 4
    failure = refuse(it.machine, "b", list_obstacles(it))
    assert (failure.kind, failure.message, len(failure.facts)) == ("cannot-move", "shop/web-1 cannot move to b", 4)


def test_one_that_is_off_needs_neither_the_way_nor_memory_nor_a_processor() -> None:
    it = ask(two_hosts(memory_free=Bytes(0), entry=HostEntry("b")), way=Way.COLD, there=replace(THERE, emulator=6002000, clock=99.0))
    assert list_obstacles(it) == []


@pytest.mark.parametrize(
    ("target", "other", "words"),
    [
        ("a", {}, "it is on a already"),
        ("b", {"unreachable": "no route"}, "b does not answer: no route"),
        ("b", {"entry": HostEntry("b", drained=1.0)}, "b is drained"),
        ("b", {"entry": HostEntry("b", fenced=1.0)}, "b is fenced"),
    ],
)
def test_a_host_that_takes_no_machines_is_not_even_asked(target: str, other: dict[str, Any], words: str) -> None:
    made = two_hosts(**other)
    assert any(words in line for line in check_target(made, made.machines[0], target))


def test_a_volume_that_is_there_already_is_not_written_over() -> None:
    made = two_hosts()
    name = made.machines[0].mark.disk_volume
    made = replace(made, volumes=(*made.volumes, world.Volume("b", name, Bytes(1), Bytes(1))))
    assert any(f"{name} is on b already" in line for line in list_obstacles(ask(made)))


def test_a_copy_that_is_left_over_is_said() -> None:
    made = two_hosts()
    made = replace(made, leftovers=(replace(made.machines[0], host="b"),))
    assert any("a copy of it that is left over" in line for line in list_obstacles(ask(made)))


def test_somebody_elses_domain_of_that_name_is_in_the_way() -> None:
    made = replace(two_hosts(), foreign=(world.Foreign("b", domains=("shop-web-1",)),))
    assert any("has a domain shop-web-1 that is not ours" in line for line in list_obstacles(ask(made)))


def test_disks_are_streamed_from_one_that_runs_and_copied_from_one_that_is_off() -> None:
    made = two_hosts()
    (machine,) = made.machines
    off = replace(machine, state="stopped")
    fates = [[it.fate for it in list_moving(made, which, made.host_by_name["b"])] for which in (machine, off)]
    assert fates == [[Fate.STREAM, Fate.COPY, Fate.STREAM], [Fate.COPY, Fate.COPY, Fate.COPY]]


@pytest.mark.parametrize(
    ("there", "fate"),
    [
        (Source("nfs", "/elsewhere", "/export", ("nas",)), Fate.SHARED),
        (Source("nfs", "/mnt", "/another", ("nas",)), Fate.STREAM),
        (Source("dir", "/mnt"), Fate.STREAM),
        (None, Fate.STUCK),
    ],
)
def test_a_pool_is_shared_when_both_hosts_have_the_same_source(there: Source | None, fate: Fate) -> None:
    def pools(source: Source | None) -> tuple[world.Pool, ...]:
        return (world.Pool("nas", source.path, parse_bytes("1 TiB"), parse_bytes("1 TiB"), source=source),) if source else ()

    made = two_hosts(more_pools=pools(there))
    machine = made.machines[0]
    spec = replace(machine.mark.spec, pool="nas")
    machine = replace(machine, mark=replace(machine.mark, spec=spec))
    a = replace(made.host_by_name["a"], more_pools=pools(Source("nfs", "/mnt", "/export", ("nas",))))
    volumes = tuple(replace(it, pool="nas") if it.name == machine.mark.disk_volume else it for it in made.volumes)
    made = replace(made, hosts=(a, made.host_by_name["b"]), machines=(machine,), volumes=volumes)
    assert list_moving(made, machine, made.host_by_name["b"])[0].fate is fate


def test_one_that_is_going_off_is_refused() -> None:
    with pytest.raises(Refused, match="is stopping") as failure:
        choose_way(replace(two_hosts().machines[0], state="stopping"))
    assert failure.value.kind == "cannot-move"


def test_of_two_copies_the_one_that_runs_counts_then_the_one_that_changed_last() -> None:
    (machine,) = two_hosts().machines

    def merge(*copies: world.Machine) -> tuple[str, list[str]]:
        made = world.merge_worlds(world.World(machines=(copy,)) for copy in copies)
        return made.machine_by_ref[machine.ref].host, [it.host for it in made.leftovers]

    newer = replace(machine, host="b", mark=replace(machine.mark, generation=9))
    assert merge(machine, replace(newer, state="paused", reason="migrating")) == ("a", ["b"])
    assert merge(replace(machine, state="stopped"), newer) == ("b", ["a"])
    assert merge(replace(machine, state="stopped"), replace(newer, state="stopped")) == ("b", ["a"])
