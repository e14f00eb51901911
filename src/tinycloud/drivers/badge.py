"""What two hosts know each other by for one transfer: a key and a certificate of its own, that this process makes and forgets."""

from __future__ import annotations

from datetime import UTC, datetime

_ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
"""It lives as long as two scripts; hosts' clocks need not agree on when that is."""


def make_badge() -> str:
    """Both as PEM. Whoever has it may give and take what it was made for: it goes by stdin, and is written nowhere."""
    from cryptography import x509  # 70 ms of import
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tinycloud")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), *_ALWAYS).sign(key, hashes.SHA256())
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return (secret + made.public_bytes(form.Encoding.PEM)).decode()
