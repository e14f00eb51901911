"""YAML text → plain values, each with the place it came from.

Stricter than YAML, because this file decides what happens to machines: 1 MiB at most, UTF-8, no duplicate keys, text keys
only, aliases that do not multiply. Scalars follow YAML 1.2 (``yes`` is text).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tinycloud.model.show import show
from tinycloud.source.complaints import Complaint, Place, WrongFile

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 1024 * 1024
MOST_NODES: Final = 50_000
MOST_DEPTH: Final = 50
_BOOLS: Final = {"true": True, "false": False}

_TOO_DEEP: Final = f"{{}} is nested deeper than {MOST_DEPTH} levels"

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Tree:
    """A file's content. ``places`` says where each value starts, ``keys`` where its key does."""

    file: str
    text: str
    value: Any
    places: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)

    def find_place(self, path: KeyPath) -> Place | None:
        """Where a value stands; for a path that does not exist, the nearest thing above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path)

    def find_key(self, path: KeyPath) -> Place | None:
        """Where a key stands, or the value when it has none (an item of a list)."""
        return self.keys.get(path) or self.find_place(path)

    def fail(self, *complaints: Complaint) -> WrongFile:
        return WrongFile(self.file, self.text, complaints)


def read_text(path: Path) -> str:
    """The file's text. Raises WrongFile when it is missing, too large, or not text."""

    def wrong(message: str, *facts: str, place: Place | None = None) -> WrongFile:
        return WrongFile(str(path), "", [Complaint("unreadable-file", message, place, facts)])

    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError as err:
        raise WrongFile(str(path), "", [Complaint("no-file", f"there is no file {path}")]) from err
    except OSError as err:
        raise wrong(f"cannot read {path}: {err.strerror}") from err
    if len(raw) > MOST_BYTES:
        raise wrong(f"{path} is larger than 1 MiB", "expected: a stack file, usually a few KiB")
    head, _, _ = raw.partition(b"\0")
    if len(head) < len(raw):
        place = Place(head.count(b"\n") + 1, len(head) - head.rfind(b"\n"))
        raise wrong(f"{path} is not text", "found: a byte 0", "expected: YAML in UTF-8", place=place)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        place = Place(raw[: err.start].count(b"\n") + 1, err.start - raw[: err.start].rfind(b"\n"))
        found = f"found: byte {raw[err.start]:#04x}"
        raise wrong(f"{path} is not UTF-8 text", found, "expected: YAML in UTF-8", place=place) from err


def parse_yaml(text: str, file: str) -> Tree:
    """The values of a YAML text. Raises WrongFile with every complaint found."""
    root = _compose(text, file)
    walk = _Walk(Tree(file, text, None))
    value = walk.value(root, (), 0) if root is not None else None
    if walk.complaints:
        raise walk.tree.fail(*walk.complaints)
    return Tree(file, text, value, walk.tree.places, walk.tree.keys)


