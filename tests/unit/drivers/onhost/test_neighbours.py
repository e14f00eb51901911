"""What a host is told of machines on other hosts."""

from __future__ import annotations

from tinycloud.drivers.onhost.hooks import make_restore
from tinycloud.drivers.onhost.neighbours import Neighbour, make_entries, make_lines, make_neighbours, read_wanted
from tinycloud.model import firewall

FAR = firewall.Neighbour("tx-1", "tc-1", "52:00:00:00:00:01", "198.18.0.2", ("10.60.0.11", "fd00::11"))
NEAR = firewall.Neighbour("tx-1", "tc-1", "52:00:00:00:00:02", "", ("10.60.0.12",))


def read(*neighbours: firewall.Neighbour) -> list[Neighbour]:
    return read_wanted([firewall.Part(neighbours=frozenset(neighbours)).as_dict()])


def test_where_a_machine_is_is_said_of_those_elsewhere_alone() -> None:
    assert make_entries(read(FAR, NEAR)) == [
        "fdb replace 52:00:00:00:00:01 dev tx-1 master static",
        "fdb replace 52:00:00:00:00:01 dev tx-1 dst 198.18.0.2 dynamic extern_learn",
    ]


def test_every_address_is_known() -> None:
    assert [line.split()[2] for line in make_neighbours(read(FAR, NEAR))] == ["10.60.0.11", "fd00::11", "10.60.0.12"]


def test_a_bridge_that_is_made_anew_hears_of_them_from_the_hook() -> None:
    part = firewall.Part(neighbours=frozenset({FAR})).as_dict()
    assert "\n".join(make_lines(read(FAR))) in make_restore([part])
    assert make_lines([]) == []
