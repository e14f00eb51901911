"""What groups say of hosts: how it is read, and what no hosts could give."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import load
from tests.unit.source.wrong import check, wrong

WRONG = [
    wrong(
        "stack: shop\ngroups:\n  web: {image: nano, count: 2, together: [►dta]}\n  data: {image: nano}\n",
        "unknown-name",
        'unknown group "dta" in group "web"',
        hint='did you mean "data"?',
    ),
    wrong(
        "stack: shop\ngroups:\n  web: {image: nano, count: 2, together: [web], spread: ►{over: host, must: true}}\n",
        "wrong-value",
        'group "web" is always spread over host, and together with itself on one host',
    ),
    wrong(
        "stack: shop\ngroups:\n  web: {image: nano, count: 2, spread: ►{over: rack, must: true}}\n  db: {image: nano, together: [web]}\n",
        "wrong-value",
        'group "web" is always spread over rack, and together with "db" on one host',
    ),
    wrong(
        "stack: shop\ngroups:\n  web: {image: nano, count: 2, on: {rack: 3}, spread: ►{over: rack, must: true}}\n",
        "wrong-value",
        'group "web" is always spread over rack, and on rack 3 alone',
    ),
    wrong(
        "stack: shop\ngroups:\n  web: {image: nano, on: {rack: a}}\n  db: {image: nano, on: {rack: ►b}, together: [web]}\n",
        "wrong-value",
        'group "db" is on rack b, group "web" on rack a, and they are together',
    ),
    wrong(
        "stack: shop\ngroups:\n  web: {image: nano, disposable: ►true, volumes: [{name: data, size: 1 GiB, keep: true}]}\n",
        "wrong-value",
        'group "web" is disposable and keeps volume "data", expected one of them',
    ),
]


@pytest.mark.parametrize(("text", "code", "message", "facts", "hint"), WRONG)
def test_a_wish_that_no_hosts_could_grant_is_told_where_it_stands(text: str, code: str, message: str, facts: Any, hint: str) -> None:
    check(text, code, message, facts, hint)


def test_labels_may_be_numbers_and_a_spread_one_word() -> None:
    group = load("stack: shop\ngroups: {web: {image: nano, on: {rack: 3}, spread: host, recover: restart, disposable: true}}").stack.groups[
        "web"
    ]
    assert dict(group.on) == {"rack": "3"}
    assert group.spread is not None
    assert (group.spread.over, group.spread.must) == ("host", False)
    assert (group.recover, group.disposable) == ("restart", True)


def test_one_machine_may_be_spread_and_together() -> None:
    load("stack: shop\ngroups: {web: {image: nano, spread: {over: host, must: true}, together: [db]}, db: {image: nano}}")
