"""libvirt on another host: its own remote protocol, as a session of the shared ssh connection, or over TLS.

What libvirt itself makes of ``qemu+ssh`` is an ssh process for each connection, with options that a URI can hardly say; it takes a
program to call instead (``command=``), and finds the daemon there by itself. https://libvirt.org/uri.html#ssh-transport
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tinycloud.drivers.libvirt.errors import load_libvirt, translate
from tinycloud.drivers.libvirt.events import start_loop
from tinycloud.drivers.libvirt.tls import explain, is_tls, must_answer
from tinycloud.errors import LibvirtFailed, Missing, TinycloudError, Unreachable

if TYPE_CHECKING:
    from tinycloud.drivers.ssh_link import SshLink

_ALIVE: Final = (5, 3)
"""Seconds between questions whether the other side is there, and how many may go unanswered: then every call fails."""
_SUDO: Final = ("-T", "--")
_AS_ROOT: Final = "sudo -n virt-ssh-helper qemu:///system"


def make_uri(target: str) -> str:
    """libvirt's address of a host by where ssh goes to it."""
    user, at, host = target.rpartition("@")
    return f"qemu+ssh://{user}{at}{f'[{host}]' if ':' in host else host}/system"


def open_far(link: SshLink, uri: str) -> tuple[Any, str]:
    """A connection, and the address that opened it. Raises Unreachable, Missing, LibvirtFailed."""
    start_loop()  # before the connection: what asks whether it is alive runs there
    if is_tls(uri):
        return _open_tls(link, uri), uri
    if "+ssh" not in uri.partition("://")[0]:
        return _open(link.name, uri), uri
    link.ensure()
    dialled = _add(uri, command=str(link.write_helper("libvirt", ())), no_tty="1")
    try:
        return _open(link.name, dialled), dialled
    except Missing as err:
        if not err.message.startswith("no right"):
            raise
        return _open_by_sudo(link, err)


def _open(name: str, uri: str) -> Any:
    libvirt = load_libvirt()
    try:
        conn = libvirt.open(uri)
        conn.setKeepAlive(*_ALIVE)
    except libvirt.libvirtError as err:
        raise _say_where(translate(err, f"cannot connect to {uri}"), name) from err
    return conn


def _open_tls(link: SshLink, uri: str) -> Any:
    """libvirt's words on certificates say little: they are looked into."""
    must_answer(link.name, uri, link.target)
    libvirt = load_libvirt()
    try:
        conn = libvirt.open(uri)
        conn.setKeepAlive(*_ALIVE)
    except libvirt.libvirtError as err:
        raise explain(link.name, uri, err.get_error_message() or str(err)) from err
    return conn


def _open_by_sudo(link: SshLink, failure: TinycloudError) -> tuple[Any, str]:
    """A user who is not in the group there, and may use sudo: libvirt's own helper carries the protocol as root."""
    uri = _add("qemu+ext:///system", command=str(link.write_helper("sudo", (*_SUDO, link.target, _AS_ROOT))))
    try:
        return _open(link.name, uri), uri
    except (Missing, LibvirtFailed, Unreachable) as err:
        failure.facts = (*failure.facts, f"through sudo: {'; '.join([err.message, *err.facts[:1]])}")
        raise failure from err


def _say_where(failure: TinycloudError, name: str) -> TinycloudError:
    """libvirt's complaints name no host."""
    failure.message = failure.message.replace("here", f"on {name}") if "here" in failure.message else f"{name}: {failure.message}"
    failure.args = (failure.message,)
    failure.hint = f"tinycloud doctor --host {name}"
    return failure


def _add(uri: str, **query: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(query, safe='/')}"
