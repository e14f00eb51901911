"""libvirt's errors, translated: what the person lacks, what is there already, and the rest as libvirt said it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tinycloud.drivers.libvirt.errors import NO_DOMAIN, guarded, translate
from tinycloud.errors import Clash, LibvirtFailed, Missing, Unreachable


@dataclass(frozen=True)
class Theirs:
    """What we ask of a ``libvirtError``."""

    number: int | None
    message: str | None

    def get_error_code(self) -> int | None:
        return self.number

    def get_error_message(self) -> str | None:
        return self.message

    def __str__(self) -> str:
        return "as text"


@pytest.mark.parametrize(
    ("number", "message", "said", "hint"),
    [
        (38, "Failed to connect socket to '/run/libvirt.sock': No such file or directory", "libvirtd does not answer", "tinycloud doctor"),
        (38, "cannot connect to server", "libvirtd does not answer", "tinycloud doctor"),
        (38, "Cannot recv data: Connection reset by peer", "libvirtd does not answer", "tinycloud doctor"),
        (38, "Failed to connect socket: Permission denied", "no right to use libvirt here", "tinycloud doctor --fix"),
        (45, "authentication failed: no agent", "no right to use libvirt here", "tinycloud doctor --fix"),
        (79, "authentication cancelled", "no right to use libvirt here", "tinycloud doctor --fix"),
        (88, "access denied", "no right to use libvirt here", "tinycloud doctor --fix"),
        (1, "authentication unavailable: no polkit agent", "no right to use libvirt here", "tinycloud doctor --fix"),
    ],
)
def test_what_the_person_lacks_is_refused_with_a_way_out(number: int, message: str, said: str, hint: str) -> None:
    error = translate(Theirs(number, f"{message}\nmore"), "cannot list domains")
    assert isinstance(error, Missing)
    assert (error.message, error.hint, error.facts, error.exit) == (said, hint, (message,), 4)


@pytest.mark.parametrize("message", ["domain 'a' already exists with uuid 1", "network is already defined"])
def test_what_is_there_already_is_a_clash(message: str) -> None:
    error = translate(Theirs(9, message), "cannot define domain a")
    assert isinstance(error, Clash)
    assert (error.message, error.facts) == ("cannot define domain a: it exists already", (message,))


def test_the_rest_is_told_as_libvirt_said_it_and_keeps_its_number() -> None:
    error = translate(Theirs(1, "internal error: process exited\nqemu: no such device\n"), "cannot start domain shop-web-1")
    assert isinstance(error, LibvirtFailed)
    assert (error.message, error.number, error.kind) == ("cannot start domain shop-web-1", 1, "libvirt")
    assert error.facts == ("internal error: process exited", "qemu: no such device")


def test_a_disk_that_filled_meanwhile_leads_to_what_takes_the_space() -> None:
    error = translate(Theirs(9, "operation failed: migration of disk vda failed: No space left on device"), "cannot move domain shop-web-1")
    assert error.hint == "tinycloud space"


def test_a_flood_of_lines_is_cut() -> None:
    assert len(translate(Theirs(1, "line\n" * 500), "cannot start").facts) == 12


@pytest.mark.parametrize(("number", "message"), [(None, None), (0, ""), (9, "operation failed: something else")])
def test_an_error_that_says_little_is_an_error(number: int | None, message: str | None) -> None:
    error = translate(Theirs(number, message), "cannot do it")
    assert isinstance(error, LibvirtFailed)
    assert error.facts == (message or "as text",)


def test_an_error_of_the_real_library_is_translated_with_what_was_being_done() -> None:
    libvirt = pytest.importorskip("libvirt")
    error = libvirt.libvirtError("lost")
    error.err = (NO_DOMAIN, 10, "Domain not found", 2, "", "", "", -1, -1)
    with pytest.raises(LibvirtFailed) as caught, guarded("find domain x"):
        raise error
    assert (caught.value.message, caught.value.number, caught.value.facts) == ("cannot find domain x", NO_DOMAIN, ("Domain not found",))
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)


def test_our_own_errors_pass_through_unchanged() -> None:
    pytest.importorskip("libvirt")
    with pytest.raises(Clash), guarded("define domain x"):
        raise Clash("ours")


@pytest.mark.parametrize(
    "message",
    [
        "internal error: client socket is closed",
        "internal error: connection closed due to keepalive timeout",
        "End of file while reading data: Input/output error",
    ],
)
def test_a_connection_that_was_cut_is_a_host_that_does_not_answer(message: str) -> None:
    error = translate(Theirs(1, message), "cannot list domains")
    assert isinstance(error, Unreachable)
    assert (error.message, error.facts) == ("cannot list domains: the connection to libvirt was lost", (message,))
