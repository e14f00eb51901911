"""guestfish as a child that is talked with: commands in, each with its answer or its complaint.

What a disk holds is hostile: answers end at a mark nobody can guess, and complaints are told from answers by the line of the
command, which guestfish puts in front. https://libguestfs.org/guestfish.1.html
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinycloud.drivers.shell import Shell

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /._-+=:,@%^*()[]{}<>|&;#!?'~")
_COMPLAINT: Final = re.compile(rb"^\*stdin\*:(\d+): libguestfs: error: ", re.MULTILINE)
_LONGEST: Final = 8000
"""guestfish reads lines of at most 8 KiB."""
PIECE: Final = _LONGEST // 4 - 500
"""How many bytes fit into one word, were each of them written as an escape."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, or why it failed."""

    body: bytes
    error: str = ""

    @property
    def text(self) -> str:
        return self.body.decode(errors="surrogateescape")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


class Fish:
    """One guestfish, not yet launched. Its commands are told as words; quoting is done here."""

    def __init__(self, shell: Shell, argv: Sequence[str], *, root: bool) -> None:
        self._talk = shell.open(argv, root=root)
        self._line = 0

    def ask(self, *words: str | bytes, limit: float = 300.0) -> bytes:
        """The answer of one command; raises ToolFailed with its complaint."""
        answer = self.try_all([words], limit=limit)[0]
        if answer.error:
            raise ToolFailed(f"guestfish {_show(words[0])}: {answer.error}")
        return answer.body

    def ask_all(self, commands: Iterable[Sequence[str | bytes]], *, limit: float = 300.0) -> list[Answer]:
        """The answers of several commands, asked at once; raises ToolFailed with the first complaint."""
        told = list(commands)
        answers = self.try_all(told, limit=limit)
        for words, answer in zip(told, answers, strict=True):
            if answer.error:
                raise ToolFailed(f"guestfish {_show(words[0])}: {answer.error}", facts=[_show(word) for word in words[1:2]])
        return answers

    def try_all(self, commands: Iterable[Sequence[str | bytes]], *, limit: float = 300.0) -> list[Answer]:
        """The answer or complaint of each command. One that fails does not keep the next ones from being tried."""
        mark = f"mark-{secrets.token_hex(12)}"
        lines: list[bytes] = []
        numbers: list[int] = []
        for n, words in enumerate(commands):
            numbers.append(self._line + len(lines) + 1)
            command = str(words[0]).encode()  # a name of ours; the minus lets the child go on after an error
            lines += [b" ".join([b"-" + command, *map(quote, words[1:])]), f"echo {mark}-{n}".encode()]
        lines += [f"!echo {mark} >&2".encode(), f"echo {mark}".encode()]
        self._line += len(lines)
        out, err = self._talk.ask(b"\n".join(lines) + b"\n", mark.encode(), limit)
        errors = _split_complaints(err)
        bodies = re.split(rb"%s-\d+\n" % mark.encode(), out)
        return [Answer(body, errors.get(line, "")) for line, body in zip(numbers, bodies[:-1], strict=True)]

    def close(self) -> None:
        self._talk.close()


def quote(word: str | bytes) -> bytes:
    """A word as guestfish reads it back: in double quotes, whatever could mean anything as an escape."""
    raw = os.fsencode(word) if isinstance(word, str) else word
    return b'"' + b"".join(bytes((byte,)) if byte in _PLAIN else b"\\x%02x" % byte for byte in raw) + b'"'


def _show(word: str | bytes) -> str:
    return word if isinstance(word, str) else word.decode(errors="replace")


def _split_complaints(err: bytes) -> dict[int, str]:
    pieces = _COMPLAINT.split(err)
    return {int(line): text.decode(errors="replace").strip() or "failed" for line, text in zip(pieces[1::2], pieces[2::2], strict=True)}
