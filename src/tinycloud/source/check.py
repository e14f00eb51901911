"""What a schema cannot say: names that must exist, circles, overlaps, sizes that do not fit together."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import make_did_you_mean
from tinycloud.model.secret import Ref, Text
from tinycloud.source import refs
from tinycloud.source.check_groups import check_group
from tinycloud.source.check_images import check_images
from tinycloud.source.check_networks import check_networks
from tinycloud.source.check_outside import check_outside
from tinycloud.source.check_placing import check_placing
from tinycloud.source.check_policies import check_policies
from tinycloud.source.complaints import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tinycloud.model.stack import Stack
    from tinycloud.source.load import KeyPath, Tree

_PLURALS: Final = {"group": "groups", "network": "networks", "policy": "policies"}


def check(tree: Tree, stack: Stack) -> list[Complaint]:
    """Every complaint about a stack whose parts are right one by one."""
    work = _Check(tree, stack)
    return [
        *check_images(stack.images, work.complain),
        *work.names(),
        *work.needs(),
        *work.subnets(),
        *check_networks(stack, work.complain),
        *work.groups(),
        *check_placing(stack, work.complain),
        *check_policies(stack, work.complain),
        *check_outside(stack, work.complain),
        *work.references(),
    ]


class _Check:
    def __init__(self, tree: Tree, stack: Stack) -> None:
        self.tree = tree
        self.stack = stack

    def complain(self, code: str, message: str, path: KeyPath, *facts: str, hint: str = "") -> Complaint:
        return Complaint(code, message, self.tree.find_place(path), facts, hint)

    def unknown(self, what: str, name: str, where: str, path: KeyPath, known: Iterable[str]) -> Complaint:
        declared = list(known)
        fact = f"{_PLURALS[what]} declared here: {', '.join(declared) or 'none'}"
        return self.complain("unknown-name", f'unknown {what} "{name}" in {where}', path, fact, hint=make_did_you_mean(name, declared))

    def names(self) -> Iterator[Complaint]:
        sections: dict[str, tuple[str, Mapping[str, Any]]] = {
            "policies": ("policy", self.stack.policies),
            "needs": ("group", self.stack.groups),
            "together": ("group", self.stack.groups),
        }
        for group, it in self.stack.groups.items():
            where = f'group "{group}"'
            for n, nic in enumerate(it.networks):
                if nic.network not in self.stack.networks:
                    yield self.unknown("network", nic.network, where, ("groups", group, "networks", n), self.stack.networks)
            for key, (what, known) in sections.items():
                for n, name in enumerate(getattr(it, key)):
                    if name not in known:
                        yield self.unknown(what, name, where, ("groups", group, key, n), known)

    def needs(self) -> Iterator[Complaint]:
        """Groups that need each other in a circle; each circle once, without those that only wait for it."""
        graph = {name: group.needs for name, group in self.stack.groups.items()}
        while circle := _find_circle(graph):
            message = f"groups need each other in a circle: {' → '.join([*circle, circle[0]])}"
            yield self.complain("needs-cycle", message, ("groups", circle[0], "needs"))
            graph = {name: needs for name, needs in graph.items() if name not in circle}

    def groups(self) -> Iterator[Complaint]:
        for name, group in self.stack.groups.items():
            yield from check_group(name, group, self.complain)

    def subnets(self) -> Iterator[Complaint]:
        known = {name: it.subnet for name, it in self.stack.networks.items() if it.subnet}
        for (one, a), (other, b) in combinations(known.items(), 2):
            if a.overlaps(b):
                facts = (f"{one}: {a}", f"{other}: {b}")
                yield self.complain("overlap", f'networks "{one}" and "{other}" overlap', ("networks", other, "subnet"), *facts)
        for name, subnet in known.items():
            nics = sum(g.count * sum(n.network == name for n in g.networks) for g in self.stack.groups.values())
            room = subnet.num_addresses - 3
            if nics > room and not self.stack.networks[name].outer:
                message = f'network "{name}" is too small: {nics} NICs, room for {room}'
                needed = subnet.max_prefixlen - (nics + 3 - 1).bit_length()
                yield self.complain("subnet-too-small", message, ("networks", name, "subnet"), hint=f"a /{needed} has room")

    def references(self) -> Iterator[Complaint]:
        for path, ref in _late_refs(self.stack):
            yield from self._reference(ref.path, path)

    def _reference(self, ref: str, path: KeyPath) -> Iterator[Complaint]:
        words = ref.split(".")
        known: dict[str, Any] = {"groups": self.stack.groups, "networks": self.stack.networks}
        attributes = {"groups": refs.GROUP_WORDS, "networks": refs.NETWORK_WORDS, "machine": refs.MACHINE_WORDS}[words[0]]
        shape = f"${{{words[0]}.NAME.WORD}}" if words[0] in known else "${machine.WORD}"
        if len(words) != (3 if words[0] in known else 2):
            yield self.complain("unknown-reference", f"unknown reference ${{{ref}}}", path, f"expected: {shape}")
        elif words[0] in known and words[1] not in known[words[0]]:
            yield self.unknown(words[0].removesuffix("s"), words[1], f"${{{ref}}}", path, known[words[0]])
        elif words[-1] not in attributes:
            hint = make_did_you_mean(words[-1], attributes)
            yield self.complain(
                "unknown-reference", f"unknown reference ${{{ref}}}", path, f"known words: {', '.join(attributes)}", hint=hint
            )
        elif words[0] == "machine" and path[0] != "groups":
            what = "an output" if path[0] == "outputs" else "a network"
            yield self.complain("unknown-reference", f"${{{ref}}} means one machine; {what} belongs to the stack", path)


def _find_circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Names that need each other in a circle, from the one that stands first in the graph; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        circle: list[str] = err.args[1][:0:-1]
        start = circle.index(next(name for name in graph if name in circle))
        return circle[start:] + circle[:start]
    return []


def _late_refs(stack: Stack) -> Iterator[tuple[KeyPath, Ref]]:
    for name, network in stack.networks.items():
        yield from _refs_in(network.values, ("networks", name, "values"))
    for name, group in stack.groups.items():
        base: KeyPath = ("groups", name)
        for n, file in enumerate(group.guest.files):
            yield from _refs_in(file.content, (*base, "guest", "files", n, "content"))
        for n, line in enumerate(group.guest.run):
            yield from _refs_in(line, (*base, "guest", "run", n))
        yield from _refs_in(group.guest.user_data, (*base, "guest", "user_data"))
        yield from _refs_in(group.values, (*base, "values"))
    yield from _refs_in(stack.outputs, ("outputs",))


def _refs_in(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Ref]]:
    if isinstance(value, Ref):
        yield path, value
    elif isinstance(value, Text):
        for ref in value.refs:
            yield path, ref
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _refs_in(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for n, item in enumerate(value):
            yield from _refs_in(item, (*path, n))
