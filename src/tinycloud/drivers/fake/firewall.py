"""The firewall of a fake host: what it was told, and whether it is in force."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tinycloud.drivers.records import Flow, RuleCount
from tinycloud.model.firewall import Overlay, Part
from tinycloud.templates.firewall import make_part_mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.fake.files import Documents


class FakeFirewall:
    """Each document: the part of a stack, its mark, and whether the kernel has it."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def find_marks(self) -> frozenset[str]:
        found = [self._documents.find(stack) for stack in self._documents.names()]
        return frozenset(it["mark"] for it in found if it and it["in_force"])

    def find_overlays(self) -> frozenset[Overlay]:
        found = [self._documents.find(stack) for stack in self._documents.names()]
        parts = [Part.from_dict(it["part"]) for it in found if it and not it.get("cut")]
        return frozenset(overlay for part in parts for overlay in part.overlays)

    def find(self, stack: str) -> Part | None:
        it = self._documents.find(stack)
        return Part.from_dict(it["part"]) if it else None

    def apply(self, stack: str, part: Part) -> None:
        with self._documents.lock:
            self.restore()
            if part.is_empty:
                self._documents.remove(stack)
            else:
                self._documents.put(stack, {"mark": make_part_mark(stack, part), "part": part.as_dict(), "in_force": True})

    def remove(self, stack: str) -> None:
        self.apply(stack, Part())

    def restore(self) -> bool:
        return sum(self._set(stack, in_force=True) for stack in self._documents.names()) > 0

    def read_flows(self, addresses: Sequence[str], floating: Sequence[str]) -> list[Flow]:
        """Nobody is connected."""
        return []

    def write_flows(self, flows: Sequence[Flow]) -> None:
        assert not flows, "a fake host has none to give"

    def drop_flows(self, addresses: Sequence[str]) -> None:
        """There are none."""

    def count(self, stack: str) -> list[RuleCount]:
        """Nothing ever passes a fake host."""
        it = self._documents.find(stack)
        chains = Part.from_dict(it["part"]).chains if it and it["in_force"] else {}
        found = ((chain, re.search(r'\bcounter\b.* comment "([^"]*)"', rule)) for (_, chain), rules in chains.items() for rule in rules)
        return [RuleCount(chain, comment[1]) for chain, comment in found if comment]

    def flush(self) -> None:
        """What ``nft flush ruleset`` does to a real host."""
        for stack in self._documents.names():
            self._set(stack, in_force=False)

    def cut(self) -> None:
        """What ``ip link del`` does to every device that joins networks to other hosts."""
        for stack in self._documents.names():
            it = self._documents.find(stack)
            if it and it["part"].get("overlays"):
                self._documents.put(stack, {**it, "cut": True})

    def _set(self, stack: str, *, in_force: bool) -> bool:
        it = self._documents.find(stack)
        if it is None or (it["in_force"] == in_force and not (in_force and it.get("cut"))):
            return False
        kept = {key: value for key, value in it.items() if key != "cut" or not in_force}
        self._documents.put(stack, {**kept, "in_force": in_force})
        return True
