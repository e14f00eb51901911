"""Which groups go off before which."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.model.machine import Mark


def find_users(marks: Iterable[Mark]) -> dict[str, list[str]]:
    """Group → the groups that go off before it, because they need it. Only groups of ``marks`` count.

    An interrupted change can leave machines whose groups need each other in a circle; the circle is cut, always at the same place.
    """
    needs: dict[str, set[str]] = {}
    for mark in marks:
        needs.setdefault(mark.group, set()).update(mark.spec.needs)
    users: dict[str, list[str]] = {group: [] for group in sorted(needs)}
    for user in users:
        for group in sorted(needs[user]):
            if group in users and not _goes_before(group, user, users):
                users[group].append(user)
    return users


def _goes_before(first: str, last: str, users: Mapping[str, list[str]]) -> bool:
    """True when ``last`` waits for ``first`` already, directly or through others."""
    seen, ahead = {last}, [last]
    while ahead:
        group = ahead.pop()
        if group == first:
            return True
        fresh = [user for user in users[group] if user not in seen]
        seen.update(fresh)
        ahead += fresh
    return False
