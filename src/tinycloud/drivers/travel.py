"""A file from one host to another: two scripts, each where the bytes are, which meet each other, or speak through this process.

Where the one that gives reaches the one that takes, the bytes go straight, encrypted, between two that know each other by a badge made
for this transfer (``onhost/meet.py``). Where it does not, they go through a pipe here: hosts need not reach each other. Either way only
data goes, never more than a pipe full of it is anywhere, and the host that takes an image hashes it before it has its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.badge import make_badge
from tinycloud.drivers.onhost import make_script
from tinycloud.errors import Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.shell import Shell
    from tinycloud.drivers.talk import Talk

    Progress = Callable[[int, int], None]

_BEGINNING: Final = 60.0
"""Seconds for a script's first word: what does not say it in that time never will."""
_SILENCE: Final = 300.0
_LONGEST: Final = 24 * 3600.0
"""While another brings the same image, and while what came is hashed and written to the disk."""
_BEGIN: Final = "import sys;exec(compile(sys.stdin.buffer.read(int(sys.argv[1])),sys.argv[3],'exec'))"


@dataclass(frozen=True)
class Way:
    """From where to where. ``label`` is what people are told; ``card`` is kept beside the image, empty for none.

    ``at``: the target's address for the source, empty where the bytes shall go through here. ``on_way`` hears, where there
    is one, empty words when they go straight, and else why not.
    """

    source: Shell
    path: str
    target: Shell
    folder: str
    sha: str
    label: str
    card: str = ""
    at: str = ""
    on_way: Callable[[str], None] | None = None


@dataclass(frozen=True)
class _Ends:
    """The same for any file: what gives, and the script that takes with its arguments."""

    source: Shell
    path: str
    target: Shell
    taker: str
    args: dict[str, Any]
    at: str
    on_way: Callable[[str], None] | None
    progress: Progress | None

    def tell_way(self, why: str) -> None:
        if self.on_way and self.at:
            self.on_way(why)

    def tell(self, done: int, total: int) -> None:
        if self.progress:
            self.progress(done, total)


class _LostError(Exception):
    """The hosts had met, and then nothing came any more."""


def travel(way: Way, progress: Progress | None = None) -> int:
    """Have the image in the folder of the target; returns the bytes that came, 0 when it was there.

    Goes on where an earlier try was interrupted. ``progress`` hears (bytes, bytes in all; 0 while another brings the image), and may
    raise to end it. Raises Refused (changed-image for one that is not what its name says, no-space), ToolFailed.
    """
    args = {"folder": way.folder, "sha": way.sha, "card": way.card.rstrip(), "room": len(way.card), "label": way.label}
    ends = _Ends(way.source, way.path, way.target, "take", args, way.at, way.on_way, progress)
    try:
        told = _run(ends)
        if "again" in told:  # what was there of an earlier try had been damaged, and is gone
            told = _run(ends)
    except ToolFailed as err:
        raise ToolFailed(f"{way.label} did not arrive", facts=[err.message, *err.facts], hint="try again: what came is kept") from err
    if "again" in told:
        raise ToolFailed(f"{way.label} came wrong twice")
    return int(told["done"]["came"])


def carry(
    source: tuple[Shell, str],
    target: tuple[Shell, str],
    label: str,
    progress: Progress,
    *,
    at: str = "",
    on_way: Callable[[str], None] | None = None,
) -> None:
    """A file, (shell of its host, path), to a path on another host, whole or not at all; one that is there is not touched.

    ``progress`` as in :func:`travel`, ``at`` and ``on_way`` as in :class:`Way`. Raises Refused (exists, no-space), ToolFailed.
    """
    _run(_Ends(*source, target[0], "land", {"path": target[1], "label": label}, at, on_way, progress))


def _run(ends: _Ends) -> dict[str, Any]:
    """What the taker said at last. What was lost on the straight way comes through here, from where it was."""
    try:
        return _try(ends)
    except _LostError as lost:
        ends.tell_way(f"{ends.at}: {lost}")
        return _try(replace(ends, at=""))


