"""What a pool is to be made of, looked at on the host before anything is defined."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tinycloud.drivers.copy import make_file_name
from tinycloud.drivers.onhost import run_script
from tinycloud.errors import NotFound, Refused, ToolFailed
from tinycloud.model.pool import Source, Unit, locate
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.host import Host

_LIMIT = 30.0


def check_folder(host: Host, path: str, *, mounted: bool) -> None:
    """Raises Refused for a folder that is none, or that QEMU's user does not get to. One that is not there yet is well."""
    shell = host.shell
    if shell.run(["test", "-e", path], root=True, check=False).status != 0:
        if mounted:
            raise NotFound(f"there is no folder {path} on {host.name}", hint=f"mount the server's folder on {path} first")
        path = str(PurePosixPath(path).parent)
    elif shell.run(["test", "-d", path], root=True, check=False).status != 0:
        raise Refused(f"{path} is no folder", code="no-folder")
    elif mounted and shell.run(["mountpoint", "-q", path], root=True, check=False).status != 0:
        raise Refused(f"nothing is mounted on {path}", code="no-folder", hint=f"mount it first, or: --kind dir {path}")
    _check_way(host, path)


def _check_way(host: Host, path: str) -> None:
    """QEMU runs as a user of its own, and has to pass through every folder on the way; libvirt mends the rights of files alone."""
    user, group = host.read_facts().qemu_user
    ways = [str(way) for way in (*reversed(PurePosixPath(path).parents), PurePosixPath(path))]
    if user == 0 or _may_pass(host, ways[-1], user, group):
        return
    closed = next((way for way in ways if not _may_pass(host, way, user, group)), path)
    raise Refused(
        f"QEMU cannot get to {path}: its user {user} may not pass through {closed}",
        code="no-way",
        facts=["machines on such a pool would not start"],
        hint=f"chmod o+x {closed}, or choose a folder below /srv or /var/lib",
    )


def _may_pass(host: Host, folder: str, user: int, group: int) -> bool:
    words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "test", "-x", folder]
    return host.shell.run(words, root=True, check=False).status == 0


def read_devices(host: Host, paths: Sequence[str]) -> tuple[Unit, ...]:
    """Block devices with their sizes, by names that last; ``used`` is true for one that carries something.

    Raises Refused for one that is in use.
    """
    found = run_script(host.shell, "look_at_disks", {"paths": list(paths)}, root=True, limit=_LIMIT)
    return tuple(Unit(it.get("stable") or it["path"], Bytes(it["size"]), used=bool(it["carries"])) for it in found["disks"])


def read_exports(host: Host, uris: Sequence[str]) -> tuple[Unit, ...]:
    """NBD exports with their sizes; raises Refused for one that cannot be opened."""
    return tuple(Unit(uri, _ask_size(host, uri)) for uri in uris)


def _ask_size(host: Host, uri: str) -> Bytes:
    name = make_file_name(locate("", Source("nbd"), "", uri))
    try:
        done = host.shell.run(["qemu-img", "info", "--output=json", name], root=True, limit=_LIMIT)
    except ToolFailed as err:
        raise Refused(f"{uri} cannot be opened", code="no-device", facts=err.facts) from err
    return Bytes(json.loads(done.stdout)["virtual-size"])


def check_group(host: Host, name: str) -> None:
    """Raises NotFound for a volume group that is not there."""
    done = host.shell.run(["vgs", "--noheadings", "-o", "vg_name"], root=True, check=False)
    if name not in done.text.split():
        raise NotFound(
            f'there is no volume group "{name}" on {host.name}', facts=[f"groups: {' '.join(done.text.split()) or 'none'}"], hint="vgs"
        )


def list_open_volumes(host: Host, group: str) -> list[str]:
    """The logical volumes of a group that somebody has open, by their paths: mounted, used as swap, held by a process."""
    words = ["lvs", "--noheadings", "-o", "lv_path", "-S", "lv_device_open=1", group]
    return host.shell.run(words, root=True, check=False).text.split()
