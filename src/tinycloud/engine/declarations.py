"""What people asked for: stack files with this cloud's secrets, and what the database keeps of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.engine.vault import StackVault
from tinycloud.errors import NotFound, WrongInput
from tinycloud.model.plan import Act
from tinycloud.model.secret import Secret, Text
from tinycloud.store.peek import has_unfinished, is_made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.engine.parts import Parts
    from tinycloud.model.plan import Plan
    from tinycloud.model.stack import Stack
    from tinycloud.source import Loaded


class Declarations:
    """Those of one cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # read

    def load(self, path: Path, given: Mapping[str, Any]) -> tuple[Loaded, StackVault]:
        """A stack file with this cloud's secrets."""
        from tinycloud.source import load_stack

        vaults: list[StackVault] = []
        loaded = load_stack(path, given, lambda name: self._vault(name, vaults))
        return loaded, vaults[0]

    def load_text(self, text: str, given: Mapping[str, Any]) -> tuple[Loaded, StackVault]:
        """A stack that was written by a program."""
        return self._parse(text, "the command line", given)

    def load_kept(self, stack: str) -> tuple[Loaded, StackVault]:
        """A stack as the database keeps it; raises NotFound."""
        record = self._parts.store.find_stack(stack)
        if record is None:
            raise NotFound(f'nothing is known of a stack "{stack}"', hint="tinycloud ls")
        return self._parse(record.text, record.file, record.given)

    def _parse(self, text: str, file: str, given: Mapping[str, Any]) -> tuple[Loaded, StackVault]:
        from tinycloud.source import parse_stack

        vaults: list[StackVault] = []
        loaded = parse_stack(text, file, given, lambda name: self._vault(name, vaults))
        return loaded, vaults[0]

    def _vault(self, stack: str, made: list[StackVault]) -> StackVault:
        made.append(StackVault(self._parts.keys, self._parts.database, stack))
        return made[-1]

    def find(self, stack: str) -> Stack | None:
        """What was last asked for; None where that is lost, or its files are."""
        if not self.is_known(stack):
            return None
        try:
            return self.load_kept(stack)[0].stack
        except (NotFound, WrongInput):
            return None

    def is_known(self, stack: str) -> bool:
        if not is_made(self._parts.database):
            return False
        return self._parts.store.find_stack(stack) is not None or has_unfinished(self._parts.database, stack)

    # kept

    def keep(self, loaded: Loaded, vault: StackVault, plan: Plan | None = None) -> None:
        """Remember what was asked for: before anything is done, so that it can be resumed; and after ``plan``, with its outputs."""
        from tinycloud.store.store import StackRecord

        store, stack = self._parts.store, loaded.stack.stack
        before = store.find_stack(stack)
        outputs = {name: _hide(value) for name, value in plan.outputs.items()} if plan else before.outputs if before else {}
        store.save_stack(StackRecord(stack, loaded.file, loaded.text, loaded.given, vault.values, outputs, time.time()))

    def forget(self, stack: str, plan: Plan) -> None:
        """After a down nothing of the stack is left but its history: no intent, no execution to finish.

        Its secrets stay as long as volumes of it do, for those may need them.
        """
        if not is_made(self._parts.database):
            return
        while (open_one := self._parts.store.find_unfinished(stack)) is not None:
            self._parts.store.set_execution(open_one.id, state="overtaken", ended=time.time())
        if not any(change.act is Act.KEEP for change in plan.changes):
            self._parts.store.forget_stack(stack)


def make_note(loaded: Loaded, vault: StackVault) -> bytes:
    """What a host keeps of a stack for ``recover``: the file, the inputs as given, the generated secrets."""
    file = str(Path(loaded.file).resolve()) if Path(loaded.file).exists() else loaded.file
    note = {"stack": loaded.stack.stack, "file": file, "text": loaded.text, "given": loaded.given, "secrets": vault.values}
    return json.dumps(note, sort_keys=True).encode()


def _hide(value: Any) -> Any:
    """An output as it is stored: a secret by its name alone."""
    if isinstance(value, Secret):
        return {"secret": value.name}
    if isinstance(value, Text):
        return {"text": [_hide(part) for part in value.parts]} if value.secrets else value.reveal()
    if isinstance(value, dict):
        return {key: _hide(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item) for item in value]
    return value
