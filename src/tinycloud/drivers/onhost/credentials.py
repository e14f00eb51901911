"""Runs on a host, as root: what its QEMU would show, and believe, when machines move encrypted, by libvirt's qemu.conf.

Argument: ``{"conf", "pki", "user": [uid, gid]}``: the file, the folder of the usual places, and whom QEMU runs as. Says ``{"done":
{"folder", "forced", "asks", "files": {name: text}, "troubles": [[role, words]]}}``. Nothing of a private key leaves the host.
https://libvirt.org/tlscerts.html; names of files: QEMU's ``tls-creds-x509``.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
from typing import Any

AUTHORITY = "ca-cert.pem"
ROLES = ("server", "client")
_SETTING = re.compile(r'^\s*(\w+)\s*=\s*"?([^"#]*?)"?\s*(?:#.*)?$')


class Locked(Exception):
    """A key that has a passphrase."""


def read_settings(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = [_SETTING.match(line) for line in file]
    except FileNotFoundError:
        return {}
    return {it[1]: it[2] for it in found if it}


def find_folder(settings: dict[str, str], pki: str) -> str:
    """As libvirt finds it."""
    if told := settings.get("migrate_tls_x509_cert_dir"):
        return told
    own = f"{pki}/libvirt-migrate"
    return own if os.path.exists(own) else settings.get("default_tls_x509_cert_dir") or f"{pki}/qemu"


def is_on(settings: dict[str, str], name: str, otherwise: str) -> bool:
    return settings.get(name, otherwise) not in ("0", "")


def can_read(paths: list[str], uid: int, gid: int) -> list[str]:
    """Those of ``paths`` that a user may read, tried by a child that is that user."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(uid, gid)
            os.write(into, json.dumps([path for path in paths if may_open(path)]).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return list(json.loads(said or b"[]"))


def become(uid: int, gid: int) -> None:
    import pwd

    try:
        groups = os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        groups = [gid]
    if os.geteuid() == 0:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def may_open(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def find_troubles(folder: str, role: str, user: list[int], *, has_passphrase: bool) -> list[str]:
    """What keeps QEMU from being the one or the other end, as far as its own files tell."""
    names = [AUTHORITY, f"{role}-cert.pem", f"{role}-key.pem"]
    paths = {name: f"{folder}/{name}" for name in names}
    missing = [name for name in names if not os.path.isfile(paths[name])]
    if missing:
        return [f"no {', '.join(missing)} in {folder}"]
    readable = can_read(list(paths.values()), *user)
    if closed := [name for name in names if paths[name] not in readable]:
        return [f"QEMU's user may not read {', '.join(closed)} in {folder}"]
    return find_mismatch(paths[names[1]], paths[names[2]], has_passphrase=has_passphrase)


def find_mismatch(certificate: str, key: str, *, has_passphrase: bool) -> list[str]:
    def ask() -> str:
        raise Locked

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=ask)
    except Locked:
        return [] if has_passphrase else [f"{key} has a passphrase, and qemu.conf names no migrate_tls_x509_secret_uuid"]
    except (ssl.SSLError, OSError) as err:
        why = "the key is not that of the certificate" if "MISMATCH" in str(err) else f"cannot be read: {getattr(err, 'reason', err)}"
        return [f"{certificate} and {key.rpartition('/')[2]}: {why}"]
    return []


def read_text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(256 * 1024)
    except OSError:
        return ""


def main(args: dict[str, Any]) -> None:
    settings = read_settings(args["conf"])
    folder = find_folder(settings, args["pki"])
    has_passphrase = any(settings.get(f"{kind}_tls_x509_secret_uuid") for kind in ("migrate", "default"))
    troubles = [(role, it) for role in ROLES for it in find_troubles(folder, role, args["user"], has_passphrase=has_passphrase)]
    public = (AUTHORITY, *(f"{role}-cert.pem" for role in ROLES))
    done = {
        "folder": folder,
        "forced": is_on(settings, "migrate_tls_force", "0"),
        "asks": is_on(settings, "migrate_tls_x509_verify", settings.get("default_tls_x509_verify", "1")),
        "files": {name: read_text(f"{folder}/{name}") for name in public},
        "troubles": troubles,
    }
    print(json.dumps({"done": done}))


main(json.loads(sys.argv[1]))
