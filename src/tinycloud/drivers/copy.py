"""Images onto raw disks: block devices, and disks of servers that QEMU opens itself; on the host, where the bytes are."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.model.pool import Place

_LIMIT = 24 * 3600.0
_KEY = "key"
_PORTS = {"iscsi": 3260, "nbd": 10809, "rbd": 6789}


def copy_disk(host: Host, image: tuple[str, str], place: Place) -> None:
    """Write an image (its path and format) onto a raw disk that is at least as large.

    Holes of the image stay holes where the disk is known to be empty; elsewhere they are written as zeros, for what was there before
    must not show through.
    """
    path, format = image
    key = read_key(host, place)
    empty = ["--target-is-zero"] if place.kind == "rbd" else []
    argv = ["qemu-img", "convert", *make_key_words(key), "-n", *empty, "-f", format, "-O", "raw", path, make_file_name(place)]
    host.shell.run(argv, root=True, limit=_LIMIT, input=key)


def read_key(host: Host, place: Place) -> bytes | None:
    """The key of a place in base64, as QEMU's tools read it from their standard input; None where there is none."""
    return base64.b64encode(host.secrets.read(place.secret)) if place.secret else None


def make_key_words(key: bytes | None) -> list[str]:
    """What tells one of QEMU's tools to read the key: it is on no command line."""
    return ["--object", f"secret,id={_KEY},format=base64,file=/dev/stdin"] if key else []


def make_file_name(place: Place) -> str:
    """A place as QEMU's tools understand it: a path, or JSON for a disk of a server."""
    if place.type != "network":
        return place.path
    return "json:" + json.dumps({"driver": "raw", "file": _make_options(place)}, separators=(",", ":"))


def _make_options(place: Place) -> dict[str, Any]:
    match place.protocol:
        case "iscsi":
            return _make_iscsi(place)
        case "rbd":
            return _make_rbd(place)
    server = {"type": "unix", "path": place.socket} if place.socket else {"type": "inet", **_split(place.hosts[0], "nbd")}
    return {"driver": "nbd", "server": server, "export": place.path}


def _make_iscsi(place: Place) -> dict[str, Any]:
    target, _, unit = place.path.rpartition("/")
    portal = _split(place.hosts[0], "iscsi")
    options = {
        "driver": "iscsi",
        "transport": "tcp",
        "portal": f"{portal['host']}:{portal['port']}",
        "target": target,
        "lun": int(unit),
        "initiator-name": place.initiator,
    }
    return {**options, **({"user": place.user, "password-secret": _KEY} if place.secret else {})}


def _make_rbd(place: Place) -> dict[str, Any]:
    pool, _, image = place.path.partition("/")
    options = {"driver": "rbd", "pool": pool, "image": image, "server": [_split(host, "rbd") for host in place.hosts]}
    if not place.secret:
        return options
    return {**options, "user": place.user, "key-secret": _KEY, "auth-client-required": ["cephx"]}


def _split(host: str, protocol: str) -> dict[str, str]:
    """``{"host", "port"}`` of ``NAME`` or ``NAME:PORT``."""
    from tinycloud.templates.objects import split_hosts

    (it,) = split_hosts((host,))
    return {"host": it["name"], "port": str(it["port"] or _PORTS[protocol])}
