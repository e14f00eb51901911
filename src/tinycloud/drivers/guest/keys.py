"""The cloud's keys: one master key, one ssh key pair, and a host key for every machine, derived from the master.

Derived, so that nothing has to be kept for a machine and its first ssh connection is verified already.
Files are 0600 in a folder that is 0700.
"""

from __future__ import annotations

import hmac
import os
import secrets
import textwrap
from base64 import b64encode
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Keys:
    """Keys kept in ``folder``; made on first use. Safe when several processes start at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _master(self) -> bytes:
        return bytes.fromhex(self._ensure("master", lambda: secrets.token_hex(32)))

    def _ensure(self, name: str, make: object) -> str:
        """The content of a key file; the first process to get here decides it."""
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self.folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(make())  # type: ignore[operator]
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # another process was first: its key counts
            finally:
                draft.unlink()
        return path.read_text()

    def derive(self, *words: str) -> bytes:
        """32 bytes that only this cloud can compute (HMAC-SHA256 of the words under the master key)."""
        return hmac.digest(self._master, "/".join(words).encode(), sha256)

    def fingerprint(self, value: str) -> str:
        """Tells whether two secrets are equal, and nothing else, to whoever lacks the master key."""
        return self.derive("secret", value).hex()[:24]

    @property
    def are_made(self) -> bool:
        return (self.folder / "master").exists()

    def make_sign(self) -> str:
        """Tells whether two controllers have the same keys, and nothing else."""
        return self.fingerprint(self.public)

    @cached_property
    def identity(self) -> Path:
        """The private key that opens our machines."""
        self._ensure("id_ed25519", lambda: make_private_text(secrets.token_bytes(32)))
        return self.folder / "id_ed25519"

    @cached_property
    def public(self) -> str:
        """The public half of :attr:`identity`, as a line of authorized_keys."""
        private = self.identity.read_text()
        return self._ensure("id_ed25519.pub", lambda: _public_of(private) + " tinycloud\n").strip()

    def make_host_key(self, uuid: str) -> tuple[str, str]:
        """(private, public) ssh host key of the machine with that UUID."""
        private = make_private_text(self.derive("host-key", uuid))
        return private, _public_of(private)

    def ensure_known(self, uuid: str, alias: str) -> Path:
        """The known_hosts file of one machine, under the name ``alias``."""
        folder = self.folder / "known"
        path = folder / alias
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = folder / f".{alias}.{os.getpid()}.{secrets.token_hex(4)}"
            draft.write_text(f"{alias} {self.make_host_key(uuid)[1]}\n")
            draft.replace(path)
        return path

    def forget_known(self, alias: str) -> None:
        """Remove the file, and what a write that was killed left beside it."""
        folder = self.folder / "known"
        for path in (folder / alias, *folder.glob(f".{alias}.*")):
            path.unlink(missing_ok=True)


def make_private_text(seed: bytes) -> str:
    """An ed25519 private key as OpenSSH writes it (PROTOCOL.key), but with nothing random in it: the same seed, the same text."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # 35 ms of import

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    blob = _string(b"ssh-ed25519") + _string(public)
    check = sha256(public).digest()[:4]
    body = check + check + blob + _string(seed + public) + _string(b"")
    body += bytes(range(1, 1 + -len(body) % 8))
    whole = b"openssh-key-v1\0" + _string(b"none") * 2 + _string(b"") + (1).to_bytes(4, "big") + _string(blob) + _string(body)
    lines = textwrap.wrap(b64encode(whole).decode(), 70)
    return "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""])


def _string(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def _public_of(private: str) -> str:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_ssh_private_key(private.encode(), None)
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()