def _try(ends: _Ends) -> dict[str, Any]:
    badge = make_badge() if ends.at else ""
    taker = _start(ends.target, ends.taker, {**ends.args, "at": ends.at}, badge)
    try:
        answers = _Answers(taker)
        answers.read(_BEGINNING)
        told = answers.read(_LONGEST)
        if "waiting" in told:
            ends.tell(0, 0)
            told = answers.read(_LONGEST)
        if "from" in told:
            told = _pour(ends, told, badge, taker, answers)
        taker.finish(_SILENCE)
        return told
    except BaseException:
        taker.kill()
        raise
    finally:
        taker.close()


def _start(shell: Shell, name: str, args: dict[str, Any], badge: str) -> Talk:
    script = make_script(name, {"badge": badge}, ("meet",))
    talk = shell.open(["python3", "-I", "-c", _BEGIN, str(len(script)), json.dumps(args), name], root=True)
    try:
        talk.write(script, _SILENCE)
    except BaseException:
        talk.kill()
        raise
    return talk


class _Answers:
    """Lines of JSON that a script says."""

    def __init__(self, talk: Talk, rest: bytes = b"") -> None:
        self._talk = talk
        self.rest = rest

    def read(self, limit: float) -> dict[str, Any]:
        """The next; raises Refused for a refusal, ToolFailed when there is none."""
        while b"\n" not in self.rest:
            piece = self._talk.read(limit)
            if not piece:
                self._talk.finish(_SILENCE)
                raise ToolFailed("it ended in the middle of its work")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        if "refused" in told:
            raise Refused(told["refused"]["message"], code=told["refused"]["code"], hint=told["refused"]["hint"])
        return told


def _pour(ends: _Ends, wanted: dict[str, Any], badge: str, taker: Talk, answers: _Answers) -> dict[str, Any]:
    """All that the source says from where it is wanted on; returns what the taker says at last."""
    to = [ends.at, wanted["port"]] if "port" in wanted else None
    giver = _start(ends.source, "give", {"path": ends.path, "from": wanted["from"], "to": to}, badge)
    try:
        said = _Answers(giver)
        met: dict[str, Any] = said.read(_SILENCE) if to else {"met": False, "why": f"{ends.at}: {wanted.get('deaf')}"}
        if met["met"]:
            ends.tell_way("")
            return _watch(ends, answers)
        ends.tell_way(met["why"])
        _lead(ends, giver, said.rest, taker, answers)
        giver.finish(_SILENCE)
        return answers.read(_LONGEST)
    except BaseException:
        giver.kill()
        raise
    finally:
        giver.close()


def _watch(ends: _Ends, answers: _Answers) -> dict[str, Any]:
    """While both speak with each other, the one that takes says how far it is."""
    limit, total = _SILENCE, 0
    while "progress" in (told := answers.read(limit)):
        done, total = told["progress"]
        ends.tell(done, total)
        limit = _LONGEST if done >= total else _SILENCE
    if "lost" in told:
        raise _LostError(told["lost"])
    if total:
        ends.tell(total, total)  # it says how far it is now and then, not for each piece
    return told


def _lead(ends: _Ends, giver: Talk, head: bytes, taker: Talk, answers: _Answers) -> None:
    """What the giver says, to the taker."""
    while b"\n" not in head:
        piece = giver.read(_SILENCE)
        if not piece:
            giver.finish(_SILENCE)
            raise ToolFailed("what gives the file ended before it began")
        head += piece
    line = head.partition(b"\n")[0]
    total, done, piece = json.loads(line)["data"], -len(line) - 1, head
    while piece:
        done += len(piece)
        _hand_over(taker, piece, answers)
        if total:
            ends.tell(min(max(done, 0), total), total)
        piece = giver.read(_SILENCE)


def _hand_over(taker: Talk, piece: bytes, answers: _Answers) -> None:
    """Raises Refused with what the other side says, where it ended with a word."""
    try:
        taker.write(piece, _SILENCE)
    except ToolFailed:
        answers.read(_SILENCE)
        raise
