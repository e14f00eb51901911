"""What nft is told of a part of a stack: all of it, or what leads from one part to the next."""

from typing import Any

TABLES = ("inet tinycloud", "bridge tinycloud")

Plain = dict[str, Any]
"""A part, as of Part.as_dict."""


def render(part: Plain) -> list[str]:
    """All of a part, for tables that have nothing of it. What is referred to comes before what refers."""
    out = [f"add set {table} {name} {{ {text} }}" for table, name, text in part.get("sets", ())]
    out += [f"add chain {table} {name}" for table, name, _ in part.get("chains", ())]
    out += [f"add rule {table} {name} {rule}" for table, name, rules in part.get("chains", ()) for rule in rules]
    return out + [_change("add", table, name, items) for table, name, items in part.get("elements", ())]


def difference(old: Plain, new: Plain, others: list[Plain]) -> list[str]:
    """From one part to the next. What ``others`` have too stays: sets that they refer to, elements that are theirs as well.

    Raises ValueError when it takes more than that: a set becomes one of another kind.
    """
    sets_before, sets_after = _by_name(old, "sets"), _by_name(new, "sets")
    chains_before, chains_after = _by_name(old, "chains"), _by_name(new, "chains")
    if any(sets_before.get(key, text) != text for key, text in sets_after.items()):
        raise ValueError("a set becomes one of another kind")
    theirs = {(table, name) for other in others for table, name, _ in other.get("sets", ())}
    gone_sets = [key for key in sets_before if key not in sets_after and key not in theirs]
    gone_chains = [key for key in chains_before if key not in chains_after]
    changed = [key for key, rules in chains_after.items() if chains_before.get(key) != rules]
    less, more = _compare_elements(old, new, others)
    out = [f"add set {table} {name} {{ {text} }}" for (table, name), text in sets_after.items() if (table, name) not in sets_before]
    out += [f"add chain {table} {name}" for table, name in chains_after if (table, name) not in chains_before]
    out += [_change("delete", *key, [_key_of(item) for item in items]) for key, items in less.items() if key not in gone_sets]
    out += [f"flush chain {table} {name}" for table, name in [*changed, *gone_chains] if (table, name) in chains_before]
    out += [f"add rule {table} {name} {rule}" for table, name in changed for rule in chains_after[table, name]]
    out += [_change("add", *key, items) for key, items in more.items()]
    out += [f"delete chain {table} {name}" for table, name in gone_chains]
    return out + [f"delete set {table} {name}" for table, name in gone_sets]


def _by_name(part: Plain, word: str) -> dict[tuple[str, str], Any]:
    return {(table, name): it for table, name, it in part.get(word, ())}


Elements = dict[tuple[str, str], list[str]]


def _compare_elements(old: Plain, new: Plain, others: list[Plain]) -> tuple[Elements, Elements]:
    """(set → elements that go, set → elements that come)"""
    before, after = ({(t, n): set(items) for t, n, items in part.get("elements", ())} for part in (old, new))
    less = {key: gone for key, items in before.items() if (gone := items - after.get(key, set()))}
    if less:
        for other in others:
            for table, name, items in other.get("elements", ()):
                if (table, name) in less:
                    less[table, name] -= set(items)
    more = {key: sorted(items - before.get(key, set())) for key, items in after.items()}
    return {key: sorted(items) for key, items in less.items() if items}, {key: items for key, items in more.items() if items}


def _change(verb: str, table: str, name: str, items: list[str]) -> str:
    return f"{verb} element {table} {name} {{ {', '.join(items)} }}"


def _key_of(element: str) -> str:
    """``10.60.0.11`` of ``10.60.0.11 : goto shop.web-1.in``"""
    return element.split(" : ", 1)[0]


def note(verb: str, mark: str) -> str:
    return f'{verb} element {TABLES[0]} parts {{ "{mark}" }}'


def renew(number: int) -> list[str]:
    """What is open is asked once more by the rules: base.nft's chains ``current`` and ``passed`` with another number, below 256."""
    mark, table = f"{number << 24:#010x}", TABLES[0]
    return [
        f"flush chain {table} current",
        f"add rule {table} current ct mark and 0xff000000 == {mark} accept",
        f"add rule {table} current ct direction reply accept",
        f"add rule {table} current iifname != @bridges oifname != @bridges accept",
        f"flush chain {table} passed",
        f"add rule {table} passed ct mark set ct mark and 0x00ffffff or {mark}",
    ]


def clear() -> list[str]:
    return [line for table in TABLES for line in (f"add table {table}", f"delete table {table}")]
