"""passwd, group, shadow, gshadow: one account changes, every other line stays byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tinycloud.templates.guestfiles.accounts import (
    Account,
    Accounts,
    add_account,
    ensure_member,
    find_account,
    find_first_uid,
    find_group,
    set_password,
    set_plain_password,
    set_shell,
)

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000:Anna,,,:/home/anna:/bin/sh\n"
GROUP = b"root:x:0:\nsudo:x:27:\nanna:x:1000:\n"
SHADOW = b"root:*:19000:0:99999:7:::\nanna:$6$old$hash:19000:0:99999:7:30:20000:\n"

field = st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").replace(b":", b""))
names = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True)
number = st.integers(0, 70000).map(lambda n: str(n).encode())
passwd_line = st.tuples(names.map(str.encode), field, number, number, field, field, field).map(b":".join)
group_line = st.tuples(names.map(str.encode), field, number, field).map(b":".join)
odd_line = st.one_of(
    st.just(b""),
    st.just(b"# a comment: with: colons"),
    st.just(b"+::::::"),
    st.just(b"+@staff"),
    st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")),
)


def texts(line: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Files of such lines and of lines nobody understands, with and without a last newline."""
    return st.tuples(st.lists(st.one_of(line, line, odd_line), max_size=8), st.booleans()).map(lambda it: b"\n".join(it[0]) + b"\n" * it[1])


files = st.builds(Accounts, texts(passwd_line), texts(group_line), st.none() | texts(passwd_line), st.none() | texts(group_line))


def lines_but(text: bytes | None, *names: str) -> list[bytes]:
    """The lines that are not of these accounts, in order, without those that are empty."""
    return [line for line in (text or b"").split(b"\n") if line and line.split(b":")[0].decode(errors="replace") not in names]


@given(files, names)
def test_adding_an_account_leaves_every_other_line_byte_for_byte(before: Accounts, name: str) -> None:
    after = add_account(before, name, f"/home/{name}", "/bin/sh")
    for old, new in zip(
        (before.passwd, before.group, before.shadow, before.gshadow), (after.passwd, after.group, after.shadow, after.gshadow), strict=True
    ):
        assert (old is None) == (new is None)
        assert lines_but(new, name) == lines_but(old, name)


@given(files, names)
def test_a_new_account_is_found_and_has_a_number_that_nobody_had(before: Accounts, name: str) -> None:
    if find_account(before.passwd, name) or (name.encode() + b":") in before.passwd:
        return
    after = find_account(add_account(before, name, "/home/x", "/bin/sh").passwd, name)
    assert after is not None
    assert after.home == "/home/x"
    assert f":{after.uid}:".encode() not in b"\n".join(
        line for line in before.passwd.split(b"\n") if line.count(b":") > 2 and line.split(b":")[2] == str(after.uid).encode()
    )


@given(texts(passwd_line), names)
def test_a_password_changes_one_line(before: bytes, name: str) -> None:
    after = set_password(before, name, "$6$new")
    changed = [line for line in after.split(b"\n") if line.startswith(name.encode() + b":$6$new")]
    assert changed
    assert lines_but(after, name) == lines_but(before, name)
    assert set_password(after, name, "$6$new") == after, "done twice equals done once"


@given(files, names, names)
def test_membership_changes_one_line_and_is_taken_once(before: Accounts, name: str, group: str) -> None:
    after = ensure_member(before, name, group)
    assert lines_but(after.group, group) == lines_but(before.group, group)
    assert lines_but(after.gshadow, group) == lines_but(before.gshadow, group)
    assert (after.passwd, after.shadow) == (before.passwd, before.shadow)
    assert ensure_member(after, name, group) == after


@given(texts(passwd_line), names)
def test_a_shell_and_a_password_in_passwd_change_one_line(before: bytes, name: str) -> None:
    assert lines_but(set_shell(before, name, "/bin/zsh"), name) == lines_but(before, name)
    assert lines_but(set_plain_password(before, name, "*"), name) == lines_but(before, name)


def test_ages_and_expiry_of_a_password_stay() -> None:
    assert set_password(SHADOW, "anna", "$6$x").split(b"\n")[1] == b"anna:$6$x:19000:0:99999:7:30:20000:"


def test_a_user_gets_the_number_after_the_last_and_a_group_of_the_same() -> None:
    after = add_account(Accounts(PASSWD, GROUP, SHADOW, None), "bert", "/home/bert", "/bin/bash")
    assert after.passwd == PASSWD + b"bert:x:1001:1001::/home/bert:/bin/bash\n"
    assert after.group == GROUP + b"bert:x:1001:\n"
    assert after.shadow == SHADOW + b"bert:!::0:99999:7:::\n"
    assert find_account(after.passwd, "bert") == Account("bert", 1001, 1001, "/home/bert", "/bin/bash")


def test_a_user_whose_group_exists_joins_it() -> None:
    assert find_account(add_account(Accounts(PASSWD, GROUP), "sudo", "/home/sudo", "/bin/sh").passwd, "sudo") == Account(
        "sudo", 1001, 27, "/home/sudo", "/bin/sh"
    )


def test_a_new_line_stands_before_those_of_nis_which_end_the_search() -> None:
    after = add_account(Accounts(PASSWD + b"+::::::\n", GROUP + b"+:::\n"), "bert", "/home/bert", "/bin/sh")
    assert after.passwd.endswith(b"bert:*:1001:1001::/home/bert:/bin/sh\n+::::::\n")
    assert after.group.endswith(b"bert:x:1001:\n+:::\n")


def test_a_last_line_without_its_newline_is_not_continued() -> None:
    after = add_account(Accounts(PASSWD.rstrip(b"\n"), GROUP.rstrip(b"\n")), "bert", "/home/bert", "/bin/sh")
    assert after.passwd.split(b"\n")[1:3] == [PASSWD.split(b"\n")[1], b"bert:*:1001:1001::/home/bert:/bin/sh"]


def test_a_group_nobody_has_is_made_with_a_number_of_the_system() -> None:
    after = ensure_member(Accounts(PASSWD, GROUP, None, b"sudo:*::\n"), "anna", "wheel")
    assert find_group(after.group, "wheel") == 999
    assert after.group.endswith(b"wheel:x:999:anna\n")
    assert after.gshadow == b"sudo:*::\nwheel:!::anna\n"


def test_a_member_joins_those_who_are_there() -> None:
    after = ensure_member(Accounts(PASSWD, b"sudo:x:27:anna\n", None, b"sudo:*::anna\n"), "bert", "sudo")
    assert (after.group, after.gshadow) == (b"sudo:x:27:anna,bert\n", b"sudo:*::anna,bert\n")


def test_numbers_of_people_start_where_login_defs_says() -> None:
    assert find_first_uid(b"# UID_MIN 5\nUID_MIN\t\t 500\nUID_MAX 60000\n") == 500
    assert find_first_uid(b"UID_MIN x\n") == 1000
