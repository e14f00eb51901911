"""Does one side believe a certificate of the other? Asked of openssl, as both will ask each other."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tinycloud.drivers.shell import Shell

_ERROR: Final = re.compile(r"^error (\d+) at \d+ depth lookup: *(.*)$", re.MULTILINE)
_WORDS: Final = {
    "7": "is not signed by the authority",
    "9": "is not valid yet",
    "10": "has expired",
    "18": "is signed by itself",
    "19": "is not signed by the authority",
    "20": "is not signed by the authority",
    "21": "is not signed by the authority",
    "26": "is not made for this use (extendedKeyUsage)",
}
"""``X509_V_ERR_…`` of openssl."""
_OTHER_NAME: Final = ("62", "64")


def find_doubt(shell: Shell, certificate: str, authority: str, purpose: str, name: str = "") -> str:
    """Why who believes ``authority`` would not believe ``certificate``, in words; empty when it does. Both are PEM.

    ``purpose`` is ``server`` or ``client``. ``name``: the name or address that it has to be for. Raises Missing without openssl.
    """
    with TemporaryDirectory(prefix="tinycloud-") as folder:
        own, root = Path(folder, "certificate"), Path(folder, "authority")
        own.write_text(certificate)
        root.write_text(authority)
        argv = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-partial_chain", "-CAfile", str(root), "-untrusted", str(own)]
        argv += ["-purpose", f"ssl{purpose}", *_say_name(name), str(own)]
        done = shell.run(argv, check=False, limit=20)
    if done.status == 0:
        return ""
    said = (done.stderr + done.stdout).decode(errors="replace")
    if (found := _ERROR.search(said)) is None:
        return f"cannot be read: {(said.strip().splitlines() or ['openssl says nothing'])[-1]}"
    return say_doubt(found[1], found[2], name)


def say_doubt(number: str, reason: str, name: str = "") -> str:
    """An error of openssl's, by its number, about a certificate that has to be for ``name``."""
    if number in _OTHER_NAME:
        return f"is not for {name} (subjectAltName)"
    return _WORDS.get(number, f"is not good: {reason}")


def _say_name(name: str) -> list[str]:
    if not name:
        return []
    try:
        ip_address(name)
    except ValueError:
        return ["-verify_hostname", name]
    return ["-verify_ip", name]
