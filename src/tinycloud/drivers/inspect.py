"""What an image file is, found without trusting it: magic bytes first, then ``qemu-img info`` in a child with limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import NotYet, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.shell import Shell

_MAGIC: Final = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"<<< ": "vdi",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"LUKS\xba\xbe": "luks",
    b"\xfd7zXZ\x00": "xz",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7z",
}
_LIMITS: Final = ("prlimit", "--as=2000000000", "--cpu=20", "--nofile=64", "--fsize=0", "--")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """An image file: its format, what a guest would see, what it takes on disk, in bytes."""

    format: str
    size: int
    length: int
    allocated: int


def detect_format(path: Path) -> str:
    """The format by the file's first bytes; raw when they say nothing."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[257:262] == b"ustar":
        return "tar"  # an OVA is one
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "raw")


def inspect_file(shell: Shell, path: Path, format: str = "") -> FileFacts:
    """The facts of an image file. ``format`` (raw, qcow2) is believed when given, so that a raw disk may begin with anything.

    Raises Refused for a file that names any other file, whose format is not the one told, or that is no image; NotYet for
    formats that have to be converted first.
    """
    if not path.is_file():
        raise Refused(f"{path} is not a file", code="no-file")
    try:
        found = detect_format(path)
    except OSError as err:
        raise Refused(f"{path} cannot be read: {err.strerror}", code="no-file") from err
    found = format or found
    if found not in ("raw", "qcow2"):
        raise NotYet(
            f"{path.name} is {found}, and this version imports qcow2 and raw",
            hint=f"qemu-img convert -O qcow2 {path} {path.stem}.qcow2"
            if found in ("vmdk", "vdi", "vhdx", "vpc")
            else f"unpack {path.name} first",
        )
    stat = path.stat()
    if found == "raw":
        if stat.st_size == 0:
            raise Refused(f"{path} is empty", code="not-an-image")
        return FileFacts("raw", -(-stat.st_size // 512) * 512, stat.st_size, stat.st_blocks * 512)
    info = _ask_qemu(shell, path)
    _refuse_references(path, info)
    _refuse_damage(shell, path)
    return FileFacts("qcow2", int(info["virtual-size"]), stat.st_size, stat.st_blocks * 512)


def _name(path: Path) -> str:
    """The file as QEMU is told of it: the driver is given, so that nothing is guessed, and a name with a colon stays a name."""
    return "json:" + json.dumps({"driver": "qcow2", "file": {"driver": "file", "filename": str(path.resolve())}})


def _refuse_damage(shell: Shell, path: Path) -> None:
    """A download that broke off still has its header; what it lacks would be read errors in a guest."""
    # A line for every error may be millions: they are not wanted.
    check = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", "qemu-img", "check", "--output=json", _name(path)]
    done = shell.run([*_LIMITS, *check], limit=120, check=False)
    if done.status not in (0, 3):  # 3: some space is wasted, nothing is missing
        raise Refused(f"{path.name} is damaged or cut short", code="damaged-image", hint=f"qemu-img check {path}")


def _ask_qemu(shell: Shell, path: Path) -> dict[str, Any]:
    done = shell.run([*_LIMITS, "qemu-img", "info", "--output=json", _name(path)], limit=30, check=False)
    if done.status != 0:
        raise Refused(
            f"{path.name} is not a qcow2 image",
            code="not-an-image",
            facts=done.stderr.decode(errors="replace").strip().splitlines()[-3:],
        )
    info: dict[str, Any] = json.loads(done.stdout)
    return info


def _refuse_references(path: Path, info: dict[str, Any]) -> None:
    """An image from outside that makes QEMU open another file can read the host's secrets into a guest."""
    details = info.get("format-specific", {}).get("data", {})
    named = {"backing file": info.get("backing-filename"), "data file": details.get("data-file")}
    for what, name in named.items():
        if name:
            raise Refused(
                f"{path.name} names a {what}: {name}",
                code="unsafe-image",
                hint=f"qemu-img convert -O qcow2 {path} whole.qcow2, if you trust it",
            )
    if details.get("encrypt") or info.get("encrypted"):
        raise NotYet(f"{path.name} is encrypted, and this version imports plain images")
