"""libvirt over TLS (``qemu+tls://server2/system``): is the way open, and when a connection fails, which side does not believe what.

libvirt itself says of the other side's certificate only that it could not be verified, and of our own only that the line was
closed; so we shake hands once ourselves and see. A host that refuses us is there, and not Unreachable: nobody may take it for dead.
Where certificates lie: https://libvirt.org/kbase/tlscerts.html
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from tinycloud.drivers.certificates import say_doubt
from tinycloud.errors import Missing, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORT: Final = 16514
_LIMIT: Final = 1.8
"""Seconds until somebody must answer there: less than the shortest time that a host is waited for, so that the reason is still told."""
_LET_IN: Final = b"\1"
"""What libvirtd says when it believes us."""
_OWN: Final = ("Our own certificate", "client certificate", "x509 key and certificate", "clientcert.pem", "clientkey.pem")


@dataclass(frozen=True, slots=True)
class Papers:
    """The files that libvirt's client goes by here."""

    authority: Path
    certificate: Path
    key: Path


def is_tls(uri: str) -> bool:
    return "+tls" in urlsplit(uri).scheme


def find_place(uri: str) -> tuple[str, int]:
    parts = urlsplit(uri)
    return parts.hostname or "", parts.port or _PORT


def find_papers(uri: str, home: Path, *, root: bool) -> Papers:
    """As libvirt finds them: in the folder that the address names, else a user's own, else the machine's."""
    if told := parse_qs(urlsplit(uri).query).get("pkipath"):
        return _in_folder(Path(told[0]))
    machine = Papers(
        Path("/etc/pki/CA/cacert.pem"), Path("/etc/pki/libvirt/clientcert.pem"), Path("/etc/pki/libvirt/private/clientkey.pem")
    )
    if root:
        return machine
    own = _in_folder(home / ".pki/libvirt")
    pair = own if own.certificate.exists() and own.key.exists() else machine
    return Papers(own.authority if own.authority.exists() else machine.authority, pair.certificate, pair.key)


def _in_folder(folder: Path) -> Papers:
    return Papers(folder / "cacert.pem", folder / "clientcert.pem", folder / "clientkey.pem")


def must_answer(name: str, uri: str, target: str = "") -> None:
    """Have somebody listen there: libvirt would wait for minutes where a firewall drops it. Raises Unreachable, Missing."""
    host, port = find_place(uri)
    try:
        socket.create_connection((host, port), _LIMIT).close()
    except TimeoutError as err:
        raise _make_deaf(name, host, port, "nobody answers, a firewall drops it", f"open tcp {port} there") from err
    except ConnectionRefusedError as err:
        steps = "systemctl stop libvirtd && systemctl enable --now libvirtd-tls.socket && systemctl start libvirtd"
        hint = f"ssh {target} '{steps}'" if target else steps
        facts = ["connection refused: no libvirtd listens for TLS there"]
        raise Missing(f"libvirt of {name} does not answer at {host}:{port}", facts=facts, hint=hint) from err
    except OSError as err:
        raise _make_deaf(name, host, port, err.strerror or str(err), f"tinycloud host set {name} --uri ADDRESS") from err


def _make_deaf(name: str, host: str, port: int, why: str, hint: str) -> Unreachable:
    return Unreachable(f"libvirt of {name} does not answer at {host}:{port}", facts=[why], hint=hint)


def explain(name: str, uri: str, said: str, env: Mapping[str, str] = os.environ) -> Missing:
    """Why libvirt could not connect, after ``must_answer``. ``said``: its own words."""
    papers = find_papers(uri, Path(env.get("HOME", "/root")), root=os.geteuid() == 0)
    host, port = find_place(uri)
    why, facts = _find_why(name, (host, port), papers, said)
    hint = f"certificates: docs/howto/many-hosts.md; by ssh instead: tinycloud host set {name} --uri ''"
    return Missing(why, code="wrong-certificate", facts=facts, hint=hint)


def _find_why(name: str, place: tuple[str, int], papers: Papers, said: str) -> tuple[str, list[str]]:
    if not papers.authority.exists():
        return f"there is no certificate of an authority here to know {name} by: {papers.authority}", []
    if any(words in said for words in _OWN):
        return f"our own certificate for {name} is not good", [said]
    import ssl  # 10 ms of import, for who has such a host alone

    try:
        if _shake_hands(place, papers) == _LET_IN:
            return f"{name}: libvirt does not connect by TLS", [said]
    except ssl.SSLCertVerificationError as err:
        doubt = say_doubt(str(err.verify_code), err.verify_message, place[0])
        by = f" in {papers.authority}" if doubt.endswith("authority") else ""
        return f"the certificate of {name}, at {place[0]}:{place[1]}, {doubt}{by}", []
    except (ssl.SSLError, OSError) as err:
        if "WRONG_VERSION" in str(err):
            return f"what listens at {place[0]}:{place[1]} does not speak TLS", []
        return _turn_away(name, papers)
    return _turn_away(name, papers)


def _turn_away(name: str, papers: Papers) -> tuple[str, list[str]]:
    if missing := [str(path) for path in (papers.certificate, papers.key) if not path.exists()]:
        return f"{name} lets in only who shows a certificate, and there is none here: no {', '.join(missing)}", []
    known = "it lets in what the authority in its /etc/pki/CA/cacert.pem signed (libvirtd.conf: ca_file, tls_allowed_dn_list)"
    return f"{name} does not let our certificate in, {papers.certificate}", [known]


def _shake_hands(place: tuple[str, int], papers: Papers) -> bytes:
    """What libvirtd says first of all: one byte when it lets us in, nothing when it does not."""
    import ssl

    trust: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(papers.authority)
    if papers.certificate.exists() and papers.key.exists():
        trust.load_cert_chain(papers.certificate, papers.key)
    with socket.create_connection(place, _LIMIT) as line, trust.wrap_socket(line, server_hostname=place[0]) as tls:
        return bytes(tls.recv(1))
