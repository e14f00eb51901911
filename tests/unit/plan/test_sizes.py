"""Disks do not shrink: neither below their image, nor below the data that is there."""

from __future__ import annotations

import pytest

from tests.builders import a_world, load, settle
from tinycloud.errors import Refused
from tinycloud.plan import plan_up

DB = "stack: shop\ngroups: {db: {image: nano, volumes: [{name: data, size: SIZE}]}}\n"


def refuse(text: str, size: str = "1 GiB") -> Refused:
    """Why a stack is refused where ``db`` already has a data volume of that size."""
    before = load(DB.replace("SIZE", size))
    with pytest.raises(Refused) as caught:
        plan_up(load(text), settle(plan_up(before, a_world()), a_world()))
    assert (caught.value.kind, caught.value.exit) == ("too-small", 4)
    return caught.value


def test_a_data_volume_never_shrinks() -> None:
    refused = refuse(DB.replace("SIZE", "512 MiB"))
    assert refused.message == "volume db-1/data is 1 GiB, the file says 512 MiB: data volumes do not shrink"
    assert refused.hint == "declare a volume of another name and copy the data"


def test_a_disk_is_never_smaller_than_its_image() -> None:
    refused = refuse("stack: shop\ngroups: {db: {image: nano, disk: 64 MiB}}\n")
    assert refused.message.startswith('disk of group "db" is 64 MiB, its image nano ')
    assert refused.hint == "disk: 128 MiB, or more"
