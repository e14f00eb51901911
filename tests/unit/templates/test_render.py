"""Templates of the user: what they may do, what the sandbox refuses, and the line of every mistake."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from lxml import etree

from tests.unit.templates.things import FRONT, a_mark, check, render
from tinycloud.errors import WrongInput
from tinycloud.model.secret import Ref, Secret, Text
from tinycloud.model.stack import Group
from tinycloud.templates.render import find_shipped, list_shipped, render_text
from tinycloud.templates.render import render as render_shipped

VALUES = {"machine": {"name": "shop-web-1", "nics": []}, "values": {"a": "<&'\">", "n": 5}}


def mine(text: str, values: dict[str, Any] | None = None) -> Any:
    """The domain that a template of the user's makes."""
    return render(a_mark(nics=(FRONT,)), Group(image="nano", template="mine.j2", values=values or {}), templates={"mine.j2": text})


def test_a_template_may_be_a_whole_domain() -> None:
    root = mine("<domain type='kvm'><name>{{ machine.name }}</name><memory>{{ machine.memory_kib }}</memory></domain>")
    assert (root.findtext("name"), root.findtext("memory")) == ("shop-web-1", "131072")
    assert root.findtext("uuid") == a_mark().uuid, "what is ours is stamped on"


def test_a_template_may_extend_a_shipped_one() -> None:
    text = """{% extends "domain/kvm.xml.j2" %}
{% block devices %}
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0' bus='{{ values.bus }}' slot='0x1f' function='0'/></source>
    </hostdev>
{% endblock %}"""
    root = mine(text, {"bus": "0x03"})
    check(root, "domain")
    assert root.get("type") == "qemu", "the hypervisor is the group's choice, whatever is extended"
    assert root.find("devices/hostdev/source/address").get("bus") == "0x03"
    assert root.find("devices/interface/mac").get("address") == FRONT.mac, "the rest of the shipped template is there"


def test_a_template_may_include_a_shipped_part() -> None:
    root = mine("<domain><devices>{% for disk in machine.disks %}{% include 'disk.xml.j2' %}{% endfor %}</devices></domain>")
    assert [disk.findtext("serial") for disk in root.findall("devices/disk")] == ["root", "seed"]


def test_values_are_escaped_and_keep_their_shape() -> None:
    root = mine(
        "<domain><title>{{ values.text }}</title>{% for one in values.list %}<x a='{{ one }}'/>{% endfor %}<y>{{ values.map.k + 1 }}</y></domain>",
        {"text": "a < b & 'c' \"d\" ]]>", "list": ["'", 2], "map": {"k": 1}},
    )
    assert root.findtext("title") == "a < b & 'c' \"d\" ]]>"
    assert [x.get("a") for x in root.findall("x")] == ["'", "2"]
    assert root.findtext("y") == "2"


def test_a_secret_in_values_is_revealed_to_the_template_alone() -> None:
    values = {"password": Text((Secret("s", "hunter2", "fp"),)), "address": Ref("groups.db.address")}
    root = mine("<domain><title>{{ values.password }} {{ values.address }}</title></domain>", values)
    assert root.findtext("title") == "hunter2 ${groups.db.address}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("{{ machine.nam }}", 1, "'dict object' has no attribute 'nam'"),
        ("<a>\n\n{{ values.missing }}</a>", 3, "'dict object' has no attribute 'missing'"),
        ("{{ nowhere }}", 1, "'nowhere' is undefined"),
        ("\n{{ machine.nics[0].mac }}", 2, "list object has no element 0"),
        ("\n{% if %}", 2, "Expected an expression, got 'end of statement block'"),
        ("\n\n{{ x", 3, "unexpected end of template, expected 'end of print statement'."),
        ("{% for x %}{% endfor %}", 1, "expected token 'in', got 'end of statement block'"),
        ("\n{{ values.n / 0 }}", 2, "division by zero"),
        ("{{ values.a + 1 }}", 1, "can only concatenate str"),
        ("\n{% extends 'domain/kvm.xml.j2' %}", 2, "'dict object' has no attribute"),
        ("\n{% include 'disk.xml.j2' %}", 2, "'disk' is undefined"),
        ("\n{% include '/etc/passwd' %}", 2, "there is no shipped template /etc/passwd"),
        ("{% include '../render.py' %}", 1, "there is no shipped template ../render.py"),
        ("{% include 'domain/../../errors.py' %}", 1, "there is no shipped template domain/../../errors.py"),
        ("{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", 1, "maximum recursion depth exceeded"),
    ],
)
def test_a_mistake_is_told_with_the_line_of_the_template(text: str, line: int, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        render_text(text, VALUES, "mine.j2")
    assert (caught.value.kind, caught.value.exit) == ("template", 2)
    assert caught.value.message.startswith(f"template mine.j2: {message}")
    assert caught.value.facts == (f"mine.j2:{line}",)


def test_a_misspelt_shipped_template_is_answered_with_the_nearest() -> None:
    with pytest.raises(WrongInput) as caught:
        render_text("{% extends 'domain/kvn.xml.j2' %}", VALUES, "mine.j2")
    assert caught.value.hint == 'did you mean "domain/kvm.xml.j2"?'


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__.__mro__[1].__subclasses__()",
        "machine.__class__",
        "machine.__init__.__globals__",
        "cycler.__init__.__globals__['os'].system('id')",
        "''|attr('__class__')",
        "'{0.__class__}'.format(1)",
        "'{0.__class__}'.format_map({'0': 1})",
        "self._TemplateReference__context",
        "lipsum.__globals__",
        "machine.update({'name': 'evil'})",
        "machine.nics.append(1)",
        "machine.pop('name')",
        "range(1000000)",
        "(values.a).__getattribute__('x')",
    ],
)
def test_the_sandbox_lets_nobody_out(expression: str) -> None:
    before = copy.deepcopy(VALUES)
    with pytest.raises(WrongInput) as caught:
        render_text(f"{{{{ {expression} }}}}", VALUES, "mine.j2")
    assert caught.value.kind == "template"
    assert caught.value.facts == ("mine.j2:1",)
    assert before == VALUES, "nothing was changed"


