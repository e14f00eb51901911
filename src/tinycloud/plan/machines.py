"""Machines in a plan: added, changed at their price, woken when they should run and do not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.model.plan import Act, Price
from tinycloud.plan.draft import ADDED
from tinycloud.plan.price import Field, compare, worst
from tinycloud.plan.steps import list_removable

if TYPE_CHECKING:
    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import Wanted
    from tinycloud.model.world import Machine
    from tinycloud.plan.draft import Draft

_OFF = ("stopped", "crashed")


def plan_machine(draft: Draft, wanted: Wanted) -> None:
    """Whatever one machine needs, from nothing to a replacement."""
    present = draft.world.machine_by_ref.get(wanted.mark.ref)
    draft.final[wanted.mark.ref] = wanted
    if present is None:
        _add(draft, wanted)
        return
    _check_volumes(wanted.mark, present.mark)
    fields = compare(present.mark.spec, wanted.mark.spec)
    remade = [nic.network for nic in wanted.mark.spec.nics if nic.network in draft.remade]
    if remade and not any(change.name == "nics" for change in fields):
        fields.append(Field("nics", f"network {remade[0]} is made anew", Price.RESTART))
    if fields:
        _change(draft, wanted, present, fields)
    else:
        draft.final[wanted.mark.ref] = replace(wanted, mark=present.mark)
        _wake(draft, wanted, present)


def describe(mark: Mark) -> str:
    spec = mark.spec
    image = f"{spec.image_name} {spec.image[:7]}" if spec.image else "no image"
    nics = [f"{nic.network} {nic.address or '(its own address)'}" for nic in spec.nics]
    return ", ".join([str(spec.cpus), str(spec.memory), image, *nics])


def _start_needs(mark: Mark) -> tuple[str, ...]:
    return (*(f"group:{group}" for group in mark.spec.needs), *(f"net:{nic.network}" for nic in mark.spec.nics))


def _add(draft: Draft, wanted: Wanted) -> None:
    mark, host = wanted.mark, wanted.host
    draft.count(mark)
    disks = draft.steps.create_disks(wanted, f"pool:{host}")
    define = draft.steps.define(wanted, *disks)
    start = draft.steps.start(host, mark, define, *_start_needs(mark))
    draft.done(mark.group, draft.steps.wait(host, mark, start))
    draft.say(Act.ADD, "machine", mark.machine, describe(mark), Price.ADD, f"on {host}: {wanted.why_here}")
    for volume in mark.spec.volumes:
        text = f"{volume.size}{', keep' if volume.keep else ''}"
        if mark.data_volume(volume.name) in draft.world.volume_by_name:
            text += ", found as it was left"
        draft.say(Act.ADD, "volume", f"{mark.machine}/{volume.name}", text, Price.ADD)


def _check_volumes(new: Mark, old: Mark) -> None:
    """Data is not thrown away by making a number smaller, whatever the flags."""
    before = {volume.name: volume.size for volume in old.spec.volumes}
    for volume in new.spec.volumes:
        if volume.size < before.get(volume.name, volume.size):
            raise Refused(
                f"volume {new.machine}/{volume.name} is {before[volume.name]}, the file says {volume.size}: data volumes do not shrink",
                code="wrong-value",
                hint="declare a volume of another name and copy the data",
            )


def _change(draft: Draft, wanted: Wanted, present: Machine, fields: list[Field]) -> None:
    price = worst(fields)
    dear = next(change for change in fields if change.price is price)
    text = ", ".join(change.text for change in fields)
    mark = wanted.mark
    if price is Price.REPLACE and not draft.options.allows(mark.machine, mark.group):
        draft.say(Act.REFUSED, "machine", mark.machine, text, price, dear.reason)
        return
    spec = mark.spec
    if price is Price.REPLACE:
        spec = replace(spec, disk_generation=present.mark.spec.disk_generation + 1)
    wanted = replace(wanted, mark=replace(mark, generation=present.mark.generation + 1, spec=spec))
    draft.final[mark.ref] = wanted
    draft.say(Act.CHANGE, "machine", mark.machine, text, price, dear.reason)
    if price is Price.LIVE and present.state not in _OFF:
        _change_live(draft, wanted, present.mark)
    else:
        _restart(draft, wanted, present)


def _change_live(draft: Draft, wanted: Wanted, old: Mark) -> None:
    mark, new = wanted.mark, wanted.mark.spec
    before = {volume.name for volume in old.spec.volumes}
    added = [volume for volume in new.volumes if volume.name not in before]
    made = [draft.steps.create_volume(wanted, volume.name, volume.size) for volume in added]
    define = draft.steps.define(wanted, *made)
    args = {
        "domain": mark.domain,
        "machine": mark.ref,
        "memory": [old.spec.memory, new.memory] if new.memory != old.spec.memory else None,
        "cpus": [old.spec.cpus.count, new.cpus.count] if new.cpus != old.spec.cpus else None,
        "grow": _grown(mark, old),
        "attach": [mark.data_volume(volume.name) for volume in added],
    }
    draft.done(mark.group, draft.steps.add(f"{mark.machine}:live", "machine.live", mark.machine, args, define, host=wanted.host))


def _grown(mark: Mark, old: Mark) -> dict[str, int]:
    """Volumes that stay and whose size rises, with their new size."""
    grown = {mark.disk_volume: int(mark.spec.disk)} if mark.disk_volume == old.disk_volume and mark.spec.disk > old.spec.disk else {}
    before = {volume.name: volume.size for volume in old.spec.volumes}
    return grown | {mark.data_volume(v.name): int(v.size) for v in mark.spec.volumes if v.size > before.get(v.name, v.size)}


def _restart(draft: Draft, wanted: Wanted, present: Machine) -> None:
    """Stop, change, start; one machine of a group after the other, so that a group is never away as a whole.

    What can be made while the machine still runs is made then, to keep it away for as short as possible.
    """
    mark, old, host = wanted.mark, present.mark, wanted.host
    made = _make_new_volumes(draft, wanted, old)
    stopped = made
    if present.state not in _OFF:
        turn = [draft.queues[mark.group]] if mark.group in draft.queues and not draft.remade else []
        stopped = [draft.steps.stop(host, old, *made, *turn)]
        for nic in old.spec.nics:
            draft.off.setdefault(nic.network, []).extend(stopped)
    sized = [draft.steps.resize_volume(host, volume, size, mark.machine, *stopped) for volume, size in _grown(mark, old).items()]
    define = draft.steps.define(wanted, *stopped, *sized)
    start = draft.steps.start(host, mark, define, *_start_needs(mark))
    ready = draft.steps.wait(host, mark, start)
    draft.queues[mark.group] = ready
    draft.done(mark.group, ready)
    now = set(mark.volumes)
    for volume in list_removable(old, volumes=False):
        if volume not in now:
            draft.leaving.append(draft.steps.remove_volume(host, volume, mark.machine, ADDED))


def _make_new_volumes(draft: Draft, wanted: Wanted, old: Mark) -> list[str]:
    mark = wanted.mark
    before = set(old.volumes)
    made = [draft.steps.create_root(wanted)] if mark.disk_volume not in before else []
    made += [draft.steps.create_volume(wanted, v.name, v.size) for v in mark.spec.volumes if mark.data_volume(v.name) not in before]
    return made + (draft.steps.write_seed(wanted) if mark.seed_volume not in before else [])


def _wake(draft: Draft, wanted: Wanted, present: Machine) -> None:
    """A machine that is as declared, but perhaps not running or not seen to be ready."""
    mark, host = present.mark, wanted.host
    if present.state in _OFF:
        draft.say(Act.CHANGE, "machine", mark.machine, f"{present.state} → running", Price.LIVE, present.reason)
        # Disks that an interrupted execution did not get to, or that somebody took away, are made again.
        whole = all(volume in draft.world.volume_by_name for volume in mark.volumes)
        missing = [] if whole else draft.steps.create_disks(replace(wanted, mark=mark))
        start = draft.steps.start(host, mark, *missing, *_start_needs(mark))
        draft.done(mark.group, draft.steps.wait(host, mark, start))
    elif present.state == "paused" and present.reason == "by a person":
        draft.say(Act.CHANGE, "machine", mark.machine, "paused → running", Price.LIVE)
        draft.done(mark.group, draft.steps.resume(host, mark))
    elif present.state == "running" and present.live.level != mark.spec.level:
        draft.say(Act.CHANGE, "machine", mark.machine, "not seen ready yet", Price.LIVE)
        draft.done(mark.group, draft.steps.wait(host, mark))
