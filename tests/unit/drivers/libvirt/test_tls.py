"""libvirt over TLS: what is said when the way is shut, or one side does not believe the other. The server is a socket of our own."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority
from tinycloud.drivers.libvirt.tls import explain, find_papers, find_place, is_tls, must_answer
from tinycloud.errors import Missing, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSED = "Unable to read TLS confirmation: Input/output error"
UNBELIEVED = "authentication failed: Failed to verify peer's certificate"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("other") / "ca", "another")


@contextmanager
def serving(authority: Authority, certificate: tuple[Path, Path]) -> Iterator[int]:
    """A port at which somebody greets as libvirtd does, those whose certificate ``authority`` signed."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*certificate)
    trust.load_verify_locations(authority.path)
    trust.verify_mode = ssl.CERT_REQUIRED

    def serve() -> None:
        with suppress(OSError):  # it was closed: the test is over
            while True:
                line, _ = door.accept()
                with line, suppress(OSError), trust.wrap_socket(line, server_side=True) as tls:
                    tls.send(b"\1")

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def put_papers(folder: Path, authority: Authority, own: tuple[Path, Path] | None) -> Path:
    folder.mkdir()
    shutil.copy(authority.path, folder / "cacert.pem")
    for path, name in zip(own or (), ("clientcert.pem", "clientkey.pem"), strict=False):
        shutil.copy(path, folder / name)
    return folder


def ask(folder: Path, port: int, said: str = UNBELIEVED, host: str = "127.0.0.1") -> str:
    failure = explain("h2", f"qemu+tls://{host}:{port}/system?pkipath={folder}", said)
    assert not isinstance(failure, Unreachable), "the host is there: nobody may take it for dead"
    assert failure.kind == "wrong-certificate"
    assert "--uri ''" in failure.hint
    return "; ".join([failure.message, *failure.facts])


def test_a_certificate_for_another_name_is_told(authority: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, None)
    with serving(authority, authority.sign("h9", "198.18.0.9")) as port:
        assert ask(folder, port) == f"the certificate of h2, at 127.0.0.1:{port}, is not for 127.0.0.1 (subjectAltName)"


def test_a_certificate_that_has_expired_is_told(authority: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, None)
    with serving(authority, authority.sign("h2", "127.0.0.1", days=-1)) as port:
        assert ask(folder, port).endswith(" has expired")


def test_a_certificate_of_another_authority_is_told(authority: Authority, other: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, None)
    with serving(other, other.sign("h2", "127.0.0.1")) as port:
        assert ask(folder, port).endswith(f"is not signed by the authority in {folder}/cacert.pem")


def test_a_host_that_asks_for_a_certificate_and_gets_none_is_told(authority: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, None)
    with serving(authority, authority.sign("h2", "127.0.0.1")) as port:
        said = ask(folder, port, CLOSED)
    assert said == f"h2 lets in only who shows a certificate, and there is none here: no {folder}/clientcert.pem, {folder}/clientkey.pem"


def test_a_host_that_turns_our_certificate_away_is_told(authority: Authority, other: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, other.sign("me"))
    with serving(authority, authority.sign("h2", "127.0.0.1")) as port:
        assert ask(folder, port, CLOSED).startswith(f"h2 does not let our certificate in, {folder}/clientcert.pem; it lets in what ")


def test_where_both_believe_each_other_libvirts_own_words_are_left(authority: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, authority.sign("me"))
    with serving(authority, authority.sign("h2", "127.0.0.1")) as port:
        assert ask(folder, port, "something else") == "h2: libvirt does not connect by TLS; something else"


def test_without_an_authority_nobody_is_asked(tmp_path: Path) -> None:
    assert ask(tmp_path, 1) == f"there is no certificate of an authority here to know h2 by: {tmp_path}/cacert.pem"


def test_what_libvirt_says_of_our_own_certificate_stands(authority: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, None)
    said = f"The client certificate {folder}/clientcert.pem has expired"
    assert ask(folder, 1, said) == f"our own certificate for h2 is not good; {said}"


def test_what_speaks_no_tls_is_told(authority: Authority, tmp_path: Path) -> None:
    folder = put_papers(tmp_path / "own", authority, None)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]

        def greet() -> None:
            line, _ = door.accept()
            with line:
                line.sendall(b"SSH-2.0-OpenSSH\r\n" * 9)
                line.recv(4096)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        assert ask(folder, port) == f"what listens at 127.0.0.1:{port} does not speak TLS"
        thread.join(10)


def test_a_port_that_is_shut_is_told_with_what_opens_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        must_answer("h2", f"qemu+tls://127.0.0.1:{port}/system")
    with pytest.raises(Missing, match=f"libvirt of h2 does not answer at 127.0.0.1:{port}") as failure:
        must_answer("h2", f"qemu+tls://127.0.0.1:{port}/system", "root@h2")
    assert failure.value.facts == ("connection refused: no libvirtd listens for TLS there",)
    assert failure.value.hint.startswith("ssh root@h2 'systemctl ")


@pytest.mark.parametrize(
    ("uri", "tls", "place"),
    [
        ("qemu+tls://h2/system", True, ("h2", 16514)),
        ("qemu+tls://[fd00::2]:99/system?pkipath=/x", True, ("fd00::2", 99)),
        ("qemu+ssh://root@h2/system", False, ("h2", 16514)),
    ],
)
def test_an_address_says_where_it_leads(uri: str, tls: bool, place: tuple[str, int]) -> None:
    assert (is_tls(uri), find_place(uri)) == (tls, place)


def test_certificates_are_looked_for_where_libvirt_does(tmp_path: Path) -> None:
    machine = find_papers("qemu+tls://h2/system", tmp_path, root=True)
    assert [str(it) for it in (machine.authority, machine.certificate, machine.key)] == [
        "/etc/pki/CA/cacert.pem",
        "/etc/pki/libvirt/clientcert.pem",
        "/etc/pki/libvirt/private/clientkey.pem",
    ]
    assert find_papers("qemu+tls://h2/system?pkipath=/x", tmp_path, root=True).key == Path("/x/clientkey.pem")
    assert find_papers("qemu+tls://h2/system", tmp_path, root=False) == machine
    own = tmp_path / ".pki/libvirt"
    own.mkdir(parents=True)
    (own / "clientcert.pem").touch()
    assert find_papers("qemu+tls://h2/system", tmp_path, root=False).certificate == machine.certificate, "a pair, or neither"
    (own / "clientkey.pem").touch()
    found = find_papers("qemu+tls://h2/system", tmp_path, root=False)
    assert (found.authority, found.key) == (machine.authority, own / "clientkey.pem")
