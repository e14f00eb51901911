"""Images that machines need where they are not: sent there once, from the nearest host that has them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.model import names
from tinycloud.model.host import LOCAL
from tinycloud.model.plan import Act, Change, Price

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from tinycloud.model.plan import Step, Wanted
    from tinycloud.model.world import Host, Image, World
    from tinycloud.plan.draft import Draft
    from tinycloud.plan.steps import StepList

NEAR = ("rack", "zone")
"""Labels that say what is near what, the nearest first."""


def plan_images(draft: Draft) -> None:
    """Send each image that a step works with to where it works, before it does; however many steps there need it."""
    draft.changes[:0] = send_lacking(draft.steps, draft.world, draft.final)


def send_lacking(steps: StepList, world: World, machines: Mapping[str, Wanted]) -> list[Change]:
    """The same for any list of steps; returns what people are told of it."""
    there = {(image.host, image.sha) for image in world.images}
    known = {image.sha for image in world.images if image.host in world.host_by_name}
    sends: set[tuple[str, str]] = set()
    for number, step in enumerate(steps.steps):
        lacking = [
            (_find_place(step), sha) for sha in list_images(step, machines) if sha in known and (_find_place(step), sha) not in there
        ]
        if lacking:
            steps.steps[number] = replace(step, needs=(*step.needs, *(_name(sha, host) for host, sha in lacking)))
            sends |= set(lacking)
    return [_send(steps, world, world.host_by_name[host], sha) for host, sha in sorted(sends)]


def _find_place(step: Step) -> str:
    """The host whose store a step works with: a machine that moves needs its images where it goes."""
    return str(step.args["target"]) if step.kind == "machine.move" else step.host


def list_images(step: Step, machines: Mapping[str, Wanted]) -> list[str]:
    """The images, by sha256, that a step finds in the store of its host."""
    if step.kind in ("disk.create", "disk.copy", "disk.bring"):
        return [sha] if (sha := step.args.get("image")) else []
    if step.kind == "machine.move":
        return list(step.args["images"])
    if step.kind == "machine.define" and (wanted := machines.get(step.args["machine"])):
        return sorted({sha for file in wanted.mark.borrowed if (sha := names.find_image_sha(file))})
    return []


def _send(steps: StepList, world: World, target: Host, sha: str) -> Change:
    image = find_nearest(world, sha, target)
    name = image.names[0] if image.names else sha[:12]
    args = {"image": sha, "from": image.host, "bytes": int(image.stored)}
    steps.add(_name(sha, target.name), "image.send", f"image {name} to {target.name}", args, f"pool:{target.name}", host=target.name)
    return Change(Act.ADD, "image", name, f"to {target.name}, {image.stored}", Price.ADD, f"from {image.host}")


def _name(sha: str, host: str) -> str:
    return f"image:{sha[:12]}@{host}"


def get_meaning(world: World, name: str) -> Image | None:
    """The image of that name, or of those first digits; None for none. Raises Refused for a name that hosts do not agree on."""
    image = world.find_image(name)
    if image is None or name not in image.names:
        return image
    meanings = {it.sha: it for it in world.list_answering() if name in it.names}
    if len(meanings) > 1:
        facts = [f"{it.sha[:12]}  on {', '.join(other.host for other in world.images if other.sha == it.sha)}" for it in meanings.values()]
        what = f'"{name}" is the name of {len(meanings)} images'
        raise Refused(what, code="ambiguous", facts=facts, hint=f"tinycloud image tag {image.sha[:12]} {name}")
    return image


def find_nearest(world: World, sha: str, target: Host) -> Image:
    """The copy of an image that is nearest to a host. Raises Refused when no host that answers has one."""
    copies = [image for image in world.images if image.sha == sha and image.host in world.host_by_name]
    usable = [image for image in copies if not world.host_by_name[image.host].unreachable]
    if not usable:
        raise _make_refusal(world, copies)
    return min(usable, key=lambda image: rate_way(world.host_by_name[image.host], target))


def rate_way(source: Host, target: Host) -> tuple[bool | str, ...]:
    """Smaller is nearer: in the same rack, in the same zone, in the same small network, on the controller's own machine, by name."""
    apart = (not _share(source, target, label) for label in NEAR)
    return (*apart, not _are_neighbours(source, target), source.name != LOCAL, source.name)


def _are_neighbours(source: Host, target: Host) -> bool:
    """By their addresses for each other: the controller may be a laptop far away from all others."""
    one, other = _find_network(source.entry.address), _find_network(target.entry.address)
    return one is not None and one == other


def _find_network(address: str) -> IPv4Network | IPv6Network | None:
    """The /24, or /64, that an address is in; None for a name, and for none."""
    try:
        return ip_network(f"{address}/{64 if ':' in address else 24}", strict=False)
    except ValueError:
        return None


def _share(one: Host, other: Host, label: str) -> bool:
    found = one.entry.find_label(label)
    return bool(found) and found == other.entry.find_label(label)


def _make_refusal(world: World, copies: Iterable[Image]) -> Refused:
    images = list(copies)
    why = [f"{image.host}  {world.host_by_name[image.host].unreachable}" for image in images]
    return Refused(f"image {images[0].label} is on no host that answers", code="image-away", facts=why, hint="tinycloud host list")
