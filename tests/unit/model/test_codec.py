"""Values to JSON and back: the saved world."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from tests.builders import a_host, a_world
from tests.unit.model import strategies as some
from tinycloud.model.codec import from_plain, to_plain
from tinycloud.model.world import Host, World


@given(some.worlds)
@settings(max_examples=50)
def test_a_world_comes_back_from_json_as_it_went(world: World) -> None:
    assert from_plain(World, json.loads(json.dumps(to_plain(world)))) == world


def test_a_saved_world_is_made_of_plain_values() -> None:
    assert to_plain(a_world(images=()))["hosts"] == [
        {
            "name": "local",
            "arch": "x86_64",
            "cpus": 16,
            "memory": 64 * 2**30,
            "memory_free": 64 * 2**30,
            "hypervisors": ["kvm", "qemu"],
            "pool": {"name": "default", "path": "/pool", "capacity": 2**40, "free": 500 * 2**30},
            "uefi": True,
            "entry": {"name": "local"},
        }
    ]


def test_an_empty_world_is_an_empty_object() -> None:
    assert from_plain(World, {}) == World()
    assert from_plain(World, {"later": "key"}) == World()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hosts": None}, "hosts: found NoneType, expected a list"),
        ({"hosts": [5]}, "hosts[0]: found int, expected a mapping"),
        ({"hosts": [{}]}, "hosts[0]: name is missing"),
        ({"broken": [1]}, "broken[0]: found int, expected str"),
        ({"foreign": [{"host": "h", "subnets": [["10.0.0.0/8", 5]]}]}, "foreign[0].subnets[0][1]: found int, expected str"),
        (
            {"networks": [{**dict.fromkeys(("host", "stack", "name", "subnet", "access", "bridge"), "x"), "mtu": "big"}]},
            "networks[0].mtu: ",
        ),
    ],
)
def test_an_error_names_the_path_of_what_does_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_plain(World, {**to_plain(a_world()), **change})
    assert str(caught.value).startswith(message)


def test_an_error_names_the_path_inside_nested_values() -> None:
    raw = to_plain(a_host())
    raw["pool"]["free"] = "much"
    with pytest.raises(ValueError, match=r"^pool\.free: found str, expected a whole number$"):
        from_plain(Host, raw)


@pytest.mark.parametrize("raw", [None, [], "world", 5])
def test_a_document_of_another_shape_is_no_world(raw: object) -> None:
    with pytest.raises(ValueError, match=r"^the document: found .*, expected a mapping$"):
        from_plain(World, raw)


def test_a_pair_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^foreign\[0\].subnets\[0\]: found list, expected 2 items$"):
        from_plain(World, {"foreign": [{"host": "h", "subnets": [["10.0.0.0/8"]]}]})
