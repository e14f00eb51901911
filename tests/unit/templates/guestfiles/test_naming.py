"""The guest's name in hostname and hosts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tinycloud.templates.guestfiles.naming import find_hostname, make_hostname, set_hosts


def test_the_name_stands_without_its_domain() -> None:
    assert make_hostname("web-1.shop.example") == b"web-1\n"
    assert find_hostname(b"# set by hand\n\n web-1 \n") == "web-1"
    assert find_hostname(None) == ""


def test_the_line_of_127_0_1_1_is_replaced_and_the_rest_stays() -> None:
    before = b"127.0.0.1\tlocalhost\n127.0.1.1\told.example old\n# mine\n10.0.0.9  printer # upstairs\n"
    assert set_hosts(before, "web-1.shop") == b"127.0.0.1\tlocalhost\n127.0.1.1\tweb-1.shop web-1\n# mine\n10.0.0.9  printer # upstairs\n"


def test_the_old_name_goes_from_the_lines_of_localhost() -> None:
    before = b"127.0.0.1 old.example old localhost\n::1 localhost old\n10.0.0.9 old\n"
    assert set_hosts(before, "new", "old") == b"127.0.0.1\tlocalhost\n127.0.1.1\tnew\n::1\tlocalhost\n10.0.0.9 old\n"


def test_a_guest_without_hosts_gets_one() -> None:
    assert set_hosts(None, "new").splitlines()[:2] == [b"127.0.0.1\tlocalhost", b"127.0.1.1\tnew"]


@given(
    st.lists(
        st.sampled_from([b"127.0.0.1 localhost", b"127.0.1.1 a b", b"# c", b"", b"::1 x", b"10.0.0.1 y\t# z", b"\xff odd"]), max_size=8
    )
)
def test_twice_is_once_and_other_addresses_stay(lines: list[bytes]) -> None:
    before = b"\n".join(lines)
    after = set_hosts(before, "web", "old")
    assert set_hosts(after, "web", "web") == after
    assert [line for line in after.split(b"\n") if line and not line.startswith(b"127.0.1.1")] == [
        line for line in lines if line and not line.startswith(b"127.0.1.1")
    ]
    assert after.count(b"127.0.1.1\tweb\n") == 1
