"""Where a pool's bytes are, in the words that people type: ``/srv/fast``, ``/dev/sdb``, ``iscsi://nas/iqn.2026-01.org.example:t1``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from tinycloud.errors import NotYet, WrongInput
from tinycloud.model.pool import KINDS, Source
from tinycloud.model.show import show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXAMPLES: Final = {
    "dir": "/srv/fast",
    "nfs": "server:/export, or a folder that is mounted",
    "device": "/dev/disk/by-id/… (one or more)",
    "lvm": "lvm:GROUP",
    "iscsi": "iscsi://server/iqn.2026-01.org.example:disks",
    "nbd": "nbd://server/export, nbd+unix:///export?socket=/run/nbd.sock (one or more)",
    "rbd": "rbd://monitor,monitor/pool",
}
"""What is typed for each kind."""

INITIATOR: Final = "iqn.2008-11.org.linux-kvm:tinycloud"
"""Who we are to an iSCSI server, unless a person says otherwise; the first part is QEMU's own."""

_FOLDER_OF_DEVICES: Final = "/dev/"
_SERVER_FOLDER: Final = re.compile(r"([A-Za-z0-9._\[\]:-]+):(/.*)")
_GROUP: Final = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*")


def guess_kind(word: str) -> str:
    """The kind of pool that a word means; raises WrongInput when it could be any."""
    scheme = word.partition(":")[0]
    if scheme in ("iscsi", "rbd", "lvm"):
        return scheme
    if scheme in ("nbd", "nbd+unix", "nbds", "nbds+unix"):
        return "nbd"
    if word.startswith(_FOLDER_OF_DEVICES):
        return "device"
    if word.startswith("/"):
        return "dir"
    if _SERVER_FOLDER.fullmatch(word):
        return "nfs"
    raise WrongInput(
        f"{show(word)} does not say what kind of pool it is", code="wrong-source", facts=_list_examples(), hint="add --kind KIND"
    )


def parse_source(kind: str, words: Sequence[str], mount: str) -> tuple[Source, tuple[str, ...]]:
    """The source that words mean, and the disks that they name one by one. ``mount`` is where a folder of a server would be mounted."""
    if kind in ("device", "nbd"):
        check = _check_device if kind == "device" else _check_export
        if len(set(words)) < len(words):
            raise WrongInput("a disk is named twice", code="wrong-source", facts=list(words))
        return Source(kind, name=words[0] if len(words) == 1 else f"{len(words)} disks"), tuple(check(word) for word in words)
    if len(words) != 1:
        raise _wrong(kind, " ".join(words))
    return _PARSERS[kind](words[0], mount), ()


def _wrong(kind: str, found: str) -> WrongInput:
    return WrongInput(f"found {show(found)}, expected {KINDS[kind]}", code="wrong-source", facts=[f"such as {EXAMPLES[kind]}"])


def _list_examples() -> list[str]:
    return [f"{kind:<7} {example}" for kind, example in EXAMPLES.items()]


def _parse_dir(word: str, _mount: str) -> Source:
    return Source("dir", _clean_folder("dir", word))


def _clean_folder(kind: str, word: str) -> str:
    parts = word.split("/")
    if not word.startswith("/") or word.startswith(_FOLDER_OF_DEVICES) or ".." in parts or not any(parts) or not word.isprintable():
        raise _wrong(kind, word)
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def _parse_nfs(word: str, mount: str) -> Source:
    if match := _SERVER_FOLDER.fullmatch(word):
        return Source("nfs", mount, match[2], (match[1].strip("[]"),))
    return Source("nfs", _clean_folder("nfs", word))


def _parse_lvm(word: str, _mount: str) -> Source:
    name = word.removeprefix("lvm:").strip("/")
    if not _GROUP.fullmatch(name) or name in (".", ".."):
        raise _wrong("lvm", word)
    return Source("lvm", f"/dev/{name}", name)


def _parse_remote(word: str, _mount: str) -> Source:
    """``iscsi://server[:port]/target``, ``rbd://monitor[:port],…/pool``."""
    parts = urlsplit(word)
    hosts, name = tuple(host for host in parts.netloc.split(",") if host), parts.path.strip("/")
    one = parts.scheme != "iscsi" or len(hosts) == 1
    if parts.scheme not in ("iscsi", "rbd") or not hosts or not one or not name or "/" in name or "@" in parts.netloc or parts.query:
        raise _wrong(parts.scheme if parts.scheme in KINDS else "rbd", word)
    return Source(parts.scheme, name=name, hosts=hosts, initiator=INITIATOR if parts.scheme == "iscsi" else "")


_PARSERS: Final[dict[str, Callable[[str, str], Source]]] = {
    "dir": _parse_dir,
    "nfs": _parse_nfs,
    "lvm": _parse_lvm,
    "iscsi": _parse_remote,
    "rbd": _parse_remote,
}


def _check_device(word: str) -> str:
    if not word.startswith(_FOLDER_OF_DEVICES) or ".." in word.split("/") or not word.isprintable():
        raise _wrong("device", word)
    return word


def _check_export(word: str) -> str:
    parts = urlsplit(word)
    if parts.scheme.startswith("nbds"):
        raise NotYet(
            f"{show(word)} asks for TLS, and this version opens no NBD exports with TLS", hint="nbd://… inside a network that you trust"
        )
    socket = parse_qs(parts.query).get("socket", [""])[0]
    if parts.scheme not in ("nbd", "nbd+unix") or bool(parts.netloc) == bool(socket) or (parts.scheme == "nbd+unix") != bool(socket):
        raise _wrong("nbd", word)
    return word
