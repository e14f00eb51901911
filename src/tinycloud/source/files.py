"""Reads the files that a stack file names: ssh keys, file contents, templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.model.secret import make_text
from tinycloud.model.show import show
from tinycloud.source.complaints import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycloud.model.stack import Group, Guest, GuestFile, Stack, User
    from tinycloud.source.inputs import Vault
    from tinycloud.source.load import KeyPath, Tree

_KEY_WORDS = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-")
_MOST = 1024 * 1024


def _list_templates(stack: Stack) -> Iterator[tuple[KeyPath, str]]:
    """Where a template of the user's own is named, and its name."""
    places: list[tuple[KeyPath, str | None]] = [(("networks", name, "template"), it.template) for name, it in stack.networks.items()]
    for name, group in stack.groups.items():
        base: KeyPath = ("groups", name)
        places += [((*base, "template"), group.template), ((*base, "disk_template"), group.disk_template)]
        places += [((*base, "volumes", n, "template"), volume.template) for n, volume in enumerate(group.volumes)]
    return ((path, name) for path, name in places if name)


@dataclass
class FileReader:
    """Puts contents in the place of file names. Relative names start at the stack file's folder."""

    tree: Tree
    base: Path
    vault: Vault
    complaints: list[Complaint] = field(default_factory=list)
    templates: dict[str, str] = field(default_factory=dict)

    def read(self, stack: Stack) -> Stack:
        for path, name in _list_templates(stack):
            if name not in self.templates:
                self.templates[name] = self._text(name, path) or ""
        groups = {name: self._group(group, ("groups", name)) for name, group in stack.groups.items()}
        return stack.model_copy(update={"groups": groups})

    def _group(self, group: Group, path: KeyPath) -> Group:
        return group.model_copy(update={"guest": self.read_guest(group.guest, (*path, "guest"))})

    def read_guest(self, guest: Guest, path: KeyPath = ()) -> Guest:
        """A guest section, or the parts of one that stand at ``path`` of the file."""
        users = tuple(self._user(user, (*path, "users", n)) for n, user in enumerate(guest.users))
        files = tuple(self._file(file, (*path, "files", n)) for n, file in enumerate(guest.files))
        keys = self._keys(guest.ssh_keys, (*path, "ssh_keys"))
        return guest.model_copy(update={"users": users, "files": files, "ssh_keys": keys})

    def _user(self, user: User, path: KeyPath) -> User:
        changes: dict[str, object] = {"ssh_keys": self._keys(user.ssh_keys, (*path, "ssh_keys"))}
        if user.password is not None and not user.password.refs:
            name = user.password.secrets[0].name if user.password.secrets else f"password of {user.name}"
            changes["password"] = make_text(self.vault.wrap(name, user.password.reveal()))
        elif user.password is not None:
            self._complain("wrong-value", f"a password cannot refer to {user.password.refs[0]}", (*path, "password"))
        return user.model_copy(update=changes)

    def _file(self, file: GuestFile, path: KeyPath) -> GuestFile:
        if (file.content is None) == (file.source is None):
            self._complain("wrong-value", f'file "{file.path}" needs either content or source', path)
            return file
        if file.source is None:
            return file
        return file.model_copy(update={"content": make_text(self._text(file.source, (*path, "source")) or ""), "source": None})

    def _keys(self, keys: Iterable[str], path: KeyPath) -> tuple[str, ...]:
        out: list[str] = []
        for n, key in enumerate(keys):
            text = key if key.startswith(_KEY_WORDS) else self._text(key, (*path, n))
            if text is None:
                continue
            lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
            if not lines or not all(line.startswith(_KEY_WORDS) for line in lines):
                self._complain(
                    "wrong-value", f"{show(key)} holds no ssh public key", (*path, n), "expected: a line such as ssh-ed25519 AAAA…"
                )
            out += lines
        return tuple(out)

    def _text(self, name: str, path: KeyPath) -> str | None:
        """The content of a file; None, with a complaint, when there is none to be had."""
        target = self.base / name
        try:
            target = (self.base / Path(name).expanduser()).resolve()
            with target.open("rb") as file:
                raw = file.read(_MOST + 1)
            if len(raw) > _MOST:
                raise ValueError("it is larger than 1 MiB")
            return raw.decode()
        except FileNotFoundError:
            self._complain("no-file", f"there is no file {name}", path, f"looked for: {target}")
        except UnicodeDecodeError:
            self._complain("unreadable-file", f"cannot read {name}: it is not UTF-8 text", path, f"looked for: {target}")
        except (OSError, RuntimeError, ValueError) as err:  # RuntimeError: ~user of somebody who is not there
            why = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
            self._complain("unreadable-file", f"cannot read {show(name)}: {why}", path, f"looked for: {target}")
        return None

    def _complain(self, code: str, message: str, path: KeyPath, *facts: str) -> None:
        self.complaints.append(Complaint(code, message, self.tree.find_place(path), facts))
