"""XML that somebody else wrote: parsed without entities and network, patched, stamped with our name, uuid and mark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.errors import WrongInput
from tinycloud.model.machine import Live, MachineSpec, Mark
from tinycloud.model.names import NAMESPACE
from tinycloud.model.show import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.stack import Patch

LIVE_NAMESPACE = "urn:tinycloud:live:1"


def parse_xml(text: str | bytes, what: str) -> Any:
    """The root element. Raises WrongInput with the line for XML that does not parse or that declares a DTD."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=False)
    try:
        root = etree.fromstring(text.encode(errors="replace") if isinstance(text, str) else text, parser)
    except etree.XMLSyntaxError as err:
        line = err.lineno or 0
        lines = (text if isinstance(text, str) else text.decode(errors="replace")).splitlines()
        shown = [f"{line:4d} | {lines[line - 1]}"] if 0 < line <= len(lines) else []
        raise WrongInput(f"{what} is not XML: {' '.join(err.msg.split())}", code="xml", facts=shown) from err
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype:
        raise WrongInput(f"{what} declares a DOCTYPE, which is not accepted", code="xml")
    return root


def to_text(root: Any) -> str:
    etree.indent(root, space="  ")
    return str(etree.tostring(root, encoding="unicode"))


def apply_patches(root: Any, patches: Iterable[Patch], what: str) -> None:
    """Change the tree as the patches say; a patch that finds nothing raises WrongInput."""
    for number, patch in enumerate(patches):
        where = f"xml[{number}] of {what}"
        for element in _find(root, patch.at, where):
            _apply(element, patch, where)


def _find(root: Any, path: str, where: str) -> list[Any]:
    try:
        found = root.xpath(path)
    except (etree.XPathError, ValueError) as err:
        raise WrongInput(f"{where}: {path!r} is not an XPath: {err}", code="xml-patch") from err
    if not isinstance(found, list) or not found or not all(_is_element(item) for item in found):
        raise WrongInput(f"{where}: {path!r} finds no element", code="xml-patch", hint="tinycloud show MACHINE --xml")
    return found


def _is_element(item: Any) -> bool:
    """True for an element; comments and processing instructions have a function for a tag."""
    return isinstance(item, etree._Element) and isinstance(item.tag, str)


def _apply(element: Any, patch: Patch, where: str) -> None:
    try:
        for key, value in (patch.set or {}).items():
            element.set(key, str(value))
        if patch.text is not None:
            element.text = patch.text
    except ValueError as err:
        raise WrongInput(f"{where}: {err}", code="xml-patch") from err
    if patch.add is not None:
        element.extend(_fragments(patch.add, where))
    parent = element.getparent()
    if parent is None and (patch.replace is not None or patch.remove):
        raise WrongInput(f"{where}: the whole domain cannot be replaced or removed", code="xml-patch", hint="use template: FILE")
    if patch.replace is not None:
        at = parent.index(element)
        parent[at : at + 1] = _fragments(patch.replace, where)
    elif patch.remove:
        parent.remove(element)


def _fragments(text: str, where: str) -> list[Any]:
    """The elements of a patch. Raises WrongInput for text outside of them, which would be lost."""
    root = parse_xml(f"<patch>{text}</patch>", where)
    loose = [words for words in (root.text, *(item.tail for item in root)) if words and words.strip()]
    if loose or not any(_is_element(item) for item in root):
        raise WrongInput(f"{where}: found {show(loose[0] if loose else text)}, expected elements", code="xml-patch")
    return list(root)


def stamp(root: Any, mark: Mark, what: str) -> None:
    """Put our name, uuid and mark on a domain. Raises WrongInput when the XML claims to be another."""
    check_stamp(root, "domain", (mark.domain, mark.uuid), what)
    metadata = root.find("metadata")
    if metadata is None:
        metadata = etree.Element("metadata")
        root.insert(2, metadata)
    for old in metadata.findall(f"{{{NAMESPACE}}}machine"):
        metadata.remove(old)
    metadata.append(make_mark(mark))


def check_stamp(root: Any, tag: str, owner: tuple[str, str | None], what: str) -> None:
    """Put a name and a uuid on an element that has none. Raises WrongInput for another element, and for one that claims to be another."""
    if root.tag != tag:
        raise WrongInput(f"{what} renders <{root.tag}>, expected <{tag}>", code="template")
    word = "machine" if tag == "domain" else tag
    for position, (key, value) in enumerate(zip(("name", "uuid"), owner, strict=True)):
        if value is None:
            continue
        present = root.findall(key)
        if not present:
            present = [etree.Element(key)]
            present[0].text = value
            root.insert(position, present[0])
        for found in present:
            if (found.text or "").strip() != value:
                hint = f"write {{{{ {word}.{key} }}}}"
                raise WrongInput(f"{what} sets <{key}> to {found.text!r}, expected {value!r}", code="template", hint=hint)


def make_mark(mark: Mark) -> Any:
    """The metadata element of a machine: ``<tc:machine stack= group= index= generation=>{spec as JSON}</tc:machine>``."""
    element = etree.Element(f"{{{NAMESPACE}}}machine", nsmap={"tc": NAMESPACE})
    for key in ("stack", "group", "index", "generation"):
        element.set(key, str(getattr(mark, key)))
    element.text = json.dumps(mark.spec.as_dict(), sort_keys=True, separators=(",", ":"))
    return element


def read_mark(domain: Any) -> Mark | None:
    """The mark in a domain's metadata, None without one. Raises ValueError when there is one that cannot be read."""
    element = domain.find(f"metadata/{{{NAMESPACE}}}machine")
    if element is None:
        return None
    try:
        spec = MachineSpec.from_dict(json.loads(element.text or "{}"))
        words = element.attrib
        return Mark(words["stack"], words["group"], int(words["index"]), spec, int(words["generation"]))
    except (KeyError, TypeError, ValueError) as err:
        raise ValueError(f"unreadable mark: {err}") from err


def bare(element: Any) -> str:
    """An element of ours without its namespace, as virDomainSetMetadata wants it: libvirt puts the namespace on."""
    out = etree.Element(etree.QName(element).localname, dict(element.attrib))
    out.text = element.text
    return str(etree.tostring(out, encoding="unicode"))


def make_live(live: Live) -> Any:
    element = etree.Element(f"{{{LIVE_NAMESPACE}}}live", nsmap={"tcl": LIVE_NAMESPACE})
    element.set("started", f"{live.started:.0f}")
    element.set("level", live.level)
    return element


def read_live(domain: Any) -> Live:
    """What we noted about a running machine; blank when somebody else started it."""
    element = domain.find(f"metadata/{{{LIVE_NAMESPACE}}}live")
    if element is None:
        return Live()
    try:
        return Live(float(element.get("started", "0")), element.get("level", ""))
    except ValueError:
        return Live()


def read_processor(text: str) -> str:
    """libvirt's ``<cpu mode="custom">`` in the words of ``MachineSpec.processor``: ``EPYC +umip -vme``."""
    signs = {"require": "+", "force": "+", "disable": "-", "forbid": "-"}
    root = etree.fromstring(text)
    features = [f"{signs[policy]}{item.get('name')}" for item in root.findall("feature") if (policy := item.get("policy", "")) in signs]
    return " ".join([str(root.findtext("model") or ""), *features])
