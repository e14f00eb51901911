"""A pool that the user describes in libvirt's own XML: stamped with our name, and read for what machines on it need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.errors import NotYet, WrongInput
from tinycloud.model.names import make_pool_name, make_pool_uuid
from tinycloud.model.pool import Source
from tinycloud.templates.xml import parse_xml, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS: Final = {
    "dir": "dir",
    "fs": "dir",
    "vstorage": "dir",
    "netfs": "nfs",
    "logical": "lvm",
    "rbd": "rbd",
    "iscsi-direct": "iscsi",
}
"""libvirt's type → our kind."""


def adopt_pool(text: str, pool: str) -> tuple[Source, str]:
    """The source that a user's XML describes, and the XML under our name and UUID. Raises WrongInput and NotYet."""
    root = parse_xml(text, f"the XML of pool {pool}")
    if root.tag != "pool":
        raise WrongInput(f"the XML of pool {pool} is <{root.tag}>, expected <pool>", code="xml")
    type = root.get("type", "")
    if type not in _KINDS:
        raise NotYet(f'a pool of libvirt\'s type "{type}" is not known to this version', facts=[f"known: {', '.join(_KINDS)}"])
    for number, (tag, value) in enumerate((("name", make_pool_name(pool)), ("uuid", make_pool_uuid(pool)))):
        for old in root.findall(tag):
            root.remove(old)
        element = etree.Element(tag)
        element.text = value
        root.insert(number, element)
    return _read_source(root, _KINDS[type], pool), to_text(root)


def _read_source(root: Any, kind: str, pool: str) -> Source:
    name = _find(root, "source/device", "path") if kind == "iscsi" else root.findtext("source/name") or ""
    path = root.findtext("target/path") or ("" if kind in ("rbd", "iscsi") else f"/dev/{name}")
    secret = root.find("source/auth/secret")
    if secret is not None and not secret.get("uuid"):
        raise WrongInput(f"the XML of pool {pool} names its secret by usage, expected its uuid", code="xml")
    return Source(
        kind,
        path,
        _find(root, "source/dir", "path") if kind == "nfs" else name,
        tuple(_list_hosts(root)),
        _find(root, "source/auth", "username"),
        secret.get("uuid", "") if secret is not None else "",
        _find(root, "source/initiator/iqn", "name"),
        custom=True,
    )


def _find(root: Any, path: str, key: str) -> str:
    element = root.find(path)
    return str(element.get(key, "")) if element is not None else ""


def _list_hosts(root: Any) -> Iterator[str]:
    for host in root.findall("source/host"):
        name, port = host.get("name", ""), host.get("port", "")
        yield f"{f'[{name}]' if ':' in name and port else name}{f':{port}' if port else ''}"
