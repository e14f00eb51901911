"""Inputs: declared, given, defaulted, generated, referred to; and never a secret in a complaint."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import PlainVault, load
from tests.unit.source.wrong import MARK, complain, find_place
from tinycloud.model.secret import Secret, Text
from tinycloud.source import parse_stack


def stack(declaration: str) -> str:
    return f"stack: shop\ninputs:\n  {MARK}x: {declaration}\noutputs: {{o: '${{inputs.x}}'}}\n"


def compute(declaration: str, given: dict[str, Any] | None = None) -> Any:
    """What ``${inputs.x}`` becomes."""
    return load(stack(declaration).replace(MARK, ""), given).stack.outputs["o"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "5", "5"),
        ("string", "${stack} $${x}", "${stack} $${x}"),
        ("string", "", ""),
        ("integer", "-5", -5),
        ("number", "1.5", 1.5),
        ("number", "2", 2.0),
        ("boolean", "true", True),
        ("boolean", "False", False),
        ("size", "2 GiB", "2 GiB"),
        ("list", "a,b", ["a", "b"]),
        ("list", '["a", 5]', ["a", 5]),
        ("list", "a", ["a"]),
    ],
)
def test_what_is_typed_on_the_command_line_becomes_the_declared_type(kind: str, text: str, value: object) -> None:
    found = compute(f"{{type: {kind}}}", {"x": text})
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "value"), [("integer", 5), ("number", 5), ("boolean", False), ("list", ["a"]), ("string", "a"), ("integer", 0)]
)
def test_values_of_an_inputs_file_keep_their_type(kind: str, value: object) -> None:
    assert compute(f"{{type: {kind}}}", {"x": value}) == value


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("{default: a}", "a"),
        ("{default: ''}", ""),
        ("{type: integer, default: 0}", 0),
        ("{type: boolean, default: false}", False),
        ("{type: list, default: []}", []),
        ("{type: integer, default: 2, choices: [1, 2]}", 2),
    ],
)
def test_a_default_is_used_when_nothing_is_given(declaration: str, value: object) -> None:
    assert compute(declaration) == value
    assert compute(declaration, {"x": None}) == value, "nothing in an inputs file is nothing given"


@pytest.mark.parametrize(
    ("declaration", "given", "code", "message"),
    [
        ("{type: string}", {}, "missing-input", 'input "x" has no value'),
        ("{type: string, default: null}", {}, "missing-input", 'input "x" has no value'),
        ("{type: integer}", {"x": "five"}, "wrong-type", "input \"x\": found 'five', expected a whole number"),
        ("{type: integer}", {"x": "1.5"}, "wrong-type", "input \"x\": found '1.5', expected a whole number"),
        ("{type: integer}", {"x": True}, "wrong-type", 'input "x": found true, expected a whole number'),
        ("{type: integer}", {"x": "9" * 5000}, "wrong-type", f"input \"x\": found '{'9' * 77}…', expected a whole number"),
        ("{type: number}", {"x": "nan"}, "wrong-type", "input \"x\": found 'nan', expected a number"),
        ("{type: number}", {"x": "inf"}, "wrong-type", "input \"x\": found 'inf', expected a number"),
        ("{type: boolean}", {"x": "yes"}, "wrong-type", "input \"x\": found 'yes', expected true or false"),
        ("{type: boolean}", {"x": 1}, "wrong-type", 'input "x": found 1, expected true or false'),
        ("{type: size}", {"x": "5"}, "wrong-type", 'input "x": found \'5\', expected a size such as "512 MiB"'),
        ("{type: size}", {"x": 5}, "wrong-type", 'input "x": found 5, expected a size such as "512 MiB"'),
        ("{type: list}", {"x": "[1,"}, "wrong-type", 'input "x": found \'[1,\', expected a list such as a,b or ["a", "b"]'),
        (
            "{type: list}",
            {"x": "[" * 100_000},
            "wrong-type",
            f'input "x": found \'{"[" * 77}…\', expected a list such as a,b or ["a", "b"]',
        ),
        ("{type: string}", {"x": 5}, "wrong-type", 'input "x": found 5, expected text'),
        ("{type: string}", {"x": ["a"]}, "wrong-type", 'input "x": found a list, expected text'),
        ("{type: integer, default: abc}", {}, "wrong-type", "input \"x\": found 'abc', expected a whole number"),
        ("{choices: [a, b]}", {"x": "c"}, "wrong-value", "input \"x\": found 'c'"),
        ("{choices: [a, b], default: c}", {}, "wrong-value", "input \"x\": found 'c'"),
        (
            "{default: '${groups.web.count}'}",
            {},
            "wrong-type",
            'input "x": found ${groups.web.count}, which is not known before the machines',
        ),
        ("{type: secret}", {"x": ["hunter2"]}, "wrong-type", 'input "x": found something else, expected text'),
        ("{type: secret}", {"x": 4815162342}, "wrong-type", 'input "x": found something else, expected text'),
        ("{type: secret, choices: [aaa]}", {"x": "hunter2"}, "wrong-value", 'input "x": found a secret'),
    ],
)
def test_a_wrong_input_is_told_where_it_is_declared(declaration: str, given: dict[str, Any], code: str, message: str) -> None:
    (told,) = complain(stack(declaration), given)
    assert told.kind == code
    assert told.message.startswith(message)
    assert told.facts[0] == f"stack.yaml:{find_place(stack(declaration))}"
    assert "hunter2" not in str(told.as_json())
    assert "4815162342" not in str(told.as_json())


def test_a_missing_input_says_how_to_give_it() -> None:
    assert complain(stack("{type: string}"))[0].hint == "--set x=VALUE"


def test_choices_are_listed() -> None:
    assert complain(stack("{choices: [small, large]}"), {"x": "huge"})[0].facts[-1] == "expected one of: small, large"


@pytest.mark.parametrize(
    ("text", "hint", "fact", "place"),
    [
        ("stack: a\ninputs: {web_count: {default: x}}\n", 'did you mean "web_count"?', "inputs declared: web_count", "2:1"),
        ("stack: a\n", "", "inputs declared: none", "1:1"),
    ],
)
def test_an_input_that_nobody_declared_is_refused(text: str, hint: str, fact: str, place: str) -> None:
    (told,) = complain(text, {"web_cont": "3"})
    assert (told.kind, told.message, told.hint) == ("unknown-input", 'there is no input "web_cont"', hint)
    assert (told.facts[0], told.facts[-1]) == (f"stack.yaml:{place}", fact)


def test_a_default_may_refer_to_other_inputs_and_to_the_stack() -> None:
    text = "stack: shop\ninputs: {b: {default: '${inputs.a}-${stack}'}, a: {default: x}, l: {type: list, default: ['${inputs.b}', '${inputs.n}']}, n: {type: integer, default: 3}}\noutputs: {o: '${inputs.l}'}\n"
    assert load(text).stack.outputs["o"] == ["x-shop", 3]
    assert load(text, {"a": "y"}).stack.outputs["o"] == ["y-shop", 3]


def test_a_default_that_names_no_input_is_answered_with_the_nearest() -> None:
    (told,) = complain("stack: a\ninputs: {one: {default: ►'${inputs.too}'}, two: {default: x}}\n".replace(MARK, ""))
    assert (told.kind, told.message, told.hint) == ("unknown-reference", "unknown reference ${inputs.too}", 'did you mean "inputs.two"?')


@pytest.mark.parametrize(
    ("inputs", "circle"),
    [
        ("{x: {default: '${inputs.x}'}}", "x → x"),
        ("{x: {default: '${inputs.y}'}, y: {default: '${inputs.z}'}, z: {default: 'a ${inputs.x}'}}", "x → y → z → x"),
        ("{x: {type: list, default: ['${inputs.y}']}, y: {default: '${inputs.x}'}}", "x → y → x"),
    ],
)
def test_inputs_that_refer_to_each_other_in_a_circle_are_told_once(inputs: str, circle: str) -> None:
    told = complain(f"stack: a\ninputs: {inputs}\n")
    assert [one.message for one in told if one.kind == "reference-cycle"] == [f"inputs refer to each other in a circle: {circle}"]


def test_a_given_value_breaks_the_circle() -> None:
    text = "stack: a\ninputs: {x: {default: '${inputs.y}'}, y: {default: '${inputs.x}'}}\noutputs: {o: '${inputs.x}'}\n"
    assert load(text, {"y": "given"}).stack.outputs["o"] == "given"


def test_a_chain_of_a_thousand_inputs_is_refused_before_the_stack_overflows() -> None:
    rows = ", ".join(f"x{n}: {{default: '${{inputs.x{n + 1}}}'}}" for n in range(1000))
    assert complain(f"stack: a\ninputs: {{{rows}, x1000: {{default: a}}}}\n")[0].kind == "too-deep"


# secrets


def test_a_secret_is_generated_when_none_is_given() -> None:
    vault = PlainVault()
    stack_text = "stack: a\ninputs: {s: {type: secret, length: 32}}\noutputs: {o: '${inputs.s}'}\n"
    found = parse_stack(stack_text, "stack.yaml", {}, lambda _name: vault).stack.outputs["o"]
    assert found == Secret("s", "generated-s", vault.get("s", 32).fingerprint)


def test_the_vault_is_asked_for_the_stack_that_the_file_names() -> None:
    asked: list[str] = []

    def make_vault(name: str) -> PlainVault:
        asked.append(name)
        return PlainVault()

    parse_stack("stack: shop\n", "stack.yaml", {}, make_vault)
    assert asked == ["shop"]


@pytest.mark.parametrize("given", [{"x": "hunter2"}, {}])
def test_a_given_or_declared_secret_is_wrapped_at_once(given: dict[str, Any]) -> None:
    found = compute("{type: secret, default: hunter2}", given)
    assert isinstance(found, Secret)
    assert found.value == "hunter2"


def test_a_secret_inside_a_text_stays_a_secret() -> None:
    text = "stack: a\ninputs: {s: {type: secret}}\ngroups: {web: {image: nano, guest: {run: ['login ${inputs.s} now']}}}\n"
    loaded = load(text, {"s": "hunter2"})
    (command,) = loaded.stack.groups["web"].guest.run
    assert isinstance(command, Text)
    assert str(command) == "login <secret s> now"
    assert command.reveal() == "login hunter2 now"
    assert "hunter2" not in repr(loaded.stack)
    assert "hunter2" not in repr(loaded), "what was given is not printed either"


@pytest.mark.parametrize(
    "body",
    [
        "image: '${inputs.s}'",
        "image: 'x${inputs.s}'",
        "memory: '${inputs.s}'",
        "networks: ['${inputs.s}']",
        "needs: ['${inputs.s}']",
        "disk_bus: '${inputs.s}'",
        "cpus: '${inputs.s}'",
        "template: '${inputs.s}'",
        "xml: [{at: //a, text: 'x ${inputs.s}'}]",
        "guest: {packages: ['${inputs.s}']}",
        "guest: {users: [{name: '${inputs.s}'}]}",
        "guest: {ssh_keys: ['${inputs.s}']}",
        "guest: {files: [{path: '/${inputs.s}', content: x}]}",
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_without_being_told(body: str) -> None:
    told = complain(
        f"stack: a\ninputs: {{s: {{type: secret}}}}\ngroups: {{web: {{image: nano, {body}}}}}\n".replace("image: nano, image", "image"),
        {"s": "hunter2"},
    )
    assert {one.kind for one in told} == {"wrong-value"}
    assert "found a secret" in told[0].message
    assert "hunter2" not in str([one.as_json() for one in told])
