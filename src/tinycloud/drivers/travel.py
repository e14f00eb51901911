"""An image from one host to another, through this process: two scripts, each where the bytes are, and a pipe between them.

Hosts need not reach each other. What goes over the wire is the data alone, never more than a pipe full of it is here, and the host
that takes it hashes it before it has its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.shell import Shell
    from tinycloud.drivers.talk import Talk

    Progress = Callable[[int, int], None]

_SILENCE: Final = 300.0
_LONGEST: Final = 24 * 3600.0
"""While another brings the same image, and while what came is hashed and written to the disk."""
_BEGIN: Final = "import sys;exec(compile(sys.stdin.buffer.read(int(sys.argv[1])),sys.argv[3],'exec'))"


@dataclass(frozen=True)
class Way:
    """From where to where. ``label`` is what people are told; ``card`` is kept beside the image, empty for none."""

    source: Shell
    path: str
    target: Shell
    folder: str
    sha: str
    label: str
    card: str = ""


def travel(way: Way, progress: Progress | None = None) -> int:
    """Have the image in the folder of the target; returns the bytes that came, 0 when it was there.

    Goes on where an earlier try was interrupted. ``progress`` hears (bytes, bytes in all; 0 while another brings the image), and may
    raise to end it. Raises Refused (changed-image for one that is not what its name says, no-space), ToolFailed.
    """
    try:
        came = _try(way, progress)
        if came is None:  # what was there of an earlier try had been damaged, and is gone
            came = _try(way, progress)
    except ToolFailed as err:
        raise ToolFailed(f"{way.label} did not arrive", facts=[err.message, *err.facts], hint="try again: what came is kept") from err
    if came is None:
        raise ToolFailed(f"{way.label} came wrong twice")
    return came


def _try(way: Way, progress: Progress | None) -> int | None:
    """None when it has to be tried again from the beginning."""
    args = {"folder": way.folder, "sha": way.sha, "card": way.card.rstrip(), "room": len(way.card), "label": way.label}
    taker = _start(way.target, "take", args)
    try:
        answers = _Answers(taker)
        told = answers.read(_LONGEST)
        if "waiting" in told:
            if progress:
                progress(0, 0)
            told = answers.read(_LONGEST)
        if "from" in told:
            _pour((way.source, way.path), told["from"], taker, answers, progress)
            told = answers.read(_LONGEST)
        taker.finish(_SILENCE)
        return None if "again" in told else int(told["done"]["came"])
    except BaseException:
        taker.kill()
        raise
    finally:
        taker.close()


def _start(shell: Shell, name: str, args: dict[str, Any]) -> Talk:
    script = (resources.files("tinycloud.drivers.onhost") / f"{name}.py").read_bytes()
    talk = shell.open(["python3", "-I", "-c", _BEGIN, str(len(script)), json.dumps(args), name], root=True)
    try:
        talk.write(script, _SILENCE)
    except BaseException:
        talk.kill()
        raise
    return talk


class _Answers:
    """Lines of JSON that a script says."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._rest = b""

    def read(self, limit: float) -> dict[str, Any]:
        """The next; raises Refused for a refusal, ToolFailed when there is none."""
        while b"\n" not in self._rest:
            piece = self._talk.read(limit)
            if not piece:
                self._talk.finish(_SILENCE)
                raise ToolFailed("what takes the image in ended in the middle of its work")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        if "refused" in told:
            raise Refused(told["refused"]["message"], code=told["refused"]["code"], hint=told["refused"]["hint"])
        return told


def carry(source: tuple[Shell, str], target: tuple[Shell, str], label: str, progress: Progress) -> None:
    """A file, (shell of its host, path), to a path on another host, whole or not at all; one that is there is not touched.

    ``progress`` as in :func:`travel`. Raises Refused (exists, no-space), ToolFailed.
    """
    taker = _start(target[0], "land", {"path": target[1], "label": label})
    try:
        answers = _Answers(taker)
        _pour(source, 0, taker, answers, progress)
        answers.read(_LONGEST)
        taker.finish(_SILENCE)
    except BaseException:
        taker.kill()
        raise
    finally:
        taker.close()


def _pour(source: tuple[Shell, str], begin: int, taker: Talk, answers: _Answers, progress: Progress | None) -> None:
    """All that the source, (shell of its host, path), says from ``begin`` on."""
    giver = _start(source[0], "give", {"path": source[1], "from": begin})
    try:
        head = _read_head(giver)
        total, done = json.loads(head.partition(b"\n")[0])["data"], -len(head.partition(b"\n")[0])
        piece = head
        while piece:
            done += len(piece)
            _hand_over(taker, piece, answers)
            if progress and total:
                progress(min(max(done, 0), total), total)
            piece = giver.read(_SILENCE)
        giver.finish(_SILENCE)
    except BaseException:
        giver.kill()
        raise
    finally:
        giver.close()


def _read_head(giver: Talk) -> bytes:
    """What comes up to the end of the first line, or a bit more."""
    head = b""
    while b"\n" not in head:
        piece = giver.read(_SILENCE)
        if not piece:
            giver.finish(_SILENCE)
            raise ToolFailed("what gives the image ended before it began")
        head += piece
    return head


def _hand_over(taker: Talk, piece: bytes, answers: _Answers) -> None:
    """Raises Refused with what the other side says, where it ended with a word."""
    try:
        taker.write(piece, _SILENCE)
    except ToolFailed:
        answers.read(_SILENCE)
        raise
