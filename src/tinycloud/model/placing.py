"""Where a machine may and should be: what its group says of hosts, and what becomes of it when its host dies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

HOST = "host"
"""The label that every host has: its own name."""

SPARE = ("auto", "0", "1")
"""How many hosts may die without their machines losing their room; ``auto``: one, where there are three that take machines."""


@dataclass(frozen=True, slots=True)
class Placing:
    """Stands in each machine's mark, so that whoever moves it later needs no file."""

    on: tuple[tuple[str, str], ...] = ()
    """(label, value), sorted: those that its host has."""
    spread: str = ""
    """The label by whose values its group's machines are spread; empty: as the hosts' room says."""
    spread_must: bool = False
    """True where two machines of the group never share a value; else they only do when there is no other way."""
    together: tuple[str, ...] = ()
    """Groups of its stack whose machines, all of them, and this group's are on one host; its own name stands for its own machines."""
    recover: str = ""
    """``restart``: when its host dies, it is started on another one; empty: it waits for its host."""
    disposable: bool = False
    """True when it may be made anew on another host without anything that was on its disks."""

    def __str__(self) -> str:
        words = [f"on {label} {value}" for label, value in self.on]
        words += [f"spread over {self.spread}{', always' if self.spread_must else ''}"] if self.spread else []
        words += [f"together with {', '.join(self.together)}"] if self.together else []
        words += [f"recover {self.recover}"] if self.recover else []
        return "; ".join([*words, *(["disposable"] if self.disposable else [])]) or "anywhere"


def join_groups(together: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Group → all those that are on one host with it, itself among them, sorted; groups that are joined to nothing are left out."""
    joined: dict[str, set[str]] = {}
    for group, others in together.items():
        if not others:
            continue
        whole = {group, *others}
        for member in list(whole):
            whole |= joined.get(member, set())
        joined.update(dict.fromkeys(whole, whole))
    return {group: tuple(sorted(whole)) for group, whole in joined.items()}
