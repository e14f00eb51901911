"""Users of a recipe: accounts, passwords, homes, keys, the right to become root."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.templates.guestfiles import accounts
from tinycloud.templates.guestfiles.changes import CopyFolder, MakeFolder, WriteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tinycloud.model.stack import User
    from tinycloud.templates.guestfiles.changes import Change
    from tinycloud.templates.guestfiles.guest import Guest

_FILES = ("passwd", "group", "shadow", "gshadow")


@dataclass(frozen=True, slots=True)
class People:
    """A guest's accounts after the edit, and what else has to change for them."""

    accounts: accounts.Accounts
    changes: tuple[Change, ...]


def make_people(guest: Guest, users: Sequence[User], hashes: Mapping[str, str]) -> People:
    """What adding and changing ``users`` comes to. ``hashes``: the hashed password of each user who has one."""
    before = read_accounts(guest)
    now, after = before, []
    for user in users:
        is_new = accounts.find_account(now.passwd, user.name) is None
        now = _set_account(guest, now, user, hashes.get(user.name))
        after += list(_make_home(guest, now, user, is_new=is_new))
    return People(now, (*_write_accounts(before, now), *after))


def read_accounts(guest: Guest) -> accounts.Accounts:
    passwd, group = guest.read("/etc/passwd"), guest.read("/etc/group")
    if passwd is None or group is None:
        raise Refused("the guest has no /etc/passwd and /etc/group", code="no-system", hint="is it a system's disk?")
    return accounts.Accounts(passwd, group, guest.read("/etc/shadow"), guest.read("/etc/gshadow"))


def _write_accounts(before: accounts.Accounts, now: accounts.Accounts) -> Iterator[Change]:
    """Only what changed; rights and owner of the files stay. The numbers come first: an interrupted edit leaves no open account."""
    for name in ("group", "gshadow", "shadow", "passwd"):
        body = getattr(now, name)
        if body is not None and body != getattr(before, name):
            yield WriteFile(f"/etc/{name}", body)


def _set_account(guest: Guest, now: accounts.Accounts, user: User, hashed: str | None) -> accounts.Accounts:
    if accounts.find_account(now.passwd, user.name) is None:
        first = accounts.find_first_uid(guest.read("/etc/login.defs") or b"")
        shell = user.shell or next((shell for shell in ("/bin/bash", "/bin/ash") if guest.exists(shell)), "/bin/sh")
        now = accounts.add_account(now, user.name, f"/home/{user.name}", shell, first)
    elif user.shell:
        now = replace(now, passwd=accounts.set_shell(now.passwd, user.name, user.shell))
    for group in user.groups:
        now = accounts.ensure_member(now, user.name, group)
    if hashed is not None and now.shadow is not None:
        now = replace(now, shadow=accounts.set_password(now.shadow, user.name, hashed))
    elif hashed is not None:
        now = replace(now, passwd=accounts.set_plain_password(now.passwd, user.name, hashed))
    return now


def _make_home(guest: Guest, now: accounts.Accounts, user: User, *, is_new: bool) -> Iterator[Change]:
    account = accounts.find_account(now.passwd, user.name)
    assert account is not None
    owner = (account.uid, account.gid)
    if is_new and not guest.exists(account.home):
        yield CopyFolder("/etc/skel", account.home, 0o700, owner)
    if user.ssh_keys:
        if not account.home.startswith("/") or account.home.startswith("/dev/"):
            raise Refused(
                f'user "{user.name}" has no home for ssh keys', code="no-home", facts=[f"passwd says {account.home or 'nothing'}"]
            )
        folder = f"{account.home.rstrip('/')}/.ssh"
        keys = add_keys(guest.read(f"{folder}/authorized_keys") or b"", user.ssh_keys)
        yield MakeFolder(folder, 0o700, owner)
        yield WriteFile(f"{folder}/authorized_keys", keys, 0o600, owner)
    if user.sudo:
        yield make_sudo(guest, user.name)


def add_keys(text: bytes, keys: Sequence[str]) -> bytes:
    """authorized_keys with the keys that it lacks at its end."""
    present = set(text.decode(errors="replace").splitlines())
    new = [key for key in dict.fromkeys(keys) if key not in present]
    ending = b"" if text.endswith(b"\n") or not text else b"\n"
    return text + ending + "".join(f"{key}\n" for key in new).encode() if new else text


def make_sudo(guest: Guest, name: str) -> Change:
    """All rights without a password: for sudo, or for doas where that is what there is."""
    if not guest.exists("/etc/sudoers.d") and guest.exists("/etc/doas.d"):
        return WriteFile(f"/etc/doas.d/90-{name}.conf", f"permit nopass {name}\n".encode(), 0o400, (0, 0))
    # sudo passes over files whose names hold a dot; a name of ours never does.
    return WriteFile(f"/etc/sudoers.d/90-{name}", f"{name} ALL=(ALL:ALL) NOPASSWD:ALL\n".encode(), 0o440, (0, 0))
