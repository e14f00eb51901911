"""Sizes and times: what people may write, and how they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycloud.model.secret import Ref, Secret
from tinycloud.model.units import Bytes, Duration, parse_bytes, parse_duration

KIB, MIB, GIB, TIB, PIB = (1024**n for n in range(1, 6))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0 B", 0),
        ("512 MiB", 512 * MIB),
        ("512MiB", 512 * MIB),
        ("  512  mib  ", 512 * MIB),
        ("20G", 20 * GIB),
        ("20 g", 20 * GIB),
        ("1.5 GiB", 3 * GIB // 2),
        ("1 KB", 1000),
        ("1 k", 1024),
        ("2 MB", 2_000_000),
        ("1 TiB", TIB),
        ("1024 PiB", 1024 * PIB),
        ("0.1 KiB", 102),
    ],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def test_a_large_size_is_exact_to_the_byte() -> None:
    assert parse_bytes("9007199254740993 B") == 9007199254740993, "a float would make it ...992"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90 s", 90), ("5 min", 300), ("5m", 300), ("1h", 3600), ("2 d", 172800), ("250 ms", 0.25), ("1.5 h", 5400), ("0 s", 0)],
)
def test_a_time_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (512, 'a size needs a unit: found 512, expected for example "512 MiB"'),
        (1.5, 'a size needs a unit: found 1.5, expected for example "512 MiB"'),
        ("512", "found '512', expected a size such as \"512 MiB\""),
        ("", "found '', expected a size such as \"512 MiB\""),
        ("512 MiBs", "found '512 MiBs', expected a size such as \"512 MiB\""),
        ("-1 GiB", "found '-1 GiB', expected a size such as \"512 MiB\""),
        ("1,5 GiB", "found '1,5 GiB', expected a size such as \"512 MiB\""),
        ("1e3 GiB", "found '1e3 GiB', expected a size such as \"512 MiB\""),
        ("5 min", "found '5 min', expected a size such as \"512 MiB\""),
        ("1025 PiB", "found '1025 PiB', expected at most 1024 PiB"),
        (None, 'found nothing, expected a size such as "512 MiB"'),
        (True, 'found true, expected a size such as "512 MiB"'),
        ([1], 'found a list, expected a size such as "512 MiB"'),
        (Ref("groups.db.count"), "found ${groups.db.count}, which is not known before the machines are placed, expected a size such as"),
        (Secret("s", "hunter2", "fp"), 'found a secret, expected a size such as "512 MiB"'),
    ],
)
def test_what_is_no_size_is_quoted_with_what_was_expected(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_bytes(value)
    assert str(caught.value).startswith(message)


def test_a_number_with_a_thousand_digits_is_no_size_and_is_quoted_in_part() -> None:
    with pytest.raises(ValueError, match=r"found '1{50,80}…', expected a size"):
        parse_bytes("1" * 1000 + " GiB")


@pytest.mark.parametrize("value", [90, "90", "90 MiB", "s", "1 min 30 s", None, False])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a time"):
        parse_duration(value)


def test_a_time_of_more_than_a_thousand_days_is_refused() -> None:
    with pytest.raises(ValueError, match="found '1001 d', expected at most 1000 d"):
        parse_duration("1001 d")


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1, "1 B"), (1023, "1023 B"), (KIB, "1 KiB"), (1536, "1.5 KiB"), (512 * MIB, "512 MiB"), (8 * GIB, "8 GiB")],
)
def test_a_size_is_shown_in_the_largest_unit_that_leaves_it_above_one(size: int, shown: str) -> None:
    assert str(Bytes(size)) == shown
    assert f"{Bytes(size):>10}" == f"{shown:>10}"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.3, "0.3 s"), (5, "5.0 s"), (12, "12 s"), (12.34, "12.3 s"), (300, "5 min"), (7200, "2 h"), (3 * 86400, "3 d")],
)
def test_a_time_is_shown_as_people_say_it(seconds: float, shown: str) -> None:
    assert str(Duration(seconds)) == shown
    assert f"{Duration(seconds):<8}|" == f"{shown:<8}|"


@given(st.integers(1, 1023), st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB"]))
def test_a_whole_size_reads_back_as_it_is_shown(number: int, unit: str) -> None:
    size = parse_bytes(f"{number} {unit}")
    assert str(size) == f"{number} {unit}"
    assert parse_bytes(str(size)) == size


@given(st.integers(0, 2**59))
def test_what_is_shown_is_near_what_is_meant(size: int) -> None:
    assert abs(parse_bytes(str(Bytes(size))) - size) <= size * 0.05


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    try:
        assert 0 <= parse_bytes(text) <= 1024 * PIB
    except ValueError as err:
        assert "expected" in str(err)


def test_memory_goes_to_libvirt_in_whole_kibibytes() -> None:
    assert parse_bytes("1 MiB").kib == 1024
    assert Bytes(2047).kib == 1


def test_a_value_that_is_parsed_already_stays_as_it_is() -> None:
    assert parse_bytes(Bytes(5)) == 5
    assert parse_duration(Duration(5)) == Duration(5)
