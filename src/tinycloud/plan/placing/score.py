"""How even a cloud is: one number, and what one move changes of it.

The score is, over all hosts, the sum of the squares of how full each is in four ways: memory promised, processors in use, disk and network
traffic, weighted by :data:`WEIGHTS`. Squares, because a host at 90 % beside one at 10 % is worse than two at 50 %. To it come :data:`CROWD`
for each pair of machines of a group that share a host (or what the group is spread over), and :data:`BROKEN` for each broken rule.
Shown to people it is divided by what all hosts full would be, times 100. All of it is a sum over hosts: a move changes two terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.model.placing import HOST
from tinycloud.plan.placing.needs import CPUS, MEMORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinycloud.model.load import MachineLoad
    from tinycloud.plan.placing.rooms import Rooms, Unit

WEIGHTS: Final = (1.0, 1.0, 0.5, 0.5)
"""Memory, processors, disk, network."""
CROWD: Final = 0.0002
"""Of a pair on one host, of a group that is not spread by its file."""
CROWD_SPREAD: Final = 0.05
"""Of a pair on one host, or rack, of a group that should be spread over it."""
BROKEN: Final = 1000.0
GUESS: Final = 0.1
"""Processors in use for each that a machine has, where nobody measured."""
DISK_RATE: Final = 1e9
NET_RATE: Final = 1.25e9
"""Bytes a second of a host's disks and network that count as full: a fast SSD, 10 Gbit/s."""

Vector = tuple[float, float, float, float]


def find_vector(unit: Unit, loads: Mapping[str, MachineLoad]) -> Vector:
    """What a unit adds to its host, in bytes, processors and bytes a second."""
    cpu = disk = net = 0.0
    for need in unit.needs:
        seen = loads.get(need.ref)
        cpu += seen.cpu + seen.steal if seen else GUESS * need.find_amount(CPUS)
        disk += seen.disk if seen else 0.0
        net += seen.net if seen else 0.0
    return float(dict(unit.amounts).get(MEMORY, 0)), cpu, disk, net


class Scale:
    """What is on each host, in the four ways; follows moves. It knows nothing of what is allowed."""

    def __init__(self, rooms: Rooms, placed: Sequence[tuple[Unit, int]], loads: Mapping[str, MachineLoad]) -> None:
        self._rooms = rooms
        self.vectors = {id(unit): find_vector(unit, loads) for unit, _ in placed}
        hosts = rooms.ground.hosts
        self.limits = [(float(rooms.limit[n][MEMORY]), float(max(1, host.cpus)), DISK_RATE, NET_RATE) for n, host in enumerate(hosts)]
        self.factors = [tuple(w / (c * c) for w, c in zip(WEIGHTS, limit, strict=True)) for limit in self.limits]
        self.levels = [[float(rooms.limit[n][MEMORY] - rooms.free[n][MEMORY]), 0.0, 0.0, 0.0] for n in range(len(hosts))]
        for unit, host in placed:
            vector, level = self.vectors[id(unit)], self.levels[host]
            for n in (1, 2, 3):
                level[n] += vector[n]

    def change(self, unit: Unit, host: int, sign: int) -> None:
        """Put a unit's load on a host (1), or take it off (-1)."""
        level = self.levels[host]
        for n, amount in enumerate(self.vectors[id(unit)]):
            level[n] += sign * amount

    def find_gain(self, unit: Unit, host: int) -> float:
        """By how much the score grows when a unit that is nowhere is put on a host; its pairs with those of its groups are in it."""
        a, b, c, d = self.vectors[id(unit)]
        level, factor = self.levels[host], self.factors[host]
        total = a * (2 * level[0] + a) * factor[0] + b * (2 * level[1] + b) * factor[1]
        if c or d:
            total += c * (2 * level[2] + c) * factor[2] + d * (2 * level[3] + d) * factor[3]
        return total + self.count_crowd(unit, host)

    def find_drop(self, unit: Unit, host: int) -> float:
        """By how much the squares shrink when a unit is taken off its host; without pairs."""
        a, b, c, d = self.vectors[id(unit)]
        level, factor = self.levels[host], self.factors[host]
        total = a * (2 * level[0] - a) * factor[0] + b * (2 * level[1] - b) * factor[1]
        return total + c * (2 * level[2] - c) * factor[2] + d * (2 * level[3] - d) * factor[3]

    def count_crowd(self, unit: Unit, host: int) -> float:
        """What a unit that is nowhere would add in pairs; those within a unit are the same everywhere."""
        rooms, total = self._rooms, 0.0
        for need in unit.needs:
            label = need.placing.spread
            if label:
                total += CROWD_SPREAD * rooms.count_group(need.group, label, host)
            if label != HOST:
                total += CROWD * rooms.count_group(need.group, HOST, host)
        return total

    def sum_squares(self) -> float:
        return sum(factor[n] * level[n] ** 2 for level, factor in zip(self.levels, self.factors, strict=True) for n in range(len(WEIGHTS)))

    @property
    def most(self) -> float:
        """The sum of squares when every host is full in every way."""
        return sum(WEIGHTS) * max(1, len(self.levels))
