"""passwd, shadow, group and gshadow: one account changed or added, every other line byte for byte as it was.

Lines nobody understands (comments, NIS lines, too few fields) stay too. https://man7.org/linux/man-pages/man5/shadow.5.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NOBODY: Final = 65534


@dataclass(frozen=True, slots=True)
class Accounts:
    """The four files as they are on a disk; None for one that is not there."""

    passwd: bytes
    group: bytes
    shadow: bytes | None = None
    gshadow: bytes | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account of passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def find_account(passwd: bytes, name: str) -> Account | None:
    """The first account of that name; None for a missing or unreadable one."""
    fields = _find(passwd, name, 7)
    if fields is None or not (fields[2].isdigit() and fields[3].isdigit()):
        return None
    words = [field.decode(errors="replace") for field in fields]
    return Account(name, int(words[2]), int(words[3]), words[5], words[6])


def find_group(group: bytes, name: str) -> int | None:
    """The number of a group, or None."""
    fields = _find(group, name, 3)
    return int(fields[2]) if fields and fields[2].isdigit() else None


def set_password(shadow: bytes, name: str, hashed: str) -> bytes:
    """shadow with the account's password, its line added when there is none; ages and expiry of a present one stay."""
    line = _join(name, hashed, "", "0", "99999", "7", "", "", "")
    return _change(shadow, name, 2, lambda fields: [fields[0], hashed.encode(), *fields[2:]], line)


def set_plain_password(passwd: bytes, name: str, hashed: str) -> bytes:
    """The same for a guest without shadow: the hash stands in passwd."""
    return _change(passwd, name, 7, lambda fields: [fields[0], hashed.encode(), *fields[2:]])


def set_shell(passwd: bytes, name: str, shell: str) -> bytes:
    """passwd with the account's login shell."""
    return _change(passwd, name, 7, lambda fields: [*fields[:6], shell.encode()])


def add_account(accounts: Accounts, name: str, home: str, shell: str, first: int = 1000) -> Accounts:
    """A new account with a group of its own and no password; the numbers are the next free ones from ``first``, equal where possible."""
    uid = _next_free(set(list_numbers(accounts.passwd)) | set(list_numbers(accounts.group)), first)
    gid = find_group(accounts.group, name)
    with_group = accounts if gid is not None else _add_group(accounts, name, uid)
    password = "x" if accounts.shadow is not None else "*"
    line = _join(name, password, str(uid), str(uid if gid is None else gid), "", home, shell)
    shadow = accounts.shadow
    if shadow is not None and _find(shadow, name, 2) is None:
        shadow = _add_line(shadow, _join(name, "!", "", "0", "99999", "7", "", "", ""))
    return replace(with_group, passwd=_add_line(accounts.passwd, line), shadow=shadow)


def ensure_member(accounts: Accounts, name: str, group: str) -> Accounts:
    """The account is a member of the group, which is made, as a system's, when nobody has it."""
    if find_group(accounts.group, group) is None:
        taken = set(list_numbers(accounts.group))
        accounts = _add_group(accounts, group, next((n for n in range(999, 100, -1) if n not in taken), _next_free(taken, 1000)))
    gshadow = accounts.gshadow
    return replace(
        accounts,
        group=_change(accounts.group, group, 3, lambda fields: _with_member(fields, name)),
        gshadow=gshadow and _change(gshadow, group, 3, lambda fields: _with_member(fields, name)),
    )


def find_first_uid(login_defs: bytes) -> int:
    """Where numbers of people start, by login.defs; 1000 where it does not say."""
    for line in login_defs.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == b"UID_MIN" and words[1].isdigit() and 0 < int(words[1]) < _NOBODY:
            return int(words[1])
    return 1000


def list_numbers(text: bytes) -> Iterator[int]:
    """The numbers (uid of passwd, gid of group) that are taken."""
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[2].isdigit() and len(fields[2]) < 11:
            yield int(fields[2])


def _add_group(accounts: Accounts, name: str, gid: int) -> Accounts:
    gshadow = accounts.gshadow
    if gshadow is not None and _find(gshadow, name, 2) is None:
        gshadow = _add_line(gshadow, _join(name, "!", "", ""))
    return replace(accounts, group=_add_line(accounts.group, _join(name, "x", str(gid), "")), gshadow=gshadow)


def _with_member(fields: list[bytes], name: str) -> list[bytes]:
    members = [member for member in fields[3].split(b",") if member] if len(fields) > 3 else []
    if name.encode() in members:
        return fields
    return [*fields[:3], b",".join([*members, name.encode()])]


def _next_free(taken: set[int], first: int) -> int:
    """One above the highest of the range, as useradd counts, so that a number that was freed is not used again; else the first free one."""
    highest = max((n for n in taken if first <= n < 60000), default=first - 1) + 1
    return highest if highest < 60000 else next(n for n in range(first, _NOBODY) if n not in taken)


def _join(*fields: str) -> bytes:
    return ":".join(fields).encode()


def _is_of(line: bytes, name: str, least: int) -> bool:
    return line.startswith(name.encode() + b":") and line.count(b":") >= least - 1


def _find(text: bytes, name: str, least: int) -> list[bytes] | None:
    found = next((line for line in text.split(b"\n") if _is_of(line, name, least)), None)
    return found.split(b":") if found is not None else None


def _change(text: bytes, name: str, least: int, change: Callable[[list[bytes]], Iterable[bytes]], otherwise: bytes | None = None) -> bytes:
    """The text with the first line of ``name`` (of at least so many fields) changed, or ``otherwise`` added when there is none."""
    lines = text.split(b"\n")
    for n, line in enumerate(lines):
        if _is_of(line, name, least):
            lines[n] = b":".join(change(line.split(b":")))
            return b"\n".join(lines)
    return text if otherwise is None else _add_line(text, otherwise)


def _add_line(text: bytes, line: bytes) -> bytes:
    """The text with one more line at its end, before NIS lines (``+…``): what follows those is looked up there first."""
    lines = text.split(b"\n")
    nis = next((n for n, other in enumerate(lines) if other[:1] in (b"+", b"-")), None)
    if nis is not None:
        return b"\n".join([*lines[:nis], line, *lines[nis:]])
    return text + (b"" if text.endswith(b"\n") or not text else b"\n") + line + b"\n"
