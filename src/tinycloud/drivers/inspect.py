"""What a disk file is, found without trusting it: its own header first, then ``qemu-img`` in a child with limits."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.disks.magic import CONVERTED, OBSOLETE, PACKED, detect_format, find_beside, open_plain
from tinycloud.drivers.disks.others import SIZES
from tinycloud.drivers.disks.qcow2 import Qcow2, read_qcow2
from tinycloud.drivers.disks.vmdk import Vmdk, read_vmdk, write_descriptor
from tinycloud.drivers.shell import make_missing_tool
from tinycloud.errors import Refused
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.shell import Shell

__all__ = ["LIMITS", "MOST", "Disk", "FileFacts", "detect_format", "inspect_disk", "inspect_file"]

MOST: Final = Bytes(16 * 1024**4)
"""The largest disk that is taken for one, unless somebody says more."""
LIMITS: Final = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--", "prlimit", "--as=2000000000", "--nofile=5000", "--core=0")
"""What runs ``qemu-img`` on a file that nobody trusts: it dies with us, gains no rights, has no more memory than it needs."""

_QUICK: Final = (*LIMITS, "--cpu=20", "--fsize=0", "--")
_CHECK: Final = (*LIMITS, "--cpu=600", "--fsize=0", "--")
_DEEPEST: Final = 32
_NO_CHECK: Final = 63


@dataclass(frozen=True, slots=True)
class FileFacts:
    """An image file: its format, what a guest would see, what it takes on disk, in bytes."""

    format: str
    size: int
    length: int
    allocated: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that may be handed to QEMU. ``node`` is how: drivers and files all named, nothing left to guess.

    ``whole``: it is one file, raw or qcow2, and is kept as it is; any other is converted first. ``files`` are all it consists of.
    """

    facts: FileFacts
    node: dict[str, Any] = field(hash=False)
    files: tuple[Path, ...]
    whole: bool


def inspect_file(shell: Shell, path: Path, format: str = "") -> FileFacts:
    """The facts of one file, raw or qcow2: what :func:`inspect_disk` says of it. Raises Refused for any other format."""
    found = format or detect_format(path)
    if found in CONVERTED:
        raise Refused(
            f"{path.name} is {found}, expected raw or qcow2",
            code="not-an-image",
            hint=f"qemu-img convert -f {found} -O qcow2 {path} {path.stem}.qcow2",
        )
    return inspect_disk(shell, path, format).facts


def inspect_disk(
    shell: Shell, path: Path, format: str = "", *, work: Path | None = None, with_backing: bool = False, most: int = MOST
) -> Disk:
    """The disk that a file holds. ``format`` is believed when it is raw, for a raw disk may begin with anything.

    ``work``: an empty folder of ours, needed for a disk in several files. ``with_backing``: backing files that lie beside it belong
    to it. Raises Refused for a file that names any other file, whose format is not the one told, that is damaged, encrypted, larger
    than ``most``, or no image.
    """
    open_plain(path).close()
    found = "raw" if format == "raw" else _find_format(path, format)
    if found == "raw":
        return _inspect_raw(path, most)
    if found == "qcow2":
        disk = _inspect_qcow2(path, with_backing=with_backing)
    elif found == "vmdk":
        disk = _inspect_vmdk(path, work)
    else:
        disk = _make(path, found, SIZES[found](path), whole=False)
    _refuse_large(path, disk.facts.size, most)
    for tool in ("qemu-img", LIMITS[0], "prlimit"):
        if not shutil.which(tool):
            raise make_missing_tool(tool)
    layers = _list_layers(disk.node)
    sizes = [_ask_qemu(shell, path, layer) for layer in layers]
    for size, layer in zip(sizes, layers, strict=True):
        _refuse_large(path, size, most)
        _refuse_damage(shell, path, layer)
    return Disk(FileFacts(found, sizes[0], disk.facts.length, disk.facts.allocated), disk.node, disk.files, disk.whole)


def _find_format(path: Path, told: str) -> str:
    found = detect_format(path)
    if told and found != told:
        raise Refused(f"{path.name} is not a {told} image", code="not-an-image", facts=[f"by its content it is {found}"])
    if found in OBSOLETE:
        raise Refused(
            f"{path.name} is {found}, a format of old that is not taken in",
            code="obsolete-format",
            hint=f"qemu-img convert -f {'vmdk' if found == 'vmdk3' else found} -O qcow2 {path} {path.stem}.qcow2, if you trust it",
        )
    if found == "luks":
        _refuse_encrypted(path)
    if found not in ("raw", "qcow2", *CONVERTED):
        how = "tinycloud image import takes it as it is" if found in (*PACKED, "tar", "ovf") else f"unpack {path.name} first"
        raise Refused(f"{path.name} is {found}, not a disk", code="not-an-image", hint=how)
    return found


def _make(path: Path, format: str, size: int, *, whole: bool, files: tuple[Path, ...] = (), **more: Any) -> Disk:
    files = (path, *files)
    stats = [file.stat() for file in files]
    facts = FileFacts(format, size, sum(it.st_size for it in stats), sum(it.st_blocks * 512 for it in stats))
    node = {"driver": format, "file": {"driver": "file", "filename": str(path.resolve())}, **more}
    return Disk(facts, node, files, whole)


