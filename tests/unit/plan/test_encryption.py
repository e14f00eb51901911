"""A disk is encrypted from its beginning or never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import a_world, load, settle
from tinycloud.errors import Refused
from tinycloud.model.world import Orphan
from tinycloud.plan import Options, plan_down, plan_up

DB = "stack: shop\ngroups: {db: {image: nano, disk_encrypt: ROOT, volumes: [{name: data, size: 1 GiB, encrypt: DATA}]}}\n"


def text(root: str, data: str) -> str:
    return DB.replace("ROOT", root).replace("DATA", data)


@pytest.mark.parametrize(("before", "after", "is_now"), [("true", "false", ""), ("false", "true", "not ")])
def test_a_data_volume_that_is_there_does_not_change(before: str, after: str, is_now: str) -> None:
    world = settle(plan_up(load(text("false", before)), a_world()), a_world())
    with pytest.raises(Refused) as caught:
        plan_up(load(text("false", after)), world, Options(replace=frozenset({"*"})))
    assert (caught.value.kind, caught.value.exit) == ("encryption", 4)
    assert caught.value.message == f"volume db-1/data is {is_now}encrypted, the file says otherwise"


def test_a_root_disk_is_made_anew() -> None:
    world = settle(plan_up(load(text("false", "false")), a_world()), a_world())
    plan = plan_up(load(text("true", "false")), world)
    assert [(change.act.value, change.text) for change in plan.changes] == [("!", "disk encryption off → on")]


def test_a_machine_names_its_encrypted_files_and_their_steps_say_so() -> None:
    plan = plan_up(load(text("true", "true")), a_world())
    mark = plan.machines["shop/db-1"].mark
    assert mark.encrypted == ("shop.db-1.disk-1.qcow2", "shop.db-1.vol-data.qcow2")
    assert {step.args["volume"] for step in plan.steps if step.args.get("encrypt")} == set(mark.encrypted)


def test_a_passphrase_without_its_volume_goes_with_the_next_up_or_down_but_not_one_that_is_needed() -> None:
    left = (
        Orphan("local", "shop.db-1.disk-2.qcow2"),
        Orphan("local", "shop.db-1.disk-1.qcow2"),
        Orphan("local", "other.db-1.disk-1.qcow2"),
    )
    loaded = load(text("true", "true"))
    world = replace(settle(plan_up(loaded, a_world()), a_world()), orphans=left)
    gone = [step.args["volume"] for step in plan_up(loaded, world).steps if step.kind == "volume.remove"]
    assert gone == ["shop.db-1.disk-2.qcow2"]
    down = plan_down("shop", world)
    assert "shop.db-1.disk-2.qcow2" in [step.args["volume"] for step in down.steps if step.kind == "volume.remove"]
    assert not any("other" in str(step.args) for step in down.steps)
