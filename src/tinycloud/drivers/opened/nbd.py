"""A disk over NBD: qemu-nbd on a unix socket, on loopback, or, with certificates on both sides, on any address."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from tinycloud.drivers.opened.disk import Disk
    from tinycloud.drivers.opened.place import Place
    from tinycloud.drivers.shell import Shell

CERTIFICATES = ("ca-cert.pem", "server-cert.pem", "server-key.pem")
"""What qemu-nbd looks for in the folder of --tls."""


def make_argv(disk: Disk, where: str, pid_file: str, *, write: bool, tls: str = "") -> list[str]:
    """``where`` is ``unix:PATH`` or ``tcp:ADDRESS:PORT``. One writer, or any number of readers."""
    kind, _, rest = where.partition(":")
    address, _, port = rest.rpartition(":")
    door = [f"--socket={rest}"] if kind == "unix" else [f"--bind={address}", f"--port={port}"]
    rights = ["--shared=1", "--discard=unmap"] if write else ["--read-only", "--shared=0"]
    # Without verify-peer whoever reaches the port would be let in.
    safe = ["--object", f"tls-creds-x509,id=tls0,endpoint=server,dir={tls},verify-peer=yes", "--tls-creds=tls0"] if tls else []
    return ["qemu-nbd", f"--format={disk.format}", *rights, *door, *safe, "--persistent", "--fork", f"--pid-file={pid_file}", disk.path]


def serve(place: Place, disk: Disk, where: str, *, write: bool, tls: str = "") -> None:
    """Serve; returns when clients can connect. Raises ToolFailed, as for a port that somebody has."""
    if said := place.start(make_argv(disk, where, f"{place.folder}/pid", write=write, tls=tls)):
        raise ToolFailed(f"{disk.ref} cannot be served", facts=said[-4:])


def give_socket(shell: Shell, path: str) -> None:
    """A person who came here through sudo is to reach the socket without."""
    if os.geteuid() != 0:
        shell.run(["chown", f"{os.getuid()}:{os.getgid()}", path], root=True)


def make_uri(where: str, *, tls: bool) -> str:
    """The address as NBD clients take it (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md)."""
    kind, _, rest = where.partition(":")
    if kind == "unix":
        return f"nbd+unix:///?socket={rest}"
    address, _, port = rest.rpartition(":")
    shown = f"[{address}]" if ":" in address else address
    return f"nbd{'s' if tls else ''}://{shown}:{port}"


def stop(place: Place, shell: Shell, where: str) -> None:
    """End the server: it writes what it holds. A socket that a kill left behind goes too."""
    place.end_processes(30.0)
    kind, _, path = where.partition(":")
    if kind == "unix":
        shell.run(["sh", "-c", '[ ! -S "$1" ] || rm -f -- "$1"', "sh", path], root=True)
