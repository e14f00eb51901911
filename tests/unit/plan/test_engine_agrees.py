"""The simulation that properties are checked with does what the engine does: same plan, same host, same end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import OTHER_SHA, fake_cloud, put_image, put_pools, settle
from tests.unit.plan.stacks import docs, edits, load_doc
from tinycloud.errors import Refused
from tinycloud.model import names

if TYPE_CHECKING:
    from tinycloud.cloud import Cloud
    from tinycloud.model.plan import Plan
    from tinycloud.model.world import World


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_a_fake_host_ends_as_the_simulation_says(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, fake_cloud(Path(folder)) as cloud:
        put_image(cloud.parts.first_host, "other", OTHER_SHA, 256 * 1024**2)
        put_pools(cloud.parts.first_host)
        doc = data.draw(docs().map(without_bridges))
        for _ in range(3):
            disturb(cloud, data.draw(st.sampled_from(("", "destroy", "suspend"))))
            if load_doc(doc) is not None:
                before = cloud.world()
                plan = carry_out(cloud, Path(folder) / "stack.yaml", doc)
                if plan is not None:
                    assert to_set(cloud.world()) == to_set(settle(plan, before))
            doc = data.draw(edits(doc).map(without_bridges))
        before = cloud.world()
        if "shop" in before.stacks:
            assert to_set(settle(cloud.down("shop"), before)) == to_set(cloud.world())


def without_bridges(doc: dict[str, Any]) -> dict[str, Any]:
    """A fake host sees no address that it did not hand out itself."""
    return {**doc, "networks": {name: {} if isinstance(it.get("access"), dict) else it for name, it in doc["networks"].items()}}


def carry_out(cloud: Cloud, file: Path, doc: dict[str, Any]) -> Plan | None:
    """Bring the stack up and give the plan that the engine worked from, None when it was refused."""
    file.write_text(json.dumps(doc))
    try:
        plan = cloud.plan(file, replace=["*"])
        cloud.up(file, replace=["*"])
    except Refused:
        return None
    return plan


def disturb(cloud: Cloud, verb: str) -> None:
    """Somebody cuts the power of a machine, or pauses it."""
    running = [machine for machine in cloud.world().machines if machine.state == "running"]
    if verb and running:
        getattr(cloud.parts.first_host.domains, verb)(running[0].mark.domain)


def to_set(now: World) -> dict[str, Any]:
    """What the engine and the simulation must agree on; not when a machine was started, nor the length of a seed."""
    return {
        "machines": {(m.ref, m.mark, m.state, m.live.level) for m in now.machines},
        "networks": {(n.ref, n.subnet, n.access, n.bridge, n.mtu, n.active, frozenset(n.reservations)) for n in now.networks},
        "volumes": {
            (v.name, v.pool, v.capacity if v.name.endswith(".qcow2") and v.pool != "san" else 0)
            for v in now.volumes
            if names.find_volume_name(v.name)
        },
        "claims": {(unit.name, unit.claim) for host in now.hosts for pool in host.pools for unit in pool.units},
        "pool": [host.pool is not None for host in now.hosts],
    }
