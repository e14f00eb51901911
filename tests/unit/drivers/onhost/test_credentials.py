"""What a host's QEMU has for encrypted moves, as qemu.conf leads to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.shell import LocalShell

NOBODY = 65534


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files as QEMU wants them."""
    authority = Authority.make(tmp_path_factory.mktemp("signed") / "ca")
    certificate, key = authority.sign("h2")
    folder = authority.folder.with_name("qemu")
    folder.mkdir()
    shutil.copy(authority.path, folder / "ca-cert.pem")
    for role in ("server", "client"):
        shutil.copy(certificate, folder / f"{role}-cert.pem")
        shutil.copy(key, folder / f"{role}-key.pem")
    return folder


@pytest.fixture
def pki(tmp_path: Path, signed: Path) -> Path:
    shutil.copytree(signed, tmp_path / "pki/qemu")
    return tmp_path / "pki"


def read(pki: Path, conf: str = "", user: int | None = None) -> dict[str, Any]:
    (pki.parent / "qemu.conf").write_text(conf)
    who = [os.geteuid(), os.getegid()] if user is None else [user, user]
    return run_script(LocalShell(), "credentials", {"conf": str(pki.parent / "qemu.conf"), "pki": str(pki), "user": who})


def test_without_a_word_it_is_the_usual_folder_and_both_ends_show_themselves(pki: Path) -> None:
    found = read(pki)
    assert (found["folder"], found["forced"], found["asks"], found["troubles"]) == (str(pki / "qemu"), False, True, [])
    assert set(found["files"]) == {"ca-cert.pem", "server-cert.pem", "client-cert.pem"}
    assert all("BEGIN CERTIFICATE" in text and "PRIVATE" not in text for text in found["files"].values())


@pytest.mark.parametrize(
    ("conf", "key", "value"),
    [
        ("migrate_tls_force = 1\n", "forced", True),
        ("#migrate_tls_force = 1\n", "forced", False),
        ("  migrate_tls_force=1 # always\n", "forced", True),
        ("migrate_tls_x509_verify = 0\n", "asks", False),
        ("default_tls_x509_verify = 0\n", "asks", False),
        ("default_tls_x509_verify = 0\nmigrate_tls_x509_verify = 1\n", "asks", True),
        ('default_tls_x509_cert_dir = "/else"\n', "folder", "/else"),
        ('default_tls_x509_cert_dir = "/else"\nmigrate_tls_x509_cert_dir = "/own"\n', "folder", "/own"),
    ],
)
def test_qemu_conf_is_read_as_libvirt_does(pki: Path, conf: str, key: str, value: object) -> None:
    assert read(pki, conf)[key] == value


def test_the_folder_of_migrations_own_goes_before_the_common_one(pki: Path) -> None:
    (pki / "libvirt-migrate").mkdir()
    found = read(pki)
    assert found["folder"] == str(pki / "libvirt-migrate")
    assert ["client", f"no ca-cert.pem, client-cert.pem, client-key.pem in {pki / 'libvirt-migrate'}"] in found["troubles"]


def test_a_host_without_any_file_says_so(tmp_path: Path) -> None:
    found = run_script(LocalShell(), "credentials", {"conf": str(tmp_path / "no"), "pki": str(tmp_path), "user": [0, 0]})
    assert [role for role, _ in found["troubles"]] == ["server", "client"]
    assert set(found["files"].values()) == {""}


def test_a_key_of_another_certificate_is_told(pki: Path, tmp_path: Path) -> None:
    _, key = Authority.make(tmp_path / "other").sign("h2")
    shutil.copy(key, pki / "qemu/client-key.pem")
    assert read(pki)["troubles"] == [["client", f"{pki}/qemu/client-cert.pem and client-key.pem: the key is not that of the certificate"]]


def test_what_is_no_certificate_is_told(pki: Path) -> None:
    (pki / "qemu/server-cert.pem").write_text("junk")
    ((role, words),) = read(pki)["troubles"]
    assert role == "server"
    assert "cannot be read" in words


def test_a_key_with_a_passphrase_needs_a_word_in_qemu_conf(pki: Path) -> None:
    key = pki / "qemu/server-key.pem"
    LocalShell().run(["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", str(key), "-out", f"{key}.new"])
    os.replace(f"{key}.new", key)
    ((role, words),) = read(pki)["troubles"]
    assert role == "server"
    assert "has a passphrase" in words
    assert read(pki, 'migrate_tls_x509_secret_uuid = "1"\n')["troubles"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_key_that_qemus_user_may_not_read_is_told(pki: Path) -> None:
    for folder in (pki, *pki.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    for path in (pki / "qemu").iterdir():
        path.chmod(0o600 if path.name == "server-key.pem" else 0o644)
    assert read(pki, user=NOBODY)["troubles"] == [["server", f"QEMU's user may not read server-key.pem in {pki}/qemu"]]
