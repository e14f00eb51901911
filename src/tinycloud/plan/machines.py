"""Machines in a plan: added, changed at their price, woken when they should run and do not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.errors import InUse, Refused
from tinycloud.model import names
from tinycloud.model.disk import ROOT
from tinycloud.model.names import DEFAULT_POOL
from tinycloud.model.plan import Act, Price
from tinycloud.plan.draft import ADDED
from tinycloud.plan.healing import has_own_disks, is_frozen
from tinycloud.plan.nics import find_limited, find_moves
from tinycloud.plan.pools import is_fixed
from tinycloud.plan.preparing import check_place
from tinycloud.plan.price import Field, compare, find_effort, worst
from tinycloud.plan.rules import tell_level
from tinycloud.plan.steps import list_removable

if TYPE_CHECKING:
    from tinycloud.model.machine import Mark, VolumeSpec
    from tinycloud.model.plan import Wanted
    from tinycloud.model.world import Machine, Volume
    from tinycloud.plan.draft import Draft


def plan_machine(draft: Draft, wanted: Wanted) -> None:
    """Whatever one machine needs, from nothing to a replacement."""
    present = draft.world.machine_by_ref.get(wanted.mark.ref)
    draft.final[wanted.mark.ref] = wanted
    if present is not None and is_frozen(draft.world, present, draft.options.only):
        draft.final[wanted.mark.ref] = replace(wanted, mark=present.mark)
        return
    _check_volumes(draft, wanted.mark, present)
    if present is None or present.is_lost:
        _add(draft, wanted, present)
        return
    fields = compare(present.mark.spec, wanted.mark.spec)
    remade = [nic.network for nic in (*wanted.mark.spec.nics, *present.mark.spec.nics) if nic.network in draft.remade]
    if remade and not any(change.name == "nics" and find_effort([change]) is Price.RESTART for change in fields):
        fields.append(Field("nics", f"network {remade[0]} is made anew", Price.RESTART))
    if fields:
        _change(draft, wanted, present, fields)
    else:
        wanted = draft.final[wanted.mark.ref] = _with_places(draft, replace(wanted, mark=present.mark))
        _wake(draft, wanted, present)
        _leave_data(draft, present)


def _leave_data(draft: Draft, present: Machine) -> None:
    """Data volumes that an earlier up took from the machine, and whose files it did not get to."""
    for file in present.mark.leaving:
        if (volume := draft.world.volume_by_name.get(file)) and file not in present.mark.volumes:
            draft.steps.remove_volume(present.host, file, present.mark.machine, ADDED, pool=volume.pool)
            draft.say(Act.REMOVE, "volume", f"{present.mark.machine}/{file}", f"left over, {volume.allocation}", Price.REMOVE)


def describe(mark: Mark) -> str:
    spec = mark.spec
    image = f"{spec.image_name} {spec.image[:7]}" if spec.image else "no image"
    nics = [f"{nic.network} {nic.address or '(its own address)'}" for nic in spec.nics]
    disk = f"disk {spec.disk}{' encrypted' if spec.disk_encrypt else ''}{_in_pool(spec.pool)}"
    prepared = ["prepared offline"] if mark.prepared_volume else []
    policies = [f"policies {' '.join(policy.name for policy in spec.policies)}"] if spec.policies else []
    ways_in = [*(f"forward {it}" for it in spec.forwards), *(f"floating address {it}" for it in spec.floating)]
    return ", ".join([str(spec.cpus), str(spec.memory), image, disk, *nics, *policies, *prepared, *ways_in])


def _in_pool(pool: str) -> str:
    return "" if pool == DEFAULT_POOL else f" in pool {pool}"


def _on_unit(draft: Draft, wanted: Wanted, volume: str, *, image: bool = False) -> str:
    """Of a disk that was there beforehand, which one, and what becomes of what it carries; empty for any other."""
    place = wanted.places.get(volume)
    if place is None or not place.unit or volume in draft.world.volume_by_name:
        return ""
    pool = draft.world.host_by_name[wanted.host].find_pool(place.pool)
    carries = any(unit.used for unit in pool.units if unit.name == place.unit) if pool else False
    fate = (", overwriting what it carries" if image else ", with what it carries") if carries else ""
    return f"on {place.unit}{fate}"


def _with_places(draft: Draft, wanted: Wanted) -> Wanted:
    """The machine with where its disks are; only now is it known which of them there will be."""
    places = draft.desired.book.place(draft.world.host_by_name[wanted.host], wanted.mark)
    check_place(wanted.mark, places.get(wanted.mark.disk_volume))
    return replace(wanted, places=places)


def _start_needs(draft: Draft, mark: Mark, host: str) -> tuple[str, ...]:
    networks = (draft.steps.name_network(nic.network, host) for nic in mark.spec.nics)
    return (*(f"group:{group}" for group in mark.spec.needs), *networks)


def _add(draft: Draft, wanted: Wanted, lost: Machine | None) -> None:
    wanted = draft.final[wanted.mark.ref] = _with_places(draft, wanted)
    mark, host = wanted.mark, wanted.host
    disks = draft.steps.create_disks(wanted, mark.volumes, half_made=_is_half_made(draft, mark))
    define = draft.steps.define(wanted, *disks)
    start = draft.steps.start(host, mark, define, *_start_needs(draft, mark, host))
    draft.done(mark.group, draft.steps.wait(host, mark, start))
    where = f"on {host}: {wanted.why_here}" if len(draft.world.hosts) > 1 else ""
    found = _on_unit(draft, wanted, mark.disk_volume, image=mark.spec.image is not None)
    text = ", ".join(filter(None, (describe(mark), found, tell_level(wanted), _tell_return(lost))))
    draft.say(Act.ADD, "machine", mark.machine, text, Price.ADD, where)
    for volume in mark.spec.volumes:
        parts = [
            f"{volume.size}{_in_pool(volume.pool)}",
            "keep" if volume.keep else "",
            "encrypted" if volume.encrypt else "",
            f"from image {volume.image[:7]}" if volume.image else "",
            _found(draft, mark.data_volume(volume.name)),
            _on_unit(draft, wanted, mark.data_volume(volume.name)),
        ]
        draft.say(Act.ADD, "volume", f"{mark.machine}/{volume.name}", ", ".join(filter(None, parts)), Price.ADD)


def _tell_return(lost: Machine | None) -> str:
    """What a machine comes back with whose host is off."""
    if lost is None:
        return ""
    return f"was on {lost.host}, {'with its disks as they are' if has_own_disks(lost) else 'made anew from its image'}"


def _is_half_made(draft: Draft, mark: Mark) -> bool:
    """True for a disk without a machine that was begun to be prepared, and not finished: nothing says how far that came."""
    begun = mark.prepared_volume is not None and mark.disk_volume in draft.world.volume_by_name
    prefix = names.prepared_name(mark.stack, mark.machine, mark.spec.disk_generation, "")
    return begun and not any(name.startswith(prefix.removesuffix(".json")) for name in draft.world.volume_by_name)


def _found(draft: Draft, volume: str) -> str:
    return "found as it was left" if volume in draft.world.volume_by_name else ""


def _check_borrowed(draft: Draft, new: Mark, volume: str) -> None:
    """A volume that stayed behind may have been plugged into another machine since."""
    others = [ref for ref in draft.world.borrowers.get(new.data_volume(volume), ()) if ref != new.ref]
    if others:
        hint = f"tinycloud disk list {others[0]}; tinycloud disk detach {others[0]} NAME"
        raise InUse(f"volume {new.machine}/{volume} is plugged into {others[0]}", hint=hint)


def _check_volumes(draft: Draft, new: Mark, present: Machine | None) -> None:
    """Data is not thrown away by making a number smaller, whatever the flags; nor when a volume is found that was left behind."""
    before = {volume.name: volume for volume in present.mark.spec.volumes} if present else {}
    for volume in new.spec.volumes:
        _check_borrowed(draft, new, volume.name)
        file, old = draft.world.volume_by_name.get(new.data_volume(volume.name)), before.get(volume.name)
        _check_pool(f"{new.machine}/{volume.name}", volume, file)
        found = file if file and not is_fixed(draft.world, file.host, file.pool) else None
        size = old.size if old else found.capacity if found else volume.size
        if old is not None and old.encrypt != volume.encrypt:
            raise Refused(
                f"volume {new.machine}/{volume.name} is {'' if old.encrypt else 'not '}encrypted, the file says otherwise",
                code="encryption",
                hint="declare a volume of another name and copy the data",
            )
        if volume.size < size:
            raise Refused(
                f"volume {new.machine}/{volume.name} is {size}, the file says {volume.size}: data volumes do not shrink",
                code="too-small",
                hint="declare a volume of another name and copy the data",
            )


def _check_pool(name: str, wanted: VolumeSpec, found: Volume | None) -> None:
    if found and found.pool != wanted.pool:
        raise Refused(
            f"volume {name} is in pool {found.pool}, the file says {wanted.pool}: data does not move by itself",
            code="other-pool",
            hint=f"pool: {found.pool}, or declare a volume of another name and copy the data",
        )


def _change(draft: Draft, wanted: Wanted, present: Machine, fields: list[Field]) -> None:
    price = worst(fields)
    dear = next(change for change in fields if change.price is price)
    mark, old = wanted.mark, present.mark
    if price is Price.REPLACE and not draft.options.allows(mark.machine, mark.group):
        draft.say(Act.REFUSED, "machine", mark.machine, ", ".join(change.text for change in fields), price, dear.reason)
        return
    effort = find_effort(fields)
    spec = replace(mark.spec, disk_generation=old.spec.disk_generation + 1) if effort is Price.REPLACE else mark.spec
    wanted = _with_places(draft, replace(wanted, mark=replace(mark, generation=old.generation + 1, spec=spec)))
    draft.final[mark.ref] = wanted
    texts = [*(change.text for change in fields), *_left_behind(draft, wanted, old)]
    if any(change.name in ("level", "policies") for change in fields) and (why := tell_level(wanted)):
        texts.append(why)
    if effort is Price.LIVE and not present.is_off:
        _change_live(draft, wanted, present)
    else:
        texts += [*_lost(draft, wanted.mark, old), *([_off(present)] if present.is_off else [])]
        _restart(draft, wanted, present)
    draft.say(Act.CHANGE, "machine", mark.machine, ", ".join(texts), price, dear.reason)


def _left_behind(draft: Draft, wanted: Wanted, old: Mark) -> list[str]:
    """Volumes that the machine gets and that exist, or that carry something."""
    new = wanted.mark
    added = [volume.name for volume in new.spec.volumes if new.data_volume(volume.name) not in old.volumes]
    found = [f"volume {name} {text}" for name in added if (text := _found(draft, new.data_volume(name)))]
    return found + [f"volume {name} {text}" for name in added if (text := _on_unit(draft, wanted, new.data_volume(name)))]


def _lost(draft: Draft, new: Mark, old: Mark) -> list[str]:
    """Disks that a machine should have and has not: somebody took them away, or an interrupted execution did not get to them."""
    lost = {volume for volume in old.volumes if volume not in draft.world.volume_by_name}
    words = ["disk"] if new.disk_volume in lost else []
    words += [f"volume {volume.name}" for volume in new.spec.volumes if new.data_volume(volume.name) in lost]
    return [f"{word} is missing and made anew" for word in words]


def _off(present: Machine) -> str:
    """``stopped (power cut) → running``"""
    return f"{present.state}{f' ({present.reason})' if present.reason else ''} → running"


def _change_live(draft: Draft, wanted: Wanted, present: Machine) -> None:
    mark, host, old, new = wanted.mark, wanted.host, present.mark, wanted.mark.spec
    before = {volume.name for volume in old.spec.volumes}
    added = [mark.data_volume(volume.name) for volume in new.volumes if volume.name not in before]
    seeds = [it for it in (old.seed_volume, mark.seed_volume) if it] if old.seed_volume != mark.seed_volume else []
    made = draft.steps.create_disks(wanted, [*added, *(seeds[1:])])
    gone = [volume for volume in old.volumes if volume not in mark.volumes and volume not in seeds]
    moves = find_moves(old.spec.nics, new.nics)
    changes = {
        "memory": [old.spec.memory, new.memory] if new.memory != old.spec.memory else None,
        "cpus": [old.spec.cpus.count, new.cpus.count] if new.cpus != old.spec.cpus else None,
        "grow": _grown(mark, old),
        "attach": added,
        "detach": gone,
        "limits": _limited(mark, old),
        "medium": [list(old.medium), list(mark.medium)] if old.medium != mark.medium else None,
        "seed": seeds,
        "unplug": [nic.mac for nic in moves.unplug],
        "plug": [nic.mac for nic in moves.plug],
        "bandwidth": find_limited(old.spec.nics, new.nics),
    }
    first = [draft.steps.name_network(nic.network, host) for nic in moves.plug]
    if _is_paused_by_hand(present):  # a guest that stands still lets nothing go
        first.append(draft.steps.resume(host, mark))
    live = draft.steps.change_live(host, mark, changes, draft.steps.define(wanted, *made), *first)
    draft.done(mark.group, _see_ready(draft, wanted, present, live) or live)
    for volume in [*mark.leaving, *seeds[:1]]:
        draft.steps.remove_volume(host, volume, mark.machine, ADDED)


def _limited(mark: Mark, old: Mark) -> dict[str, list[dict[str, int]]]:
    """File → limits as they are and as they should be, of disks that stay and whose limits change."""
    stay = [ROOT, *(volume.name for volume in mark.spec.volumes if mark.data_volume(volume.name) in old.volumes)]
    pairs = {mark.file_of(disk): (old.spec.limits(disk), mark.spec.limits(disk)) for disk in stay}
    return {file: [was.settings, will.settings] for file, (was, will) in pairs.items() if was != will}


def _see_ready(draft: Draft, wanted: Wanted, present: Machine, *after: str) -> str | None:
    """The step after which a machine that is on is ready, None when it is. One that a person paused goes on, in one of ``after``."""
    mark, host = wanted.mark, wanted.host
    last = None
    if _is_paused_by_hand(present):
        last = after[-1] if after else draft.steps.resume(host, mark)
    elif present.state != "running":
        return None
    if not _was_ready(present, mark):
        last = draft.steps.wait(host, mark, *([last] if last else after))
    return last


def _is_paused_by_hand(present: Machine) -> bool:
    return present.state == "paused" and present.reason == "by a person"


def _was_ready(present: Machine, mark: Mark) -> bool:
    """True when the machine, since its start, was seen to come at least as far as it should."""
    return present.live.reaches(mark.spec.level)


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
    there = {volume for volume in old.volumes if volume in draft.world.volume_by_name}
    missing = [volume for volume in mark.volumes if volume not in there]
    in_use = not present.is_off and mark.disk_volume in there
    half_made = mark.disk_volume not in old.volumes and _is_half_made(draft, mark)
    made = draft.steps.create_disks(wanted, [it for it in missing if not in_use or it != mark.prepared_volume], half_made=half_made)
    stopped = made
    if not present.is_off:
        turn = [draft.queues[mark.group]] if mark.group in draft.queues and not draft.remade else []
        stopped = [draft.steps.stop(host, old, *made, *turn)]
        for nic in old.spec.nics:
            draft.off.setdefault(nic.network, []).extend(stopped)
    sized = [draft.steps.resize_volume(wanted, volume, size, *stopped) for volume, size in _grown(mark, old).items()]
    ready_disk = [draft.steps.prepare_alone(wanted, *stopped, *sized)] if in_use and mark.prepared_volume in missing else []
    define = draft.steps.define(wanted, *stopped, *sized, *ready_disk)
    start = draft.steps.start(host, mark, define, *_start_needs(draft, mark, host))
    ready = draft.steps.wait(host, mark, start)
    draft.queues[mark.group] = ready
    draft.done(mark.group, ready)
    now = set(mark.volumes)
    for volume in dict.fromkeys([*list_removable(old, volumes=False), *mark.leaving]):
        if volume not in now:
            found = draft.world.volume_by_name.get(volume)
            draft.steps.remove_volume(host, volume, mark.machine, ADDED, pool=found.pool if found else old.pool_of(volume))


def _wake(draft: Draft, wanted: Wanted, present: Machine) -> None:
    """A machine that is as declared, but perhaps not running or not seen to be ready."""
    mark, host = wanted.mark, wanted.host
    if present.is_off:
        text = ", ".join([_off(present), *_lost(draft, mark, mark)])
        draft.say(Act.CHANGE, "machine", mark.machine, text, Price.LIVE)
        missing = draft.steps.create_disks(wanted, [volume for volume in mark.volumes if volume not in draft.world.volume_by_name])
        start = draft.steps.start(host, mark, *missing, *_start_needs(draft, mark, host))
        draft.done(mark.group, draft.steps.wait(host, mark, start))
    elif step := _see_ready(draft, wanted, present):
        text = "paused → running" if present.state == "paused" else "not seen ready yet"
        draft.say(Act.CHANGE, "machine", mark.machine, text, Price.LIVE)
        draft.done(mark.group, step)