def _inspect_raw(path: Path, most: int) -> Disk:
    size = path.stat().st_size
    if size == 0:
        raise Refused(f"{path} is empty", code="not-an-image")
    _refuse_large(path, size, most)
    return _make(path, "raw", -(-size // 512) * 512, whole=True)


def _inspect_qcow2(path: Path, *, with_backing: bool) -> Disk:
    """An image from outside that makes QEMU open another file can read the host's secrets into a guest."""
    head = read_qcow2(path)
    _refuse_other(path, head)
    if not head.backing:
        return _make(path, "qcow2", head.size, whole=True, backing=None)
    if not with_backing:
        raise Refused(
            f"{path.name} names a backing file: {head.backing}",
            code="unsafe-image",
            hint="--with-backing, when what it stands on lies beside it",
        )
    node, files = _read_chain(path, head, (path,))
    return _make(path, "qcow2", head.size, whole=False, files=files[1:], backing=node)


def _refuse_other(path: Path, head: Qcow2) -> None:
    if head.data_file:
        raise Refused(f"{path.name} names a data file: {head.data_file}", code="unsafe-image")
    if head.encrypted:
        _refuse_encrypted(path)


def _read_chain(path: Path, head: Qcow2, above: tuple[Path, ...]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The node of what ``path`` stands on, down to the bottom, and all files seen. Each layer is looked at as if it came alone."""
    name = head.backing
    if name.startswith(f"{path.parent.resolve()}/"):
        name = name.removeprefix(f"{path.parent.resolve()}/")
    below = find_beside(path, name)
    if below in above or len(above) >= _DEEPEST:
        raise Refused(f"{path.name} stands on itself, or on more than {_DEEPEST} layers", code="unsafe-image")
    format = "raw" if head.backing_format == "raw" else _find_format(below, head.backing_format)
    if format not in ("raw", "qcow2"):
        raise Refused(f"{path.name} stands on {below.name}, which is {format}; expected raw or qcow2", code="unsafe-image")
    node = {"driver": format, "file": {"driver": "file", "filename": str(below.resolve())}}
    if format == "raw":
        return node, (*above, below)
    lower = read_qcow2(below)
    _refuse_other(below, lower)
    if not lower.backing:
        return {**node, "backing": None}, (*above, below)
    deeper, files = _read_chain(below, lower, (*above, below))
    return {**node, "backing": deeper}, files


def _inspect_vmdk(path: Path, work: Path | None) -> Disk:
    disk: Vmdk = read_vmdk(path)
    if not disk.extents:
        return _make(path, "vmdk", disk.size, whole=False, backing=None)
    if work is None:
        raise Refused(f"{path.name} keeps its data in other files", code="unsafe-image")
    made = _make(path, "vmdk", disk.size, whole=False, files=tuple(extent.file for extent in disk.extents), backing=None)
    node = {**made.node, "file": {"driver": "file", "filename": str(write_descriptor(disk, work).resolve())}}
    return Disk(made.facts, node, made.files, whole=False)


def _refuse_large(path: Path, size: int, most: int) -> None:
    if size > most:
        raise Refused(
            f"{path.name} says that it is a disk of {Bytes(size)}, expected at most {Bytes(most)}",
            code="image-too-large",
            hint=f"--max-size {-(-size // 1024**3)}G, if it is what you expect",
        )


def _refuse_encrypted(path: Path) -> None:
    raise Refused(
        f"{path.name} is encrypted, and nobody gave its secret",
        code="encrypted-image",
        hint="make a plain copy of it with qemu-img convert --object secret,… and import that",
    )


def _list_layers(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Each layer by itself, top first: without anything below it, which is not opened then."""
    below = node.get("backing")
    alone = {**node, "backing": None} if below else node
    return [alone, *(_list_layers(below) if below and below["driver"] != "raw" else ())]


def _refuse_damage(shell: Shell, path: Path, layer: dict[str, Any]) -> None:
    """A download that broke off still has its header; what it lacks would be read errors in a guest."""
    # A line for every error may be millions: they are not wanted.
    check = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", "qemu-img", "check", "--output=json", make_argument(layer)]
    done = shell.run([*_CHECK, *check], limit=1200, check=False)
    if done.status not in (0, 3, _NO_CHECK):  # 3: some space is wasted, nothing is missing
        raise Refused(f"{path.name} is damaged or cut short", code="damaged-image", hint=f"qemu-img check -f {layer['driver']} {path}")


def make_argument(node: dict[str, Any]) -> str:
    """A disk as QEMU is told of it: drivers are given, so that nothing is guessed, and a name with a colon stays a name."""
    return "json:" + json.dumps(node)


def _ask_qemu(shell: Shell, path: Path, layer: dict[str, Any]) -> int:
    """The size a guest sees, as QEMU says."""
    done = shell.run([*_QUICK, "qemu-img", "info", "--output=json", make_argument(layer)], limit=60, check=False)
    if done.status != 0:
        raise Refused(
            f"{path.name} is not a {layer['driver']} image",
            code="not-an-image",
            facts=done.stderr.decode(errors="replace").strip().splitlines()[-3:],
        )
    return int(json.loads(done.stdout)["virtual-size"])
