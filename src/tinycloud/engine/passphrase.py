"""Passphrases of encrypted volumes: derived from the cloud's master key, kept by the host for the machines that need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.names import make_secret_uuid
from tinycloud.templates.objects import render_passphrase

if TYPE_CHECKING:
    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.drivers.host import Host


def make_passphrase(keys: Keys, volume: str) -> bytes:
    """The passphrase of a volume: only this cloud can compute it, and always can."""
    return keys.derive("disk", volume).hex().encode()


def ensure_passphrase(host: Host, volume: str, path: str, value: bytes) -> str:
    """Have the host keep a volume's passphrase; returns the UUID it is kept under."""
    host.secrets.ensure(render_passphrase(volume, path), value)
    return make_secret_uuid(volume)


def forget_passphrase(host: Host, volume: str) -> None:
    """Nothing happens for a volume that has none."""
    host.secrets.remove(make_secret_uuid(volume))
