"""Which machine is meant when somebody asks how many more of it fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.errors import NotFound, WrongInput, make_did_you_mean
from tinycloud.model.units import parse_bytes
from tinycloud.plan.placing.capacity import describe_group, describe_mark, describe_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.world import World
    from tinycloud.plan.placing.capacity import Kind
    from tinycloud.source import Loaded


def find_kind(world: World, ref: str) -> Kind:
    """One more of a group that exists (``shop/web``); raises NotFound."""
    stack, _, group = ref.partition("/")
    found = [machine for machine in world.stack_machines(stack) if machine.mark.group == group or machine.mark.machine == group]
    if found:
        return describe_mark(world, found[-1])
    groups = sorted({f"{machine.mark.stack}/{machine.mark.group}" for machine in world.machines})
    there = [name for name in groups if name.startswith(f"{stack}/")] or groups
    hint = make_did_you_mean(ref, groups) or "tinycloud capacity FILE GROUP, for a group that is not up"
    raise NotFound(f'there is no group "{ref}"', facts=[f"groups: {', '.join(there[:20]) or 'none'}"], hint=hint)


def find_declared(world: World, loaded: Loaded, group: str) -> Kind:
    """One more of a group of a stack file; raises NotFound."""
    stack = loaded.stack
    if group not in stack.groups:
        hint = make_did_you_mean(group, stack.groups) or f"tinycloud capacity FILE {next(iter(stack.groups), 'GROUP')}"
        raise NotFound(f'stack "{stack.stack}" has no group "{group}"', facts=[f"groups: {', '.join(stack.groups) or 'none'}"], hint=hint)
    label = stack.groups[group].image
    use = stack.images.get(label) if label else None
    source = use.source if use else label
    return describe_group(stack, group, world, world.find_image(loaded.images.get(label or "", source)) if source else None)


def parse_size(text: str, what: str) -> int:
    """Bytes; 0 where nothing is said. Raises WrongInput."""
    try:
        return int(parse_bytes(text)) if text else 0
    except ValueError as err:
        raise WrongInput(f"{what}: {err}", hint=f"--{what} 2GiB") from err


def make_kind(world: World, memory: int, cpus: int, disk: int, image: str, on: Mapping[str, str]) -> Kind:
    """A machine of which only the size is said; its disk is the image's where none is. Raises NotFound, WrongInput."""
    if not memory:
        raise WrongInput("it is not said what is to be counted", hint="tinycloud capacity shop/web, or: tinycloud capacity --memory 2GiB")
    found = world.find_image(image) if image else None
    if image and found is None:
        known = sorted({name for it in world.images for name in it.names})
        hint = make_did_you_mean(image, known) or "tinycloud image list"
        raise NotFound(f'there is no image "{image}"', facts=[f"images: {', '.join(known) or 'none'}"], hint=hint)
    return describe_size(memory, cpus, disk or (int(found.size) if found else 0), on)
