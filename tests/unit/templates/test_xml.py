"""XML of others read safely; our mark and our notes on a domain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.model import strategies as some
from tests.unit.templates.things import a_mark, render
from tinycloud.errors import WrongInput
from tinycloud.model.machine import Live, Mark
from tinycloud.templates.xml import LIVE_NAMESPACE, bare, make_live, make_mark, parse_xml, read_live, read_mark, to_text

LAUGHS = '<!DOCTYPE l [<!ENTITY a0 "ha">{}]><l>&a9;</l>'.format("".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)))


def domain(*notes: Any) -> Any:
    """A domain as libvirt gives it back: through text."""
    root = etree.Element("domain")
    etree.SubElement(root, "metadata").extend(notes)
    return etree.fromstring(etree.tostring(root))


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a><a/>",
        '<!DOCTYPE a SYSTEM "http://example.invalid/a.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://example.invalid/x"> %x;]><a/>',
    ],
)
def test_a_doctype_is_refused(text: str) -> None:
    with pytest.raises(WrongInput) as caught:
        parse_xml(text, "it")
    assert (caught.value.kind, caught.value.message) == ("xml", "it declares a DOCTYPE, which is not accepted")


def test_a_billion_laughs_are_not_laughed() -> None:
    began = time.monotonic()
    with pytest.raises(WrongInput) as caught:
        parse_xml(LAUGHS, "it")
    assert caught.value.kind == "xml"
    assert time.monotonic() - began < 30, "some GiB of it were made"


def test_no_file_is_read_through_an_entity(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    with pytest.raises(WrongInput) as caught:
        parse_xml(f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a>&x;</a>', "it")
    assert "hunter2" not in str(caught.value.as_json())


def test_an_include_is_an_element_like_any_other(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    root = parse_xml(f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{secret}" parse="text"/></a>', "it")
    assert "hunter2" not in to_text(root)


@pytest.mark.parametrize(
    ("text", "message", "facts"),
    [
        ("", "it is not XML: Document is empty, line 1, column 1", ()),
        ("<a>\n  <b>\n</a>", "it is not XML: Opening and ending tag mismatch: b line 2 and a, line 3, column 5", ("   3 | </a>",)),
        ("<a>&x;</a>", "it is not XML: Entity 'x' not defined, line 1, column 7", ("   1 | <a>&x;</a>",)),
        ("<a/><b/>", "it is not XML: Extra content at the end of the document, line 1, column 5", ("   1 | <a/><b/>",)),
    ],
)
def test_what_is_not_xml_is_told_with_its_line(text: str, message: str, facts: tuple[str, ...]) -> None:
    with pytest.raises(WrongInput) as caught:
        parse_xml(text, "it")
    assert (caught.value.kind, caught.value.message, caught.value.facts) == ("xml", message, facts)


def test_nesting_has_a_limit() -> None:
    with pytest.raises(WrongInput, match="Excessive depth in document"):
        parse_xml("<a>" * 5000, "it")


@given(st.text(max_size=80) | st.text(st.sampled_from("<>/&;!?[]\"'= abx"), max_size=40).map(lambda text: f"<a>{text}</a>"))
def test_any_text_is_xml_or_refused_as_such(text: str) -> None:
    try:
        root = parse_xml(text, "it")
    except WrongInput as err:
        assert err.kind == "xml"
    else:
        assert isinstance(root.tag, str)


@given(some.marks)
@settings(max_examples=60)
def test_a_mark_is_read_from_the_metadata_as_it_was_written(mark: Mark) -> None:
    assert read_mark(domain(make_mark(mark))) == mark


def test_a_rendered_domain_carries_its_mark_and_no_notes() -> None:
    root = render()
    assert read_mark(root) == a_mark()
    assert read_live(root) == Live()


@pytest.mark.parametrize(
    "text", ["<domain/>", "<domain><metadata/></domain>", "<domain><metadata><machine stack='a'/></metadata></domain>"]
)
def test_a_domain_without_our_mark_is_not_ours(text: str) -> None:
    assert read_mark(etree.fromstring(text)) is None


@pytest.mark.parametrize(
    ("attributes", "body"),
    [
        ("stack='a' group='b' index='1' generation='1'", "not json"),
        ("stack='a' group='b' index='1' generation='1'", "[]"),
        ("stack='a' group='b' index='1' generation='1'", "{}"),
        ("stack='a' group='b' index='1' generation='1'", '{"image": null, "image_name": "", "memory": "1 GiB", "disk": 0}'),
        ("stack='a' group='b' index='x' generation='1'", '{"image": null, "image_name": "", "memory": 1, "disk": 0}'),
        ("stack='a' group='b' index='1'", '{"image": null, "image_name": "", "memory": 1, "disk": 0}'),
    ],
)
def test_a_mark_that_cannot_be_read_is_an_error_and_not_a_foreign_domain(attributes: str, body: str) -> None:
    text = f"<domain><metadata><m:machine xmlns:m='urn:tinycloud:1' {attributes}>{body}</m:machine></metadata></domain>"
    with pytest.raises(ValueError, match=r"^unreadable mark: "):
        read_mark(etree.fromstring(text))


@given(st.integers(0, 2**40), st.sampled_from(["", "started", "address", "ssh", "done"]))
def test_notes_on_a_running_machine_come_back(started: int, level: str) -> None:
    assert read_live(domain(make_live(Live(float(started), level)))) == Live(float(started), level)


@pytest.mark.parametrize("attributes", ["started='x' level='done'", ""])
def test_notes_that_cannot_be_read_are_blank(attributes: str) -> None:
    text = f"<domain><metadata><l:live xmlns:l='{LIVE_NAMESPACE}' {attributes}/></metadata></domain>"
    assert read_live(etree.fromstring(text)) == Live()


def test_libvirt_gets_metadata_without_the_namespace_that_it_puts_on() -> None:
    text = bare(make_live(Live(1700000000.4, "ssh")))
    assert text == '<live started="1700000000" level="ssh"/>'
    assert etree.fromstring(bare(make_mark(a_mark()))).get("stack") == "shop"
