"""The spec of a machine: what stands in its mark on the host, read again by any version."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.model import strategies as some
from tinycloud.model.machine import CpuSpec, Live, MachineSpec, Mark, NicSpec, VolumeSpec, make_digest
from tinycloud.model.units import Bytes

SMALL = MachineSpec(image=None, image_name="", memory=Bytes(2**20), disk=Bytes(0))


@given(some.specs)
def test_a_spec_comes_back_from_json_as_it_went(spec: MachineSpec) -> None:
    back = MachineSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert back == spec
    assert make_digest(back.as_dict()) == make_digest(spec.as_dict())


@given(some.specs, st.dictionaries(st.text(min_size=12, max_size=20), st.integers() | st.text() | st.lists(st.integers())))
def test_keys_of_a_newer_version_are_passed_over(spec: MachineSpec, newer: dict[str, Any]) -> None:
    raw = {**newer, **spec.as_dict(), "cpus": {**newer, **spec.as_dict().get("cpus", {})}}
    assert MachineSpec.from_dict(raw) == spec


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert SMALL.as_dict() == {"image": None, "image_name": "", "memory": 2**20, "disk": 0}


def test_a_number_of_bytes_is_a_number_of_bytes_again() -> None:
    back = MachineSpec.from_dict({**SMALL.as_dict(), "memory": 2**29, "volumes": [{"name": "data", "size": 2**30}]})
    assert str(back.memory) == "512 MiB"
    assert str(back.volumes[0].size) == "1 GiB"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"memory": "512 MiB"}, "memory: found str, expected a whole number"),
        ({"memory": 1.5}, "memory: found float, expected a whole number"),
        ({"memory": True}, "memory: found bool, expected a whole number"),
        ({"memory": float("inf")}, "memory: found float, expected a whole number"),
        ({"stop_limit": "60"}, "stop_limit: found str, expected a number"),
        ({"serial": 1}, "serial: found int, expected bool"),
        ({"nics": {"network": "n"}}, "nics: found dict, expected a list"),
        ({"nics": [{"network": "n", "mac": 5}]}, "nics[0].mac: found int, expected str"),
        ({"nics": [{"network": "n"}]}, "nics[0]: mac is missing"),
        ({"cpus": {"count": "2"}}, "cpus.count: found str, expected a whole number"),
        ({"boot": ["disk", 1]}, "boot[1]: found int, expected str"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        MachineSpec.from_dict({**SMALL.as_dict(), **change})
    assert str(caught.value) == message


def test_a_spec_without_what_every_spec_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^MachineSpec: image is missing$"):
        MachineSpec.from_dict({})


@pytest.mark.parametrize(
    ("cpus", "topology", "limit"),
    [
        (CpuSpec(), (1, 1, 1), 1),
        (CpuSpec(4), (4, 1, 1), 4),
        (CpuSpec(2, max=8), (8, 1, 1), 8),
        (CpuSpec(4, cores=2), (2, 2, 1), 4),
        (CpuSpec(3, cores=2), (2, 2, 1), 4),
        (CpuSpec(4, cores=2, threads=2), (1, 2, 2), 4),
        (CpuSpec(1, max=6, cores=4), (2, 4, 1), 8),
        (CpuSpec(2, sockets=2, cores=2, threads=2), (2, 2, 2), 8),
    ],
)
def test_the_topology_has_room_for_every_cpu(cpus: CpuSpec, topology: tuple[int, int, int], limit: int) -> None:
    assert cpus.topology == topology
    assert cpus.limit == limit


@given(st.integers(1, 64), st.integers(0, 64), st.integers(1, 8), st.integers(1, 4))
def test_sockets_that_are_not_given_are_as_many_as_needed_and_no_more(count: int, more: int, cores: int, threads: int) -> None:
    sockets = CpuSpec(count, max=count + more, cores=cores, threads=threads).topology[0]
    assert sockets * cores * threads >= count + more > (sockets - 1) * cores * threads


def test_a_mark_knows_every_name_of_its_machine() -> None:
    spec = MachineSpec(
        image="f" * 64,
        image_name="nano",
        memory=Bytes(2**27),
        disk=Bytes(2**30),
        guest="0123456789ab" + "c" * 52,
        disk_generation=3,
        volumes=(VolumeSpec("data", Bytes(2**30)),),
        nics=(NicSpec("out", "52:00:00:00:00:01"), NicSpec("front", "52:00:00:00:00:02", "10.60.0.11")),
    )
    mark = Mark("shop", "web", 1, spec)
    assert (mark.machine, mark.ref, mark.domain) == ("web-1", "shop/web-1", "shop-web-1")
    assert mark.volumes == ("shop.web-1.disk-3.qcow2", "shop.web-1.seed-0123456789ab.iso", "shop.web-1.vol-data.qcow2")
    assert mark.spec.address == "10.60.0.11", "the first that is reserved"


def test_a_machine_without_a_guest_section_has_no_seed() -> None:
    mark = Mark("shop", "web", 1, SMALL)
    assert mark.seed_volume is None
    assert mark.volumes == ("shop.web-1.disk-1.qcow2",)
    assert mark.spec.address is None


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert make_digest({"a": 1, "b": [2, 3]}) == make_digest({"b": [2, 3], "a": 1})
    assert make_digest({"a": [2, 3]}) != make_digest({"a": [3, 2]})


def test_who_was_seen_further_than_wanted_was_seen_far_enough() -> None:
    """As a machine whose rules now let no ssh in, and that was set up before."""
    assert Live(1.0, "done").reaches("address")
    assert not Live(1.0, "address").reaches("done")
    assert not Live().reaches("started")
