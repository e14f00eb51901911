"""Encrypted moves: must this one be, and have both hosts what it takes? Pure: what a certificate is worth, others are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.model.move import AUTHORITY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.model.move import Credentials


@dataclass(frozen=True, slots=True)
class End:
    """A host as one end of a stream. The source is the client: QEMU of the target listens."""

    host: str
    has: Credentials


@dataclass(frozen=True, slots=True)
class Question:
    """Does who believes an authority believe a certificate?"""

    owner: str
    certificate: str
    authority: str
    purpose: str
    """``server`` or ``client``: what the certificate is shown as."""
    judge: str
    """The host whose authority it is."""
    name: str = ""
    """What it has to be for; a client's is for anybody."""

    def tell(self, doubt: str) -> str:
        """The doubt in a sentence; empty where there is none."""
        by = f" in {AUTHORITY} of {self.judge}" if doubt.endswith("authority") else ""
        return f"{self.owner}: its {self.purpose}-cert.pem {doubt}{by}" if doubt else ""


def must_encrypt(near: Credentials, far: Credentials) -> bool:
    """True where one of the two lets machines go or come in no other way."""
    return near.forced or far.forced


def list_lacks(source: End, target: End) -> Iterator[str]:
    """What one of them lacks by itself."""
    for role, words in target.has.troubles:
        if role == "server":
            yield f"{target.host}: {words}"
    if not target.has.asks:
        if not source.has.authority:
            yield f"{source.host}: no {AUTHORITY} in {source.has.folder}"
        return
    for role, words in source.has.troubles:
        if role == "client":
            yield f"{source.host}: {words}"


def list_questions(source: End, target: End, address: str) -> tuple[Question, ...]:
    """What each would ask of the other's certificate, and QEMU of its own at its start."""
    server, client = target.has.files.get("server-cert.pem", ""), source.has.files.get("client-cert.pem", "")
    asked = [
        Question(target.host, server, target.has.authority, "server", target.host),
        Question(target.host, server, source.has.authority, "server", source.host, address),
    ]
    if client and target.has.asks:
        asked += [Question(source.host, client, it.has.authority, "client", it.host) for it in (source, target)]
    return tuple(it for it in asked if it.certificate and it.authority)


__all__ = ["End", "Question", "list_lacks", "list_questions", "must_encrypt"]
