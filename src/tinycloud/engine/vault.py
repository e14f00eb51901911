"""A stack's secrets: kept ones from the database, new ones made here and saved when the stack is."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from tinycloud.model.secret import Secret
from tinycloud.store.peek import peek_secrets

if TYPE_CHECKING:
    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.store.server import Address

_LETTERS = string.ascii_letters + string.digits


class StackVault:
    """Secrets of one stack. ``values`` are all that are known, old and new."""

    def __init__(self, keys: Keys, database: Address, stack: str) -> None:
        self._keys = keys
        self._database = database
        self._stack = stack
        self._values: dict[str, str] | None = None

    @property
    def values(self) -> dict[str, str]:
        if self._values is None:
            self._values = peek_secrets(self._database, self._stack)
        return self._values

    def wrap(self, name: str, value: str) -> Secret:
        return Secret(name, value, self._keys.fingerprint(value))

    def get(self, name: str, length: int) -> Secret:
        if name not in self.values:
            self.values[name] = "".join(secrets.choice(_LETTERS) for _ in range(length))
        return self.wrap(name, self.values[name])
