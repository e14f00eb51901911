"""What is cleared up, and above all what never is."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycloud.model import names
from tinycloud.plan.garbage import File, Garbage, Stock, find_garbage

POOL = "/pool"


def sha(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def at(name: str, **facts: object) -> File:
    return File(f"{POOL}/{name}", 10, **facts)  # type: ignore[arg-type]


def image(number: int, **facts: object) -> list[File]:
    return [at(names.image_name(sha(number)), **facts), at(names.image_card_name(sha(number)), **facts)]


def clear(*files: File, unused: bool = False, **facts: object) -> list[tuple[str, str]]:
    """(kind, file) of what would go."""
    found = find_garbage(Stock(tuple(files), **facts), unused=unused)  # type: ignore[arg-type]
    return [(it.kind, it.path.rpartition("/")[2]) for it in found]


NAMED, UNNAMED = {sha(1): ("debian",)}, {sha(1): ()}
DISK = names.disk_name("shop", "web-1", 1)
NOTE = names.prepared_name("shop", "web-1", 1, "0" * 12)
SEED = names.seed_name("shop", "web-1", "0" * 12)


def test_an_image_without_a_name_and_a_user_goes() -> None:
    assert clear(*image(1), names=UNNAMED) == [("image", names.image_name(sha(1)))]


def test_one_that_has_a_name_goes_only_when_that_is_asked_for() -> None:
    assert clear(*image(1), names=NAMED) == []
    assert clear(*image(1), names=NAMED, unused=True) == [("image", names.image_name(sha(1)))]


def test_an_image_stays_for_a_machine_that_was_declared_on_it_though_its_disk_is_gone() -> None:
    assert clear(*image(1), names=UNNAMED, images=frozenset({sha(1)}), unused=True) == []


def test_an_image_stays_for_whatever_stands_on_it_however_deep() -> None:
    middle = at("volume-middle.qcow2", backing=f"{POOL}/{names.image_name(sha(1))}")
    top = at("somebodys.qcow2", backing=middle.path)
    assert clear(*image(1), middle, top, names=UNNAMED, unused=True) == []


def test_an_image_stays_for_a_domain_that_has_it_as_a_disk_or_below_one_elsewhere() -> None:
    assert clear(*image(1), names=UNNAMED, sources=frozenset({f"{POOL}/{names.image_name(sha(1))}"}), unused=True) == []


def test_a_disk_and_a_seed_of_a_machine_that_is_gone_go_and_then_the_image_below() -> None:
    disk = at(DISK, backing=f"{POOL}/{names.image_name(sha(1))}")
    assert clear(*image(1), disk, at(SEED), names=UNNAMED) == [("disk", DISK), ("disk", SEED), ("image", names.image_name(sha(1)))]


@pytest.mark.parametrize(
    "why",
    [{"volumes": frozenset({DISK})}, {"sources": frozenset({f"{POOL}/{DISK}"})}, {"unfinished": frozenset({"shop"})}],
    ids=["a machine counts it as its own", "a domain has it", "its stack is unfinished"],
)
def test_a_disk_stays_when(why: dict[str, Any]) -> None:
    assert clear(at(DISK), **why) == []


def test_a_disk_of_a_machine_that_is_gone_stays_for_what_stands_on_it() -> None:
    assert clear(at(DISK), at("volume-x.qcow2", backing=f"{POOL}/{DISK}")) == []


@pytest.mark.parametrize(
    "name", [DISK, SEED, NOTE, "import-0123456789abcdef.part", names.image_name(sha(3)), names.image_card_name(sha(4))]
)
def test_what_is_young_stays_for_somebody_may_be_at_work(name: str) -> None:
    assert clear(at(name, old=False)) == []
    assert len(clear(at(name))) == 1


@pytest.mark.parametrize(
    "name",
    [
        names.data_name("shop", "web-1", "data"),
        names.note_name("shop", "0" * 12),
        "volume-mine.qcow2",
        "volume-mine.raw",
        "pool-x.json",
        "x.iso",
    ],
)
def test_data_notes_volumes_and_what_is_not_ours_are_never_garbage(name: str) -> None:
    assert clear(at(name), unused=True) == []


def test_what_stands_on_something_goes_before_it() -> None:
    lower, upper = names.disk_name("shop", "web-1", 1), names.disk_name("shop", "web-1", 2)
    found = clear(at(lower), at(upper, backing=f"{POOL}/{lower}"))
    assert found == [("disk", upper), ("disk", lower)]


# over random stores


@st.composite
def stocks(draw: st.DrawFn) -> Stock:
    """Images, disks, volumes and foreign files that stand on each other in any way, also in circles and on files elsewhere."""
    numbers = range(draw(st.integers(0, 5)))
    files = [names.image_name(sha(n)) for n in numbers]
    files += [names.disk_name("shop", f"web-{n}", g) for n in (1, 2) for g in range(1, draw(st.integers(1, 3)))]
    files += draw(st.sets(st.sampled_from(["volume-a.qcow2", "foreign.qcow2", SEED, "shop.web-1.vol-data.qcow2", "work-1.part"])))
    paths = [f"{POOL}/{name}" for name in files]
    below = st.one_of(st.just(""), st.just("/elsewhere/base"), st.sampled_from(paths)) if paths else st.just("")
    made = [File(path, 1, draw(below), draw(st.booleans())) for path in paths]
    with_card = draw(st.sets(st.sampled_from(list(numbers)))) if numbers else set()
    made += [at(names.image_card_name(sha(n))) for n in with_card]
    return Stock(
        files=tuple(made),
        names={sha(n): draw(st.sampled_from([(), ("debian",)])) for n in with_card},
        sources=frozenset(draw(st.sets(st.sampled_from([*paths, "/elsewhere/top"])))),
        volumes=frozenset(draw(st.sets(st.sampled_from(files)))) if files else frozenset(),
        images=frozenset(draw(st.sets(st.sampled_from([sha(n) for n in numbers])))) if numbers else frozenset(),
        unfinished=frozenset(draw(st.sets(st.just("shop")))),
    )


def list_needed(stock: Stock, gone: set[str]) -> set[str]:
    """Every file that a domain has or that stays, and all below: found by brute force."""
    below = {file.path: file.backing for file in stock.files}
    needed = {*stock.sources, *(file.path for file in stock.files if file.path not in gone)}
    for _ in stock.files:
        needed |= {below[path] for path in needed if below.get(path)}
    return needed


@settings(max_examples=400)
@given(stocks(), st.booleans())
def test_nothing_that_is_in_use_ever_goes(stock: Stock, unused: bool) -> None:
    found = find_garbage(stock, unused=unused)
    gone = {it.path for it in found}
    assert not gone & list_needed(stock, gone)
    assert not {path.rpartition("/")[2] for path in gone} & stock.volumes - {names.image_name(sha(n)) for n in range(6)} - {"work-1.part"}
    assert (
        not {names.find_image_sha(path.rpartition("/")[2]) for path in gone if path.rpartition("/")[2] in list_whole(stock)} & stock.images
    )
    assert not any(path.endswith(("volume-a.qcow2", "foreign.qcow2", "vol-data.qcow2")) for path in gone)
    assert all(file.old for file in stock.files if file.path in gone and not is_whole_image(stock, file))


def list_whole(stock: Stock) -> set[str]:
    return {names.image_name(it) for it in stock.names}


def is_whole_image(stock: Stock, file: File) -> bool:
    return file.name in list_whole(stock)


@settings(max_examples=200)
@given(stocks(), st.booleans())
def test_clearing_up_twice_finds_nothing_more_and_its_order_never_pulls_a_base_away(stock: Stock, unused: bool) -> None:
    found = find_garbage(stock, unused=unused)
    there = {file.path: file.backing for file in stock.files}
    for it in found:
        stands = [path for path, backing in there.items() if backing == it.path and path != it.path]
        assert not stands or is_in_a_circle(stock, it), f"{it.path} goes before {stands}"
        there.pop(it.path)
    gone = {it.path for it in found}
    cards = {f"{path}.json" for path in gone}
    rest = Stock(
        tuple(file for file in stock.files if file.path not in gone | cards),
        {sha: labels for sha, labels in stock.names.items() if f"{POOL}/{names.image_name(sha)}" not in gone},
        stock.sources,
        stock.volumes,
        stock.images,
        stock.unfinished,
    )
    assert find_garbage(rest, unused=unused) == ()


def is_in_a_circle(stock: Stock, item: Garbage) -> bool:
    below, path = {file.path: file.backing for file in stock.files}, item.path
    for _ in stock.files:
        path = below.get(path, "")
        if path == item.path:
            return True
    return any(backing in below and _loops(below, backing) for backing in [below.get(item.path, "")])


def _loops(below: dict[str, str], path: str) -> bool:
    seen = set()
    while path in below and path not in seen:
        seen.add(path)
        path = below[path]
    return path in seen