def _compose(text: str, file: str) -> Any:
    from ruamel.yaml import YAML  # 20 ms of import
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else None
        problem = err.problem or "it cannot be read"
        raise WrongFile(file, text, [Complaint("yaml", f"{file} is not YAML: {problem}", place)]) from err
    except ReaderError as err:
        before = text[: err.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        problem = f"U+{ord(text[err.position]):04X} is no character of a text"
        raise WrongFile(file, text, [Complaint("yaml", f"{file} is not YAML: {problem}", place)]) from err
    except (YAMLError, ValueError) as err:
        raise WrongFile(file, text, [Complaint("yaml", f"{file} is not YAML: {err}")]) from err
    except RecursionError as err:
        raise WrongFile(file, text, [Complaint("too-deep", _TOO_DEEP.format(file), _find_deepest(text))]) from err


def _find_deepest(text: str) -> Place | None:
    """Where a text is nested too deep, for one that no parser can follow to its end."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    depth = -1
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MOST_DEPTH:
            return Place(event.start_mark.line + 1, event.start_mark.column + 1)
    return None


class _Walk:
    """One pass over the node graph; aliases are followed each time, so their cost is counted each time."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.complaints: list[Complaint] = []
        self.count = 0

    def value(self, node: Any, path: KeyPath, depth: int) -> Any:
        place = _place(node)
        self.count += 1
        facts = ("aliases count each time they are used",)
        if depth > MOST_DEPTH:
            raise self.tree.fail(Complaint("too-deep", _TOO_DEEP.format(self.tree.file), place, facts))
        if self.count > MOST_NODES:
            raise self.tree.fail(Complaint("too-large", f"{self.tree.file} has more than {MOST_NODES} values", place, facts))
        self.tree.places[path] = place
        if node.id != "scalar" and not node.tag.endswith((":map", ":seq")):
            self.complain("unknown-tag", f"unknown tag {node.tag}", place, "expected: plain values without tags")
        if node.id == "mapping":
            return self.mapping(node, path, depth)
        if node.id == "sequence":
            return [self.value(item, (*path, n), depth + 1) for n, item in enumerate(node.value)]
        return self.scalar(node)

    def mapping(self, node: Any, path: KeyPath, depth: int) -> dict[str, Any]:
        merged = self.merges(node, path, depth)
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag.endswith(":merge"):
                continue
            place = _place(key_node)
            key = self.text(key_node) if key_node.id == "scalar" else ""
            if key_node.id != "scalar" or not key_node.tag.endswith((":str", ":null", ":bool", ":int")):
                self.complain("wrong-key", "a key must be plain text", place)
            elif key in out:
                first = self.tree.keys[(*path, key)]
                self.complain("duplicate-key", f'key "{key}" stands twice', place, f"first on line {first.line}")
            else:
                self.tree.keys[(*path, key)] = place
                out[key] = self.value(value_node, (*path, key), depth + 1)
                if value_node.start_mark.index == value_node.end_mark.index:  # nothing: its key shows where
                    self.tree.places[(*path, key)] = place
        return {**{key: value for key, value in merged.items() if key not in out}, **out}

    def merges(self, node: Any, path: KeyPath, depth: int) -> dict[str, Any]:
        """What ``<<`` brings into a mapping; read first, so that the places of the mapping's own keys prevail."""
        found = [(key, value) for key, value in node.value if key.tag.endswith(":merge")]
        for key, _ in found[1:]:
            first = _place(found[0][0])
            self.complain("duplicate-key", 'key "<<" stands twice', _place(key), f"first on line {first.line}")
        merged = self.merge(found[0][1], path, depth) if found else {}
        self.tree.places[path] = _place(node)
        return merged

    def merge(self, node: Any, path: KeyPath, depth: int) -> dict[str, Any]:
        """``<<: *base``: keys of another mapping, as defaults."""
        value = self.value(node, path, depth + 1)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            self.complain("wrong-type", "<< takes a mapping", _place(node))
            return {}
        return {key: item for part in reversed(parts) for key, item in part.items()}

    def scalar(self, node: Any) -> Any:
        tag, text = node.tag.rsplit(":", 1)[-1], node.value
        try:
            match tag:
                case "null":
                    return None
                case "bool":
                    return _BOOLS[text.lower()]
                case "int":
                    return _parse_int(text)
                case "float":
                    return _parse_float(text)
                case "str" | "timestamp" | "merge" | "value":
                    return self.text(node)
        except (KeyError, ValueError):
            expected = "true or false" if tag == "bool" else "a number"
            self.complain("wrong-type", f"found {show(text)}, expected {expected}", _place(node))
            return None
        self.complain("unknown-tag", f"unknown tag {node.tag}", _place(node), "expected: plain values without tags")
        return None

    def text(self, node: Any) -> str:
        """A string; escapes can smuggle in what no file, XML or terminal takes."""
        wrong = next((c for c in node.value if c == "\0" or "\ud800" <= c <= "\udfff"), None)
        if wrong is not None:
            self.complain("wrong-value", f"found U+{ord(wrong):04X}, expected a character of a text", _place(node))
        return str(node.value)

    def complain(self, code: str, message: str, place: Place, *facts: str) -> None:
        self.complaints.append(Complaint(code, message, place, facts))


def _parse_int(text: str) -> int:
    plain = text.replace("_", "")
    if len(plain) > 30:
        raise ValueError("too long for a number")
    sign, digits = (-1, plain[1:]) if plain.startswith("-") else (1, plain.removeprefix("+"))
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower(), 10)
    return sign * int(digits if base == 10 else digits[2:], base)


def _parse_float(text: str) -> float:
    plain = text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
    value = float(plain)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _place(node: Any) -> Place:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Place(start.line + 1, start.column + 1, max(1, width))
