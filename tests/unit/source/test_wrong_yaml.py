"""Files that are no stack file before anybody asks what they mean: syntax, tags, keys, aliases, depth, bytes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.builders import PlainVault
from tests.unit.source.wrong import check, complain, wrong
from tinycloud.source import load_inputs, load_stack
from tinycloud.source.complaints import WrongFile

NO_TAGS = "expected: plain values without tags"
ALIASES = "aliases count each time they are used"
NO_STACK = "expected: a mapping that starts with  stack: NAME"


@pytest.mark.parametrize(
    ("text", "code", "message", "facts", "hint"),
    [
        wrong("►- a\n", "wrong-type", "stack.yaml is not a stack file", NO_STACK),
        wrong("►hello\n", "wrong-type", "stack.yaml is not a stack file", NO_STACK),
        wrong("►groups: {}\n", "missing-key", '"stack" is missing'),
        wrong("stack: a\n►---\nstack: b\n", "yaml", "stack.yaml is not YAML: but found another document"),
        wrong("stack: a\ngroups:\n►\tweb: {}\n", "yaml", "stack.yaml is not YAML: found character '\\t' that cannot start any token"),
        wrong("groups: {access: bridge►: br0}\n", "yaml", "stack.yaml is not YAML: expected ',' or '}', but got ':'"),
        wrong('stack: "a\\►q"\n', "yaml", "stack.yaml is not YAML: found unknown escape character 'q'"),
        wrong("stack: ►*nope\n", "yaml", "stack.yaml is not YAML: found undefined alias 'nope'"),
        wrong("stack: a\ngroups: b►\x07c\n", "yaml", "stack.yaml is not YAML: U+0007 is no character of a text"),
        wrong("stack: a►\x1b[31m\n", "yaml", "stack.yaml is not YAML: U+001B is no character of a text"),
        wrong("►%YAML 3.0\n---\nstack: a\n", "yaml", "stack.yaml is not YAML: found incompatible YAML document (version 1.* is required)"),
        wrong("stack: a\n►stack: b\n", "duplicate-key", 'key "stack" stands twice', "first on line 1"),
        wrong("stack: a\n►'stack': b\n", "duplicate-key", 'key "stack" stands twice', "first on line 1"),
        wrong("stack: a\noutputs:\n  x: 1\n  y: 2\n  ►x: 3\n", "duplicate-key", 'key "x" stands twice', "first on line 3"),
        wrong("stack: a\noutputs: {<<: {x: 1}, ►<<: {y: 1}}\n", "duplicate-key", 'key "<<" stands twice', "first on line 2"),
        wrong("stack: a\n►[a, b]: 1\n", "wrong-key", "a key must be plain text"),
        wrong("stack: a\n►1.5: x\n", "wrong-key", "a key must be plain text"),
        wrong("stack: a\n? ►{a: b}\n: x\n", "wrong-key", "a key must be plain text"),
        wrong("stack: ►!!python/name:os.system x\n", "unknown-tag", "unknown tag tag:yaml.org,2002:python/name:os.system", NO_TAGS),
        wrong(
            "stack: a\noutputs: ►!!python/object/new:os.x {a: 1}\n",
            "unknown-tag",
            "unknown tag tag:yaml.org,2002:python/object/new:os.x",
            NO_TAGS,
        ),
        wrong(
            "stack: a\noutputs: {a: ►!!python/object/apply:os.x [id]}\n",
            "unknown-tag",
            "unknown tag tag:yaml.org,2002:python/object/apply:os.x",
        ),
        wrong("stack: a\noutputs: ►!!set {a, b}\n", "unknown-tag", "unknown tag tag:yaml.org,2002:set", NO_TAGS),
        wrong("stack: a\noutputs: {a: ►!!binary aGk=}\n", "unknown-tag", "unknown tag tag:yaml.org,2002:binary", NO_TAGS),
        wrong("stack: ►!mine a\n", "unknown-tag", "unknown tag !mine", NO_TAGS),
        wrong("stack: ►!!int a\n", "wrong-type", "found 'a', expected a number"),
        wrong("stack: a\noutputs: {a: ►!!bool maybe}\n", "wrong-type", "found 'maybe', expected true or false"),
        wrong("%YAML 1.1\n---\nstack: a\noutputs: {a: ►yes}\n", "wrong-type", "found 'yes', expected true or false"),
        wrong("stack: a\noutputs: {a: ►.inf}\n", "wrong-type", "found '.inf', expected a number"),
        wrong("stack: a\noutputs: {a: ►1e999}\n", "wrong-type", "found '1e999', expected a number"),
        wrong(f"stack: a\noutputs: {{a: ►{'1' * 31}}}\n", "wrong-type", f"found '{'1' * 31}', expected a number"),
        wrong("stack: a\noutputs: {<<: ►5}\n", "wrong-type", "<< takes a mapping"),
        wrong("stack: a\noutputs: {<<: ►[{}, 5]}\n", "wrong-type", "<< takes a mapping"),
        wrong('stack: a\ndescription: ►"a\\0b"\n', "wrong-value", "found U+0000, expected a character of a text"),
        wrong('stack: a\noutputs: {a: ►"\\ud800"}\n', "wrong-value", "found U+D800, expected a character of a text"),
        wrong('stack: a\noutputs: {►"a\\0": 1}\n', "wrong-value", "found U+0000, expected a character of a text"),
        wrong(f"stack: a\noutputs: {{a: {'[' * 49}►1{']' * 49}}}\n", "too-deep", "stack.yaml is nested deeper than 50 levels", ALIASES),
        wrong(f"stack: a\nx: {'[' * 50}►{'[' * 1200}\n", "too-deep", "stack.yaml is nested deeper than 50 levels"),
        wrong("stack: a\nx: ►&x [*x]\n", "too-deep", "stack.yaml is nested deeper than 50 levels", ALIASES),
        wrong("stack: a\nx: ►&x {<<: *x}\n", "too-deep", "stack.yaml is nested deeper than 50 levels", ALIASES),
    ],
)
def test_the_place_of_the_mistake_is_named(text: str, code: str, message: str, facts: tuple[str, ...], hint: str) -> None:
    check(text, code, message, facts, hint)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n...\n"])
def test_an_empty_file_is_no_stack_file(text: str) -> None:
    (told,) = complain(text)
    assert (told.kind, told.message) == ("wrong-type", "stack.yaml is not a stack file")
    assert told.facts[-1] == NO_STACK


def test_ten_aliases_of_ten_aliases_of_ten_are_counted_each_time() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    began = time.monotonic()
    (told,) = complain("\n".join(lines))
    assert (told.kind, told.message) == ("too-large", "stack.yaml has more than 50000 values")
    assert told.facts[0].startswith("stack.yaml:1:")
    assert time.monotonic() - began < 60, "a hundred million values were not made"


def test_merges_that_double_are_counted_each_time() -> None:
    lines = ["b0: &b0 {x0: 1}", *(f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}], x{n}: 1}}" for n in range(1, 45))]
    (told,) = complain("\n".join(lines))
    assert told.kind == "too-large"


def test_a_file_of_ten_megabytes_is_not_even_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"stack: a\n" + b"# x\n" * 2_500_000)
    with pytest.raises(WrongFile) as caught:
        load_stack(path, {}, PlainVault)
    assert (caught.value.kind, caught.value.message) == ("unreadable-file", f"{path} is larger than 1 MiB")
    assert caught.value.facts == (str(path), "expected: a stack file, usually a few KiB")


@pytest.mark.parametrize(
    ("raw", "place", "message", "found"),
    [
        (b"\x7fELF\x02\x01\x01\0\0\0", "1:8", "is not text", "found: a byte 0"),
        (b"stack: a\nx\0\n", "2:2", "is not text", "found: a byte 0"),
        (b"stack: caf\xe9\n", "1:11", "is not UTF-8 text", "found: byte 0xe9"),
        (b"stack: a\n\n  x: \xff\xfe\n", "3:6", "is not UTF-8 text", "found: byte 0xff"),
        ("stack: a\n".encode("utf-16"), "1:4", "is not text", "found: a byte 0"),
    ],
)
def test_a_binary_file_is_refused_at_its_first_wrong_byte(tmp_path: Path, raw: bytes, place: str, message: str, found: str) -> None:
    path = tmp_path / "stack.yaml"
    path.write_bytes(raw)
    with pytest.raises(WrongFile) as caught:
        load_stack(path, {}, PlainVault)
    assert (caught.value.kind, caught.value.message) == ("unreadable-file", f"{path} {message}")
    assert caught.value.facts == (f"{path}:{place}", found, "expected: YAML in UTF-8")
    assert caught.value.exit == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nope.yaml"
    with pytest.raises(WrongFile) as caught:
        load_stack(path, {}, PlainVault)
    assert (caught.value.kind, caught.value.message) == ("no-file", f"there is no file {path}")


def test_a_folder_is_no_stack_file(tmp_path: Path) -> None:
    with pytest.raises(WrongFile, match=f"^cannot read {tmp_path}: Is a directory$"):
        load_stack(tmp_path, {}, PlainVault)


def test_a_file_of_inputs_is_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "inputs.yaml"
    path.write_text("- web_count\n")
    with pytest.raises(WrongFile, match="is not a mapping") as caught:
        load_inputs(path)
    assert (caught.value.kind, caught.value.facts[0]) == ("wrong-type", f"{path}:1:1")
    path.write_text("web_count: 3\nzones: [a, b]\n")
    assert load_inputs(path) == {"web_count": 3, "zones": ["a", "b"]}
