"""Certificates for tests, by openssl, as docs/howto/migrate.md has them made."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Authority:
    """One that signs; its files are in ``folder``."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, name: str = "cloud") -> Authority:
        folder.mkdir(parents=True)
        made = cls(folder)
        _openssl("req", "-x509", *_KEY, "-days", "9", "-subj", f"/CN={name}", "-keyout", f"{folder}/ca-key.pem", "-out", str(made.path))
        return made

    @property
    def path(self) -> Path:
        return self.folder / "ca-cert.pem"

    @property
    def text(self) -> str:
        return self.path.read_text()

    def sign(self, name: str, *addresses: str, days: int = 9, usage: str = "serverAuth,clientAuth") -> tuple[Path, Path]:
        """A certificate and its key, for a name and addresses; ``days`` may be negative: it has expired."""
        key, ask, made = (self.folder / f"{name}{end}" for end in ("-key.pem", ".csr", "-cert.pem"))
        names = ",".join([f"DNS:{name}", *(f"IP:{it}" for it in addresses)])
        more = ["-addext", f"subjectAltName={names}", "-addext", f"extendedKeyUsage={usage}"]
        _openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", *more, "-keyout", str(key), "-out", str(ask))
        by = ["-CA", str(self.path), "-CAkey", f"{self.folder}/ca-key.pem", "-copy_extensions", "copy"]
        _openssl("x509", "-req", "-in", str(ask), *by, "-days", str(days), "-out", str(made))
        return made, key
