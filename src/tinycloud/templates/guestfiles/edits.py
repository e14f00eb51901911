"""From a recipe and a guest's files to the changes that make one the other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.templates.guestfiles import accounts
from tinycloud.templates.guestfiles.cards import make_card_names
from tinycloud.templates.guestfiles.changes import WriteFile
from tinycloud.templates.guestfiles.general import make_general
from tinycloud.templates.guestfiles.naming import find_hostname, make_hostname, set_hosts
from tinycloud.templates.guestfiles.network import make_network
from tinycloud.templates.guestfiles.people import make_people, read_accounts
from tinycloud.templates.guestfiles.places import make_locale, make_proxy, make_timezone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinycloud.model.recipe import Recipe
    from tinycloud.model.stack import GuestFile
    from tinycloud.templates.guestfiles.changes import Change
    from tinycloud.templates.guestfiles.guest import Guest


def make_edits(recipe: Recipe, guest: Guest, hashes: Mapping[str, str]) -> list[Change]:
    """What a recipe changes in a guest, in order. ``hashes``: the hashed passwords of its users, by name.

    Packages, commands and the growing of the file system are not changes of files: the engine does those.
    """
    out: list[Change] = list(make_general(guest)) if recipe.generalise else []
    if recipe.hostname:
        out += _make_name(recipe.hostname, guest)
    if recipe.nics:
        out += [*make_network(guest, recipe.nics), *make_card_names(guest, recipe.nics)]
    out += _make_places(recipe, guest)
    now = read_accounts(guest)
    if recipe.users:
        people = make_people(guest, recipe.users, hashes)
        now, out = people.accounts, [*out, *people.changes]
    out += [_make_file(file, now) for file in recipe.files]
    if recipe.cloud_init == "off" and guest.exists("/etc/cloud"):
        out.append(WriteFile("/etc/cloud/cloud-init.disabled", b"by a recipe of Tiny Cloud\n", 0o644, (0, 0)))
    return [*out, *_relabel(guest)] if out else out


def _make_places(recipe: Recipe, guest: Guest) -> Iterator[Change]:
    if recipe.proxy:
        yield from make_proxy(guest, recipe.proxy)
    if recipe.timezone:
        yield from make_timezone(guest, recipe.timezone)
    if recipe.locale:
        yield from make_locale(guest, recipe.locale)


def _make_name(hostname: str, guest: Guest) -> Iterator[Change]:
    old = find_hostname(guest.read("/etc/hostname"))
    yield WriteFile("/etc/hostname", make_hostname(hostname))
    yield WriteFile("/etc/hosts", set_hosts(guest.read("/etc/hosts"), hostname, old))


def _make_file(file: GuestFile, now: accounts.Accounts) -> Change:
    user, _, group = file.owner.partition(":")
    body = file.content.reveal().encode() if file.content else b""
    return WriteFile(file.path, body, int(file.mode, 8), (_find_uid(now, user, file.path), _find_gid(now, user, group, file.path)))


def _find_uid(now: accounts.Accounts, user: str, path: str) -> int:
    if user.isdigit():
        return int(user)
    account = accounts.find_account(now.passwd, user)
    if account is None:
        raise Refused(f'file "{path}" is to belong to user "{user}", whom the guest does not have', code="no-account")
    return account.uid


def _find_gid(now: accounts.Accounts, user: str, group: str, path: str) -> int:
    if group.isdigit():
        return int(group)
    account = accounts.find_account(now.passwd, user)
    gid = accounts.find_group(now.group, group) if group else account.gid if account else 0
    if gid is None:
        raise Refused(f'file "{path}" is to belong to group "{group}", which the guest does not have', code="no-account")
    return gid


def _relabel(guest: Guest) -> Iterator[Change]:
    """Files written from outside carry no SELinux label; the guest gives them theirs at its next start."""
    lines = (guest.read("/etc/selinux/config") or b"").decode(errors="replace").split()
    if {"SELINUX=enforcing", "SELINUX=permissive"} & set(lines):
        yield WriteFile("/.autorelabel", b"", 0o644, (0, 0))
