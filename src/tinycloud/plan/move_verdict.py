"""Who has a machine whose move was interrupted: told by what is true on both hosts; pure.

The order of libvirt's own steps is what this stands on: memory is sent while the machine runs on the source; it stands still there
(paused, "migrating") before the target's copy is let go; only after that one runs is the source's process ended. A copy that still
waits for memory is paused, "migrating" too, and is worth nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.model.move import Verdict, Way

if TYPE_CHECKING:
    from tinycloud.model.move import Side

WAITING: Final = ("migrating", "starting")
"""Why a copy is paused that has not got all of its memory."""


def decide(source: Side, target: Side, way: Way) -> Verdict:
    """Who has it. The other side's copy then goes, whatever it is."""
    if source.state == "gone" and target.state == "gone":
        return Verdict.NEITHER
    if way is Way.COLD:
        return _decide_cold(source, target)
    if target.runs:
        return Verdict.SOURCE if source.runs and _is_the_same(source, target) else Verdict.TARGET
    if source.is_active:
        return Verdict.SOURCE
    return _decide_stopped(source, target)


def _is_the_same(source: Side, target: Side) -> bool:
    """Both run the machine that was to move: the answer that it had arrived was lost, and libvirt went back. What it says counts.

    A source that somebody started anew since is the copy, and has an old disk.
    """
    return source.started == target.started


def _decide_stopped(source: Side, target: Side) -> Verdict:
    """The source does not have its memory any more."""
    if source.state == "gone":
        return Verdict.TARGET
    if target.is_active:
        return Verdict.SOURCE if target.reason in WAITING else Verdict.TARGET
    has_left = source.reason == "migrated" and target.state != "gone"
    return Verdict.TARGET if has_left else Verdict.SOURCE


def _decide_cold(source: Side, target: Side) -> Verdict:
    """Its definition on the target is written last, and counts one change more. What somebody started meanwhile counts first."""
    if source.is_active != target.is_active:
        return Verdict.SOURCE if source.is_active else Verdict.TARGET
    return Verdict.TARGET if target.state != "gone" and target.generation > source.generation else Verdict.SOURCE
