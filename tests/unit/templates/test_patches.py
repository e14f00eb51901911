"""Changes to the rendered XML: each operation, what finds nothing, and what nobody may change."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from tests.unit.templates.things import FRONT, a_mark, check, render
from tinycloud.errors import WrongInput
from tinycloud.model.stack import Group, Patch
from tinycloud.templates.xml import apply_patches, read_mark

HERE = 'xml[0] of group "web"'


def patched(*patches: dict[str, Any]) -> Any:
    """The domain of a machine whose group has these patches."""
    group = Group(image="nano", xml=tuple(Patch(**patch) for patch in patches))
    root = render(a_mark(nics=(FRONT,)), group)
    check(root, "domain")
    return root


def apply(before: str, **patch: Any) -> str:
    root = etree.fromstring(before)
    apply_patches(root, [Patch(**patch)], 'group "web"')
    return etree.tostring(root, encoding="unicode")


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({"at": "//b", "set": {"x": 1, "y": "<&'\">"}}, '<a><b x="1" y="&lt;&amp;\'&quot;&gt;"/><c/></a>'),
        ({"at": "//b", "text": "<hi> & 'you'"}, "<a><b>&lt;hi&gt; &amp; 'you'</b><c/></a>"),
        ({"at": "/a", "add": "<d/><e f='1'/>"}, '<a><b/><c/><d/><e f="1"/></a>'),
        ({"at": "//b", "replace": "<d/><e/>"}, "<a><d/><e/><c/></a>"),
        ({"at": "//b", "remove": True}, "<a><c/></a>"),
        ({"at": "/a/*", "set": {"x": "1"}}, '<a><b x="1"/><c x="1"/></a>'),
        ({"at": "/a/*", "add": "<d/>"}, "<a><b><d/></b><c><d/></c></a>"),
        ({"at": "//b | //c", "remove": True}, "<a/>"),
        ({"at": "//b", "set": {"x": "1"}, "text": "t", "add": "<d/>"}, '<a><b x="1">t<d/></b><c/></a>'),
        ({"at": "//b", "add": "<!-- why --><d/>"}, "<a><b><!-- why --><d/></b><c/></a>"),
    ],
)
def test_each_operation_does_what_it_says(patch: dict[str, Any], after: str) -> None:
    assert apply("<a><b/><c/></a>", **patch) == after


def test_patches_are_applied_in_order() -> None:
    root = patched(
        {"at": "/domain/devices", "add": "<watchdog model='i6300esb' action='reset'/>"},
        {"at": "//watchdog", "set": {"action": "pause"}},
        {"at": "//memballoon", "replace": "<memballoon model='none'/>"},
        {"at": "//title", "text": "mine"},
        {"at": "//rng", "remove": True},
    )
    assert root.find("devices/watchdog").get("action") == "pause"
    assert root.find("devices/memballoon").get("model") == "none"
    assert root.find("devices/rng") is None
    assert root.findtext("title") == "mine"


def test_hundreds_of_lines_of_a_vendor_are_taken() -> None:
    pins = "".join(f"<vcpupin vcpu='{n}' cpuset='{n}'/>" for n in range(300))
    root = patched({"at": "/domain", "add": f"<cputune>{pins}</cputune>"})
    assert len(root.findall("cputune/vcpupin")) == 300


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"at": "//nope", "remove": True}, "'//nope' finds no element"),
        ({"at": "//b/@x", "remove": True}, "'//b/@x' finds no element"),
        ({"at": "count(//b)", "text": "x"}, "'count(//b)' finds no element"),
        ({"at": "//b/text()", "text": "x"}, "'//b/text()' finds no element"),
        ({"at": "//comment()", "set": {"a": "b"}}, "'//comment()' finds no element"),
        ({"at": "//processing-instruction()", "text": "x"}, "'//processing-instruction()' finds no element"),
        ({"at": "/", "remove": True}, "'/' finds no element"),
        ({"at": "//[", "remove": True}, "'//[' is not an XPath: Invalid expression"),
        ({"at": "", "remove": True}, "'' is not an XPath: Invalid expression"),
        ({"at": "//ns:b", "remove": True}, "'//ns:b' is not an XPath: Undefined namespace prefix"),
        ({"at": "$x", "remove": True}, "'$x' is not an XPath: Undefined variable"),
        ({"at": "document('/etc/passwd')", "remove": True}, "\"document('/etc/passwd')\" is not an XPath: Unregistered function"),
        ({"at": "//b\x01", "remove": True}, "'//b\\x01' is not an XPath: "),
        ({"at": "/a", "remove": True}, "the whole domain cannot be replaced or removed"),
        ({"at": "/a", "replace": "<a/>"}, "the whole domain cannot be replaced or removed"),
        ({"at": "//b", "set": {"a b": "x"}}, "Invalid attribute name 'a b'"),
        ({"at": "//b", "set": {"a": "\x01"}}, "All strings must be XML compatible"),
        ({"at": "//b", "text": "\x01"}, "All strings must be XML compatible"),
        ({"at": "//b", "add": "hello"}, "found 'hello', expected elements"),
        ({"at": "//b", "add": "<d/> loose"}, "found ' loose', expected elements"),
        ({"at": "//b", "add": ""}, "found '', expected elements"),
        ({"at": "//b", "replace": "<!-- nothing -->"}, "found '<!-- nothing -->', expected elements"),
    ],
)
def test_a_patch_that_cannot_be_applied_names_its_number_and_group(patch: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        apply("<a><!-- c --><?p i?><b x='1'>t</b></a>", **patch)
    assert (caught.value.kind, caught.value.exit) == ("xml-patch", 2)
    assert caught.value.message.startswith(f"{HERE}: {message}")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        ("<d>", "Opening and ending tag mismatch: d"),
        ("</patch><evil/><patch>", "Extra content at the end of the document"),
        ("&nbsp;", "Entity 'nbsp' not defined"),
        ("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&x;</d>", "StartTag: invalid element name"),
        ("<d>\x00</d>", "Invalid character"),
    ],
)
def test_a_fragment_that_is_not_xml_is_refused(add: str, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        apply("<a><b/></a>", at="//b", add=add)
    assert caught.value.kind == "xml"
    assert caught.value.message.startswith(f"{HERE} is not XML: {message}")


def test_the_second_patch_is_told_by_its_number() -> None:
    with pytest.raises(WrongInput, match=r'^xml\[1\] of group "web": \'//nope\' finds no element$'):
        patched({"at": "//title", "text": "x"}, {"at": "//nope", "remove": True})


@pytest.mark.parametrize(
    "patch",
    [
        {"at": "/domain/name", "text": "evil"},
        {"at": "/domain/uuid", "text": "00000000-0000-0000-0000-000000000000"},
        {"at": "/domain/name", "replace": "<name>evil</name><name>shop-web-1</name>"},
        {"at": "/domain/uuid", "replace": "<uuid/>"},
    ],
)
def test_no_patch_renames_a_machine(patch: dict[str, Any]) -> None:
    with pytest.raises(WrongInput, match=r'^the template of group "web" sets <(name|uuid)> to '):
        patched(patch)


@pytest.mark.parametrize(
    "patch",
    [
        {
            "at": "/domain",
            "add": "<metadata><tc:machine xmlns:tc='urn:tinycloud:1' stack='x' group='y' index='9' generation='9'>{}</tc:machine></metadata>",
        },
        {
            "at": "/domain/title",
            "replace": "<metadata><tc:machine xmlns:tc='urn:tinycloud:1' stack='x' group='y' index='9' generation='9'>{}</tc:machine></metadata>",
        },
        {"at": "/domain/name", "remove": True},
        {"at": "/domain/uuid", "remove": True},
    ],
)
def test_our_name_and_mark_stand_there_whatever_a_patch_does(patch: dict[str, Any]) -> None:
    root = patched(patch)
    assert read_mark(root) == a_mark(nics=(FRONT,))
    assert len(root.findall("metadata/{urn:tinycloud:1}machine")) == 1
    assert (root.findtext("name"), root.findtext("uuid")) == ("shop-web-1", a_mark().uuid)