def test_the_statement_that_runs_code_does_not_exist() -> None:
    with pytest.raises(WrongInput, match="Encountered unknown tag 'do'"):
        render_text("{% do machine.clear() %}", VALUES, "mine.j2")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("<network/>", "template", 'the template of group "web" renders <network>, expected <domain>'),
        ("<domain xmlns='urn:x'/>", "template", 'the template of group "web" renders <{urn:x}domain>, expected <domain>'),
        ("<domain><name>evil</name></domain>", "template", "the template of group \"web\" sets <name> to 'evil', expected 'shop-web-1'"),
        ("<domain><uuid>1-2</uuid></domain>", "template", "the template of group \"web\" sets <uuid> to '1-2', expected"),
        ("not xml", "xml", 'the template of group "web" is not XML: Start tag expected'),
        ("", "xml", 'the template of group "web" is not XML: Document is empty'),
        ("<domain>\n<oops>\n</domain>", "xml", 'the template of group "web" is not XML: Opening and ending tag mismatch: oops line 2'),
        ("<domain>{{ values.raw|safe }}</domain>", "xml", 'the template of group "web" is not XML: PCDATA invalid Char value 1'),
        ("<!DOCTYPE domain><domain/>", "xml", 'the template of group "web" declares a DOCTYPE, which is not accepted'),
    ],
)
def test_what_a_template_renders_must_be_this_domain(text: str, code: str, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        mine(text, {"raw": "\x01"})
    assert caught.value.kind == code
    assert caught.value.message.startswith(message)


def test_a_template_that_is_not_xml_shows_the_line() -> None:
    with pytest.raises(WrongInput) as caught:
        mine("<domain>\n<oops>\n</domain>")
    assert caught.value.facts == ("   3 | </domain>",)


def test_every_shipped_template_is_listed_and_parses() -> None:
    plain = ["disk.xml.j2", "network.xml.j2", "passphrase.xml.j2", "pool.xml.j2", "secret.xml.j2", "volume.xml.j2"]
    pools = [f"pool/{kind}.xml.j2" for kind in ("dir", "iscsi", "lvm", "nfs", "rbd")]
    assert list_shipped() == sorted([*plain, "domain/kvm.xml.j2", "domain/qemu.xml.j2", *pools])
    for name in list_shipped():
        assert find_shipped(name), name


@pytest.mark.parametrize(
    "name", ["nope.xml.j2", "render.py", "../errors.py", "domain", "", "/etc/passwd", "domain//kvm.xml.j2", "./disk.xml.j2"]
)
def test_nothing_else_is_a_shipped_template(name: str) -> None:
    assert find_shipped(name) is None


def test_a_shipped_template_is_strict_about_what_it_is_given() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render_shipped("pool.xml.j2", {"pool": {"name": "x"}})


def test_the_mark_survives_a_template_that_brings_metadata() -> None:
    root = mine("<domain><metadata><mine xmlns='urn:mine'>x</mine></metadata></domain>")
    assert [etree.QName(child).namespace for child in root.find("metadata")] == ["urn:mine", "urn:tinycloud:1"]
