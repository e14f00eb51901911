"""What groups say of hosts that no hosts could give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.placing import join_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.stack import Group, Stack
    from tinycloud.source.check_groups import Complain
    from tinycloud.source.complaints import Complaint


def check_placing(stack: Stack, complain: Complain) -> Iterator[Complaint]:
    joined = join_groups({name: group.together for name, group in stack.groups.items()})
    for name, group in stack.groups.items():
        yield from _spread(name, group, joined.get(name, ()), complain)
        yield from _on(name, stack, joined.get(name, ()), complain)
        if group.disposable and any(volume.keep for volume in group.volumes):
            kept = next(volume.name for volume in group.volumes if volume.keep)
            message = f'group "{name}" is disposable and keeps volume "{kept}", expected one of them'
            yield complain("wrong-value", message, ("groups", name, "disposable"))


def _spread(name: str, group: Group, joined: tuple[str, ...], complain: Complain) -> Iterator[Complaint]:
    if group.spread is None or not group.spread.must or group.count < 2:
        return
    over, path = group.spread.over, ("groups", name, "spread")
    if joined:
        others = " and ".join(f'"{other}"' for other in joined if other != name) or "itself"
        message = f'group "{name}" is always spread over {over}, and together with {others} on one host'
        yield complain("wrong-value", message, path)
    if over in group.on:
        message = f'group "{name}" is always spread over {over}, and on {over} {group.on[over]} alone'
        yield complain("wrong-value", message, path)


def _on(name: str, stack: Stack, joined: tuple[str, ...], complain: Complain) -> Iterator[Complaint]:
    """Told once for two groups, at the one that comes later in the file."""
    names = list(stack.groups)
    for other in joined:
        if other not in stack.groups or names.index(other) >= names.index(name):
            continue
        mine, theirs = stack.groups[name].on, stack.groups[other].on
        for label in sorted(mine.keys() & theirs.keys()):
            if mine[label] != theirs[label]:
                message = f'group "{name}" is on {label} {mine[label]}, group "{other}" on {label} {theirs[label]}, and they are together'
                yield complain("wrong-value", message, ("groups", name, "on", label))
