"""Small JSON documents in a folder, each written whole or not at all: what a fake host remembers survives any kill."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Documents:
    """Documents by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def find(self, name: str) -> dict[str, Any] | None:
        try:
            document: dict[str, Any] = json.loads((self._folder / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return document

    def put(self, name: str, document: dict[str, Any]) -> None:
        draft = self._folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
        draft.write_text(json.dumps(document))
        os.replace(draft, self._folder / f"{name}.json")

    def remove(self, name: str) -> None:
        (self._folder / f"{name}.json").unlink(missing_ok=True)
