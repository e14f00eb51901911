"""What openssl says of certificates, in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority
from tinycloud.drivers.certificates import find_doubt
from tinycloud.drivers.shell import LocalShell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("pki") / "ca")


def doubt(authority: Authority, certificate: Path, purpose: str = "server", name: str = "") -> str:
    return find_doubt(LocalShell(), certificate.read_text(), authority.text, purpose, name)


@pytest.mark.parametrize("name", ["", "h2", "198.18.0.2", "fd00::2"])
def test_one_that_is_in_order_raises_no_doubt(authority: Authority, name: str) -> None:
    made, _ = authority.sign("h2", "198.18.0.2", "fd00::2")
    assert doubt(authority, made, name=name) == ""
    assert doubt(authority, made, "client") == ""


def test_another_name_and_another_address_are_told(authority: Authority) -> None:
    made, _ = authority.sign("h3", "198.18.0.3")
    assert doubt(authority, made, name="h2") == "is not for h2 (subjectAltName)"
    assert doubt(authority, made, name="198.18.0.2") == "is not for 198.18.0.2 (subjectAltName)"


def test_one_that_has_expired_is_told(authority: Authority) -> None:
    made, _ = authority.sign("old", days=-1)
    assert doubt(authority, made) == "has expired"


def test_one_of_another_authority_is_told(authority: Authority, tmp_path: Path) -> None:
    other = Authority.make(tmp_path / "other", "another")
    made, _ = other.sign("h2")
    assert doubt(authority, made) == "is not signed by the authority"
    namesake = Authority.make(tmp_path / "namesake")
    made, _ = namesake.sign("h2")
    assert doubt(authority, made) == "is not signed by the authority"


def test_one_for_clients_alone_is_no_servers(authority: Authority) -> None:
    made, _ = authority.sign("shy", usage="clientAuth")
    assert doubt(authority, made, "client") == ""
    assert doubt(authority, made) == "is not made for this use (extendedKeyUsage)"


def test_what_is_no_certificate_is_told(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk\n")
    assert doubt(authority, tmp_path / "junk").startswith("cannot be read")
