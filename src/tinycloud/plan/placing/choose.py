"""Which host of those that can: the emptiest one, unless the group is spread; and why there, in a few words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from tinycloud.errors import NoHost
from tinycloud.model.placing import HOST
from tinycloud.plan.placing.needs import CPUS, MEMORY, choose_hypervisor

if TYPE_CHECKING:
    from tinycloud.plan.placing.ground import Ground
    from tinycloud.plan.placing.needs import Shape
    from tinycloud.plan.placing.rooms import Rooms, Unit
    from tinycloud.plan.placing.spare import Spare
    from tinycloud.plan.pools import Book

Score = tuple[int, int, float, int]
"""Machines of the group that share what it is spread over; whether it would be emulated; how full the host would be; the host."""

_CPU: Final = 0.25
"""Processors are shared and memory is not: how much a promised one counts."""
_IMAGE: Final = 0.05
"""An image that has to travel counts as much as 5 % of the host's memory."""
_SIBLING: Final = 0.02
"""So does each machine of the same group that dies with the host."""
_MANY: Final = 40


@dataclass
class Chooser:
    """Places one unit after the other. What was placed stays."""

    ground: Ground
    rooms: Rooms
    book: Book
    spare: Spare | None = None
    _heaps: dict[object, list[Score]] = field(default_factory=dict)
    """Kind of unit → its hosts by score. Placing only makes hosts worse, so an old score is never too bad."""
    _settled: dict[object, tuple[Shape, ...]] = field(default_factory=dict)

    def place(self, unit: Unit) -> tuple[int, str]:
        """The best host for a unit that can take it, and why there; raises NoHost with each host's reason."""
        kind = (unit.shapes, unit.amounts, unit.joined, tuple((need.group, need.placing, need.image) for need in unit.needs))
        heap = self._heaps.get(kind)
        if heap is None:
            heap = self._heaps[kind] = [self.score(unit, n) for n in self._list_fitting(unit)]
            heapify(heap)
        while heap:
            score = heappop(heap)
            now = self.score(unit, score[3])
            if now > score:
                heappush(heap, now)
            elif self._take(unit, now[3]):
                why = self._tell_why(unit, now, heap)
                heappush(heap, self.score(unit, now[3]))
                return now[3], why
        raise self.refuse(unit)

    def _list_fitting(self, unit: Unit) -> list[int]:
        sets = [self.ground.list_fitting(shape) for shape in unit.shapes]
        return [n for n in sets[0] if all(n in other for other in sets[1:])]

    def _take(self, unit: Unit, host: int) -> bool:
        """Put it there, when that host has room, no rule forbids it, and any host may still die."""
        if self.rooms.find_gap(unit.amounts, host) or self.rooms.breaks_rule(unit, host):
            return False
        disks = [disk for need in unit.needs for disk in need.disks]
        if disks and self.book.find_trouble(self.ground.hosts[host], disks):
            return False
        if self.spare is None:
            self.rooms.put(unit, host)
        elif not self.spare.place(replace(unit, shapes=self._settle_shapes(unit.shapes, host)), host):
            return False
        for disk in disks:
            self.book.take(self.ground.hosts[host], disk)
        return True

    def _settle_shapes(self, shapes: tuple[Shape, ...], host: int) -> tuple[Shape, ...]:
        """What a machine will need of another host once it was made on this one."""
        it = self.ground.hosts[host]
        key = (shapes, it.arch, it.hypervisors)
        if key not in self._settled:
            hypervisors = [choose_hypervisor(shape.hypervisor, it, None) for shape in shapes]
            pairs = zip(shapes, hypervisors, strict=True)
            self._settled[key] = tuple(replace(shape, arch=it.arch, hypervisor=name, homes=()) for shape, name in pairs)
        return self._settled[key]

    def score(self, unit: Unit, host: int) -> Score:
        """How well a host suits; the lower the better."""
        rooms, room, limit = self.rooms, self.rooms.free[host], self.rooms.limit[host]
        first = unit.needs[0]
        amounts = dict(unit.amounts)
        full = 1 - (room[MEMORY] - amounts.get(MEMORY, 0)) / limit[MEMORY]
        if CPUS in room:
            full += _CPU * (1 - (room[CPUS] - amounts.get(CPUS, 0)) / limit[CPUS])
        if first.image and host not in self.ground.list_having(first.image):
            full += _IMAGE
        full += _SIBLING * rooms.count_group(first.group, HOST, host)
        label = first.placing.spread
        crowd = rooms.count_group(first.group, label, host) if label else 0
        slow = first.shape.hypervisor == "auto" and "kvm" not in self.ground.hosts[host].hypervisors
        return crowd, int(slow), full, host

    def _tell_why(self, unit: Unit, chosen: Score, others: list[Score]) -> str:
        first, host = unit.needs[0], chosen[3]
        if len(self.ground.hosts) == 1:
            return "only host"
        if first.shape.homes:
            return "its volume is there"
        if not others:
            return "the only one that can take it"
        next_best = others[0]
        if first.placing.spread and next_best[0] > chosen[0]:
            return f"spread over {first.placing.spread}"
        if next_best[1] > chosen[1]:
            return "it has kvm"
        having = self.ground.list_having(first.image)
        if host in having and next_best[3] not in having and next_best[2] - _IMAGE <= chosen[2] + 1e-9:
            return "it has the image"
        if len(others) > _MANY:
            return "least full"
        most = max(self.rooms.free[score[3]][MEMORY] for score in others)
        return "most free memory" if self.rooms.free[host][MEMORY] + dict(unit.amounts).get(MEMORY, 0) >= most else "least full"

    # refusals

    def tell(self, unit: Unit, host: int) -> str:
        """Why a host does not take a unit, in words."""
        disks = [disk for need in unit.needs for disk in need.disks]
        found = self.rooms.refuse(unit, host) or (self.book.find_trouble(self.ground.hosts[host], disks) if disks else None)
        if found is not None or self.spare is None:
            return found or "it has room by now"
        return self.spare.tell(unit, host)

    def refuse(self, unit: Unit) -> NoHost:
        """The refusal, with each host's reason."""
        others = len(unit.needs) - 1
        what = f"machine {unit.ref}" + (f" and the {others} that {'are' if others > 1 else 'is'} together with it" if others else "")
        reasons = [(host.name, self.tell(unit, n)) for n, host in enumerate(self.ground.hosts)]
        stack, group = unit.needs[0].group
        is_spare = any(reason.startswith("spare:") for _, reason in reasons)
        hint = (
            "--spare 0 keeps no reserve" if is_spare else f"tinycloud capacity {stack}/{group}" if len(reasons) > 1 else "tinycloud doctor"
        )
        return NoHost(f"no host can take {what}", facts=list_reasons(reasons), hint=hint)


def list_reasons(reasons: list[tuple[str, str]]) -> list[str]:
    """A line a host; of very many hosts those with the same reason share one."""
    if not reasons:
        return ["there are no hosts"]
    if len(reasons) <= _MANY:
        width = max(len(name) for name, _ in reasons)
        return [f"{name:{width}}  {reason}" for name, reason in reasons]
    shared: dict[str, list[str]] = {}
    for name, reason in reasons:
        shared.setdefault(reason, []).append(name)
    return [f"{' '.join(names)}  {reason}" for reason, names in sorted(shared.items(), key=lambda it: (-len(it[1]), it[0]))]
