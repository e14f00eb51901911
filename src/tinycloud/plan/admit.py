"""May a plan have the disk space that it asks for? Promises stay below each pool's limit, and its reserve stays free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import Refused
from tinycloud.model import names
from tinycloud.model.units import Bytes
from tinycloud.plan.space import count_uses, name_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycloud.model.plan import Step
    from tinycloud.model.world import World
    from tinycloud.plan.space import PoolUse

Where = tuple[str, str]
"""Host and pool."""

_NEW_DISK: Final = 256 * 1024
_NEW_SEED: Final = 128 * 1024
_NEW_NOTE: Final = 4096
_FEW: Final = 5


@dataclass
class Asked:
    """What steps ask of one pool, in bytes."""

    now: int = 0
    """What they take at once."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Volume → how large it is made."""
    gone: set[str] = field(default_factory=set)
    has_disks: bool = False
    """True when a disk is made or grows: a note or a seed alone is always written."""


def check_space(steps: Iterable[Step], world: World) -> None:
    """Raises Refused when the steps would promise more than a pool's limit, or write into its reserve.

    What counts is the state after all steps: a disk that is replaced is promised once. A plan that promises no more than there
    was before is never refused for promises that others made.
    """
    asked = list_asked(steps, world)
    for use in count_uses(world):
        if (it := asked.get((use.host, use.pool.name))) is not None and it.has_disks and not use.pool.is_fixed:
            _check_reserve(use, it)
            _check_limit(use, it)


def list_asked(steps: Iterable[Step], world: World) -> dict[Where, Asked]:
    """What the steps ask of each pool they touch."""
    present = {(volume.host, volume.name): volume for volume in world.volumes}
    out: dict[Where, Asked] = {}
    for step in steps:
        for volume, size in list_sizes(step):
            it = out.setdefault(_place(step, volume, world), Asked())
            it.has_disks = True
            it.now += _count_new(step, world) if (step.host, volume) not in present else 0
            it.sizes[volume] = max(size, it.sizes.get(volume, 0))
        if step.kind == "image.send":
            it = out.setdefault((step.host, names.DEFAULT_POOL), Asked())
            it.has_disks = True
            it.now += step.args["bytes"]
            it.sizes[names.image_name(step.args["image"])] = step.args["bytes"]
        elif step.kind in ("seed.write", "note.write"):
            out.setdefault((step.host, names.DEFAULT_POOL), Asked()).now += _NEW_SEED if step.kind == "seed.write" else _NEW_NOTE
        elif step.kind == "volume.remove":
            out.setdefault(_place(step, step.args["volume"], world), Asked()).gone.add(step.args["volume"])
    return out


def _count_new(step: Step, world: World) -> int:
    """What a new disk takes at first: nearly nothing, unless an image is copied onto it."""
    image = step.args.get("image") if step.kind == "disk.copy" else None
    return next((int(it.size) for it in world.images if it.sha == image), _NEW_DISK)


def list_sizes(step: Step) -> Iterator[tuple[str, int]]:
    """(volume, how large the step makes it)."""
    if step.kind in ("disk.create", "disk.copy", "disk.resize"):
        yield step.args["volume"], step.args["size"]
    elif step.kind == "machine.live":
        yield from step.args["grow"].items()


def _place(step: Step, volume: str, world: World) -> Where:
    present = world.volume_by_name.get(volume)
    pool: Any = step.args.get("pool") or (present.pool if present else names.DEFAULT_POOL)
    return step.host, str(pool)


def _check_limit(use: PoolUse, asked: Asked) -> None:
    present = {item.file: item.promised for item in use.items}
    more = _list_more(use, asked)
    less = sum(present.get(file, 0) for file in asked.gone - asked.sizes.keys())
    after = use.promised + sum(more.values()) - less
    if after <= max(use.limit, use.promised):
        return
    raise Refused(
        f'pool "{use.pool.name}" of {use.host} would promise {Bytes(after)}, {Bytes(after - use.limit)} more than its limit '
        f"of {use.limit} ({use.pool.overcommit:g} times {use.pool.capacity})",
        code="overcommit",
        facts=[*_tell_more(more), *_tell_promised(use)],
        hint=f"declare smaller disks, or: tinycloud pool set {use.pool.name} --overcommit {_find_factor(after, use.pool.capacity)}",
    )


def _list_more(use: PoolUse, asked: Asked) -> dict[str, int]:
    """Volume → by how much it grows, or how large it is made."""
    present = {item.file: item.promised for item in use.items}
    return {file: size - present.get(file, 0) for file, size in asked.sizes.items() if size > present.get(file, 0)}


def _tell_more(more: dict[str, int]) -> list[str]:
    """The largest of what is asked for, by people's names."""
    largest = sorted(more.items(), key=lambda it: (-it[1], it[0]))
    words = [f"{name_file(file)} {Bytes(size)}" for file, size in largest[:_FEW]]
    rest = sum(size for _, size in largest[_FEW:])
    return [f"asked for   {', '.join(words)}{f', others {Bytes(rest)}' if rest else ''}"]


def _tell_promised(use: PoolUse) -> list[str]:
    shares = sorted(use.share_out(), key=lambda share: -share.promised)
    return [f"promised    {', '.join(f'{share.name} {share.promised}' for share in shares[:_FEW])}"] if shares else []


def _find_factor(promised: int, capacity: int) -> str:
    """The smallest factor with one decimal that would do."""
    tenths = -(-10 * promised // max(1, capacity))
    return f"{tenths / 10:g}"


def _check_reserve(use: PoolUse, asked: Asked) -> None:
    need = sum(_list_more(use, asked).values()) if use.pool.is_thick else asked.now
    free = use.pool.free - use.pool.reserve
    if need <= free:
        return
    reserved = f", of which {use.pool.reserve} are its reserve" if use.pool.reserve else ""
    raise Refused(
        f'pool "{use.pool.name}" of {use.host} has {use.pool.free} free{reserved}; {Bytes(need)} are needed at once',
        code="no-space",
        facts=[f"largest     {item.name} {item.allocated}{f' ({item.note})' if item.note else ''}" for item in use.items[:_FEW]],
        hint="tinycloud space",
    )
