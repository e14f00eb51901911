"""The text of a part, and that a difference leads to the same tables as everything anew; against a small model of what nft does."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycloud.drivers.firewall.text import render, render_difference
from tinycloud.drivers.onhost.hooks import make_restore
from tinycloud.drivers.onhost.nft_text import renew
from tinycloud.model.firewall import BRIDGE, INET, Part
from tinycloud.templates.firewall import read_base

BASE = ((INET, "guests4"), (INET, "in4"), (BRIDGE, "taps"))
ADDRESSES = [f"10.60.0.{n}" for n in range(11, 16)]


class Tables:
    """Sets, chains and elements by name; refuses what nft refuses."""

    def __init__(self) -> None:
        self.sets: dict[tuple[str, str], str] = {}
        self.chains: dict[tuple[str, str], list[str]] = {}
        self.elements: dict[tuple[str, str], dict[str, str]] = {key: {} for key in BASE}

    def run(self, text: str) -> None:
        for line in text.splitlines():
            verb, what, *words = line.split(" ", 5)
            key, rest = (" ".join(words[:2]), words[2]), " ".join(words[3:])
            getattr(self, f"{verb}_{what}")(key, rest.removeprefix("{ ").removesuffix(" }") if what != "rule" else rest)

    def add_set(self, key: tuple[str, str], text: str) -> None:
        assert self.sets.setdefault(key, text) == text
        self.elements.setdefault(key, {})

    def delete_set(self, key: tuple[str, str], _: str) -> None:
        assert not any(f"@{key[1]}" in rule for rules in self.chains.values() for rule in rules), "busy"
        del self.sets[key], self.elements[key]

    def add_chain(self, key: tuple[str, str], _: str) -> None:
        self.chains.setdefault(key, [])

    def flush_chain(self, key: tuple[str, str], _: str) -> None:
        self.chains[key] = []

    def delete_chain(self, key: tuple[str, str], _: str) -> None:
        assert not self.chains[key], "busy"
        told = [value for items in self.elements.values() for value in items.values()]
        assert not any(key[1] in text.split() for text in told), "busy"
        del self.chains[key]

    def add_rule(self, key: tuple[str, str], rule: str) -> None:
        if "@" in rule:
            assert (key[0], rule.split("@")[1].split()[0]) in self.sets, "no such set"
        self.chains[key].append(rule)

    def add_element(self, key: tuple[str, str], text: str) -> None:
        for item in text.split(", "):
            name, _, value = item.partition(" : ")
            assert self.elements[key].setdefault(name, value) == value, "exists"

    def delete_element(self, key: tuple[str, str], text: str) -> None:
        for item in text.split(", "):
            del self.elements[key][item]

    def look(self) -> object:
        return self.sets, self.chains, self.elements


@st.composite
def parts(draw: st.DrawFn, stack: str, others: tuple[str, ...] = ()) -> Part:
    """Machines with chains of their own, that refer to their own stack and perhaps to others."""
    addresses = draw(st.sets(st.sampled_from(ADDRESSES)))
    known = [stack, *draw(st.sets(st.sampled_from(others)) if others else st.just(set[str]()))]
    rules = draw(st.lists(st.sampled_from([f"ip saddr @{it}.all4 accept" for it in known] + ["tcp dport 80 accept"]), max_size=3))
    chains = {(INET, f"{stack}.{address[-2:]}"): (*rules, "drop") for address in addresses if draw(st.booleans())}
    elements = {
        (INET, "guests4"): frozenset(addresses),
        (INET, "in4"): frozenset(f"{name[-2:]}.{stack} : goto {name}" for _, name in chains),
        (INET, f"{stack}.all4"): frozenset(addresses),
    }
    return Part({(INET, f"{it}.all4"): "type ipv4_addr;" for it in known}, chains, elements)


@given(parts("shop", ("blog",)), parts("shop", ("blog",)), parts("blog", ("shop",)) | st.just(Part()))
def test_the_difference_leads_to_what_everything_anew_would(old: Part, new: Part, other: Part) -> None:
    changed, anew = Tables(), Tables()
    for part in (old, other):
        changed.run(render(part))
    changed.run(render_difference(old, new, [other]))
    for part in (new, other):
        anew.run(render(part))
    assert changed.look() == anew.look()


@given(parts("shop"))
def test_equal_parts_have_no_difference_and_a_part_survives_its_plain_form(part: Part) -> None:
    assert render_difference(part, part) == ""
    again = Part.from_dict(part.as_dict())
    assert again.as_dict() == part.as_dict()


def test_a_changed_value_is_taken_out_before_it_is_put_in_again() -> None:
    old, new = (Part(elements={(INET, "in4"): frozenset({f"10.60.0.11 : goto shop.{word}"})}) for word in "ab")
    assert render_difference(old, new).splitlines() == [
        "delete element inet tinycloud in4 { 10.60.0.11 }",
        "add element inet tinycloud in4 { 10.60.0.11 : goto shop.b }",
    ]


def test_a_set_of_another_kind_needs_everything_anew() -> None:
    old, new = (Part(sets={(INET, "shop.x"): f"type {kind};"}) for kind in ("ipv4_addr", "ipv6_addr"))
    with pytest.raises(ValueError, match="another kind"):
        render_difference(old, new)


def test_what_libvirts_hook_runs_as_root_takes_a_name_for_nothing_but_a_name() -> None:
    part = {"filtered": ["br0;touch a"], "local": ["$(touch b)"], "addresses": [["198.51.100.10/32", "eth0;touch c"]]}
    part["overlays"] = [["tx-1", "br0;touch d", 7, "192.0.2.1", ["192.0.2.2;touch e"], 1450]]
    words = shlex.split(make_restore([part]), comments=True)
    assert "eth0;touch c" in words
    assert ">/sys/class/net/br0;touch a/bridge/nf_call_iptables" in words
    assert ">/proc/sys/net/ipv4/conf/$(touch b)/route_localnet" in words
    assert "192.0.2.2;touch e" in words
    assert words.count("br0;touch d") == 2
    assert "'eth0;touch c'" in make_restore([part])
    assert "'/proc/sys/net/ipv4/conf/$(touch b)/route_localnet'" in make_restore([part])


def test_the_tables_say_of_what_is_open_what_every_change_says_but_for_the_number() -> None:
    for name in ("current", "passed"):
        body = read_base().partition(f"chain {name} {{")[2].partition("}")[0]
        rules = [line.partition("#")[0].strip() for line in body.splitlines() if line.strip()]
        start = f"add rule {INET} {name} "
        assert rules == [line.removeprefix(start) for line in renew(0) if line.startswith(start)]


def test_a_number_is_the_top_byte_of_a_mark() -> None:
    assert f"add rule {INET} current ct mark and 0xff000000 == 0x01000000 accept" in renew(1)
    assert f"add rule {INET} passed ct mark set ct mark and 0x00ffffff or 0xff000000" in renew(255)
