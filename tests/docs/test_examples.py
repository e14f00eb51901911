"""Every example is a stack that can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import OTHER_SHA, PlainVault, a_world, an_image, settle
from tinycloud.model.units import Bytes
from tinycloud.plan import plan_up
from tinycloud.source import load_stack

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
WORLD = a_world(images=(an_image(), an_image("debian-12", OTHER_SHA, size=Bytes(2 * 1024**3), user="debian")))


def test_there_are_examples() -> None:
    assert {"hello.yaml", "shop.yaml"} <= {path.name for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_planned_and_then_there_is_nothing_left_to_do(path: Path) -> None:
    loaded = load_stack(path, {}, PlainVault)
    plan = plan_up(loaded, WORLD)
    assert not plan.refused
    assert {wanted.mark.group for wanted in plan.machines.values()} == set(loaded.stack.groups)
    assert plan_up(loaded, settle(plan, WORLD)).is_empty


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_two_examples_share_a_name_or_a_subnet(path: Path) -> None:
    mine = load_stack(path, {}, PlainVault).stack
    for other in (load_stack(it, {}, PlainVault).stack for it in EXAMPLES if it != path):
        assert mine.stack != other.stack
        subnets = [net.subnet for stack in (mine, other) for net in stack.networks.values() if net.subnet]
        assert not any(a.overlaps(b) for n, a in enumerate(subnets) for b in subnets[n + 1 :])
