"""Cards: what is open, and how it is closed again."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Card:
    """One opened disk. ``how`` is guestmount, loop or nbd; ``where`` the folder it is mounted in, or the address it is served at."""

    id: str
    how: str
    ref: str
    file: str
    where: str
    write: bool = False
    made_folder: bool = False
    """True when the mount point was made for it, and goes with it."""


def make_id(*words: str) -> str:
    """Short, for a socket's path holds 107 bytes; the same words, the same id."""
    return sha256("\0".join(words).encode()).hexdigest()[:12]


class Cards:
    """The cards of one cloud, a file each in ``folder``; beside it the folder of its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder_of(self, id: str) -> Path:
        """Where the processes of this card keep their files."""
        return self._folder / id

    def put(self, card: Card) -> None:
        """Write the card; it is whole or it is not there."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{card.id}.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(card), file)
            os.fsync(file.fileno())
        draft.replace(self._path(card.id))

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def find(self, id: str) -> Card | None:
        path = self._path(id)
        return Card(**json.loads(path.read_text())) if path.exists() else None

    def list(self) -> list[Card]:
        """Every card, by what it is of."""
        found = (self.find(path.stem) for path in self._folder.glob("*.json")) if self._folder.exists() else ()
        return sorted((card for card in found if card), key=lambda card: (card.ref, card.where))

    def remove(self, id: str) -> None:
        """Forget the card, and drafts of it that a kill left."""
        for path in (self._path(id), *self._folder.glob(f".{id}.*")):
            path.unlink(missing_ok=True)
