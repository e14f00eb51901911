"""A hostile guest: what it sends under another's name never comes out of its bridge; the same comes when it may (``spoofing: allowed``)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_world, load, settle
from tests.live.frames import BROADCAST, End, ether, make_forged, make_honest
from tests.live.packets import Town, read_base
from tinycloud.drivers.firewall.text import render, render_difference
from tinycloud.model.firewall import Part
from tinycloud.model.names import make_link_local
from tinycloud.model.world import World
from tinycloud.plan import plan_up
from tinycloud.plan.firewall import make_part
from tinycloud.plan.lans import make_lan

FORGER = str(Path(__file__).with_name("forger.py"))
STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups: {box: {image: nano, networks: [{network: front, spoofing: %s}]}, web: {image: nano, networks: [front], count: 2}}
"""


def world(spoofing: str) -> World:
    return settle(plan_up(load(STACK % spoofing), a_world()), a_world())


def part(world: World) -> Part:
    return make_part("shop", [machine.mark for machine in world.machines], [make_lan(network) for network in world.networks])


def end(world: World, ref: str) -> End:
    (nic,) = world.machine_by_ref[ref].mark.spec.nics
    return End(nic.mac, str(nic.address), make_link_local(nic.mac))


STOPPED, ALLOWED = world("stopped"), world("allowed")
BOX, WEB, THIRD = (end(STOPPED, ref) for ref in ("shop/box-1", "shop/web-1", "shop/web-2"))
HONEST, FORGED = make_honest(BOX, WEB), make_forged(BOX, WEB, THIRD)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    made = Town.make(STOPPED)
    try:
        made.open()
        made.load(read_base() + render(part(STOPPED)), [])
        yield made
    finally:
        made.close()


def list_heard(town: Town, frames: list[str]) -> set[str]:
    """What of the box's frames its neighbour hears. The last of them is honest and is waited for: it overtakes nothing."""
    argv = {end: ["ip", "netns", "exec", town.namespaces[end], sys.executable, "-I", FORGER] for end in ("shop/box-1", "shop/web-1")}
    hearing = subprocess.Popen([*argv["shop/web-1"], "hear"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert hearing.stdout is not None
    assert hearing.stdout.readline() == "ready\n"
    last = ether(BROADCAST, BOX.mac, 0x0806, bytes.fromhex(HONEST["arp"])[14:42], "last")
    subprocess.run([*argv["shop/box-1"], "send"], input=json.dumps([*frames, last]), text=True, check=True, timeout=30)
    heard = set(json.loads(hearing.communicate(timeout=30)[0]))
    assert "last" in heard, "the neighbour listened until the end"
    return heard - {"last"}


def test_what_is_forged_stays_in_and_what_is_honest_comes_through(town: Town) -> None:
    assert list_heard(town, [*HONEST.values(), *FORGED.values()]) == set(HONEST)


def test_a_guest_that_may_spoof_is_believed_by_the_host_and_no_longer_once_it_may_not(town: Town) -> None:
    for old, new, heard in ((STOPPED, ALLOWED, {*HONEST, *FORGED}), (ALLOWED, STOPPED, set(HONEST))):
        town.load(render_difference(part(old), part(new)), [])
        assert list_heard(town, [*HONEST.values(), *FORGED.values()]) == heard
