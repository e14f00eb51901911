"""References: replaced in values after parsing, never in YAML text; escapes; what stays for the planner."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import load
from tests.unit.source.wrong import check, complain, wrong
from tinycloud.model.secret import Ref, Text

KNOWN = "known: inputs.count, inputs.items, inputs.name, inputs.on, stack, groups.…, networks.…, machine.…"
HEAD = """stack: shop
inputs:
  name: {default: web}
  count: {type: integer, default: 3}
  on: {type: boolean, default: true}
  items: {type: list, default: [a, 5]}
groups: {db: {image: nano, count: 1}}
networks: {front: {}}
"""


def output(text: str) -> Any:
    """What an output becomes; single quotes are YAML's plainest."""
    return load(f"{HEAD}outputs:\n  o: '{text}'\n").stack.outputs["o"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${stack}", "shop"),
        ("${ stack }", "shop"),
        ("${inputs.name}-${inputs.count}", "web-3"),
        ("a ${inputs.name} b ${stack}", "a web b shop"),
        ("is ${inputs.on}", "is true"),
        ("no reference", "no reference"),
        ("$HOME $5 $$ $ {x} }{", "$HOME $5 $$ $ {x} }{"),
        ("${", "${"),
        ("${ stack", "${ stack"),
        ("$${HOME}", "${HOME}"),
        ("$${HOME} ${stack}", "${HOME} shop"),
        ("$$${HOME}", "$${HOME}"),
        ("$${${stack}}", "${shop}"),
    ],
)
def test_references_inside_a_text_are_replaced(text: str, value: str) -> None:
    assert output(text) == value


@pytest.mark.parametrize(("text", "value"), [("${inputs.count}", 3), ("${inputs.on}", True), ("${inputs.items}", ["a", 5])])
def test_a_reference_alone_keeps_the_type_of_what_it_means(text: str, value: object) -> None:
    found = output(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "path", ["groups.db.address", "groups.db.addresses", "groups.db.names", "groups.db.count", "networks.front.gateway"]
)
def test_what_only_the_plan_knows_stays_a_reference(path: str) -> None:
    assert output(f"${{{path}}}") == Ref(path)
    assert output(f"http://${{{path}}}/${{stack}}") == Text(("http://", Ref(path), "/shop"))


def test_numbers_and_lists_of_inputs_stand_where_the_file_wants_them() -> None:
    text = "stack: a\ninputs: {n: {type: integer}, m: {type: size}, l: {type: list}, b: {type: boolean}}\nnetworks: {x: {}, y: {}}\ngroups: {web: {image: nano, count: '${inputs.n}', cpus: '${inputs.n}', memory: '${inputs.m}', networks: '${inputs.l}', serial: '${inputs.b}'}}\n"
    group = load(text, {"n": "2", "m": "1 GiB", "l": "x,y", "b": "false"}).stack.groups["web"]
    assert (group.count, group.cpus.count, str(group.memory), group.serial) == (2, 2, "1 GiB", False)
    assert [nic.network for nic in group.networks] == ["x", "y"]


def test_a_value_with_yaml_in_it_changes_nothing_but_the_value() -> None:
    text = "stack: a\ninputs: {x: {}}\ngroups: {web: {image: nano, guest: {run: ['${inputs.x}', 'a ${inputs.x}']}}}\n"
    hostile = "x', memory: 99 GiB}}\ngroups: {evil: {}}\n# ${inputs.x} $${y} &a *a"
    run = load(text, {"x": hostile}).stack.groups["web"].guest.run
    assert [command.reveal() for command in run] == [hostile, f"a {hostile}"]


@given(st.text(max_size=40))
def test_any_given_text_arrives_as_it_is(text: str) -> None:
    loaded = load("stack: a\ninputs: {x: {}}\noutputs: {o: '${inputs.x}', p: '<${inputs.x}>'}\n", {"x": text})
    assert loaded.stack.outputs == {"o": text, "p": f"<{text}>"}


@given(st.text(st.sampled_from("${}ab"), max_size=12))
def test_doubling_each_dollar_before_a_brace_makes_any_text_literal(text: str) -> None:
    assert output(text.replace("${", "$${")) == text or "$$" in text


@pytest.mark.parametrize(
    ("text", "code", "message", "facts", "hint"),
    [
        wrong("o: ►'${inputs.nmae}'", "unknown-reference", "unknown reference ${inputs.nmae}", KNOWN, hint='did you mean "inputs.name"?'),
        wrong("o: ►'${HOME}'", "unknown-reference", "unknown reference ${HOME}", KNOWN, hint="for a literal ${ write $${"),
        wrong("o: ►'a ${HOME} b'", "unknown-reference", "unknown reference ${HOME}", KNOWN, hint="for a literal ${ write $${"),
        wrong("o: ►'${}'", "unknown-reference", "unknown reference ${}", KNOWN, hint="for a literal ${ write $${"),
        wrong("o: ►'${name}'", "unknown-reference", "unknown reference ${name}", KNOWN, hint='did you mean "inputs.name"?'),
        wrong("o: [{a: ►'${inputs}'}]", "unknown-reference", "unknown reference ${inputs}", KNOWN, hint='did you mean "inputs.on"?'),
        wrong("o: ►'all: ${inputs.items}'", "wrong-type", "a list cannot stand inside a text", "expected: the reference alone"),
    ],
)
def test_an_unknown_reference_is_answered_with_what_is_known(text: str, code: str, message: str, facts: tuple[str, ...], hint: str) -> None:
    check(f"{HEAD}outputs:\n  {text}\n", code, message, facts, hint)


def test_references_do_not_reach_into_keys() -> None:
    assert load(f"{HEAD}outputs: {{o: {{'${{stack}}': 1}}}}\n").stack.outputs["o"] == {"${stack}": 1}


def test_a_reference_in_a_file_without_a_name_is_one_complaint_less() -> None:
    assert [one.kind for one in complain("outputs: {o: '${stack}'}\n")] == ["missing-key"]
