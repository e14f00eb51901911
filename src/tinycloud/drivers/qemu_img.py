"""qemu-img on a host: formats are told, never guessed; a passphrase goes by stdin; a new file is made beside and moved into place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.shell import make_tool_error
from tinycloud.errors import InUse, Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tinycloud.drivers.shell import Done, Shell

QUICK_KEY: Final = {"encrypt.iter-time": "10"}
"""For a passphrase that a program derived: nobody guesses 256 bits, and a slow hash would only delay each start of a machine."""

FORMATS: Final = ("raw", "qcow2", "vdi", "vmdk", "vhdx", "vpc")
"""What a disk can be written as."""

_SLOWEST: Final = 8 * 1024**2
"""Bytes a second: with less than that a disk is given up."""
_CLOCKLESS: Final = b"Unable to get accurate CPU usage"
"""qemu-img times its hash before it encrypts, and gives up where the processor's clock stands still for a moment, as a guest's may."""
_TRIES: Final = 20
_PERCENT: Final = re.compile(r"\((\d+\.\d+)/100%\)")
_DIFFERS: Final = re.compile(r"(?:mismatch|differ\w*)\D*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Node:
    """A disk as qemu-img is told of it."""

    path: str
    format: str
    passphrase: bytes = field(default=b"", repr=False)

    @property
    def options(self) -> str:
        """``--image-opts``: driver and file, so that neither content nor a colon in the name decides anything."""
        key = ",encrypt.key-secret=key" if self.passphrase else ""
        return f"driver={self.format},file.driver=file,file.filename={self.path.replace(',', ',,')}{key}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, in clusters: ``corrupt`` ones are damage, ``leaked`` ones only take space. ``mended`` of both."""

    corrupt: int = 0
    leaked: int = 0
    mended: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether two disks hold the same; ``offset`` is the first byte that differs, None where that is not known."""

    same: bool
    offset: int | None = None


class QemuImg:
    """qemu-img through a host's shell, as root: the files are the host's."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def _run(
        self,
        verb: str,
        *words: str,
        passphrase: bytes = b"",
        size: int = 0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        key = ["--object", "secret,id=key,file=/dev/stdin"] if passphrase else []
        argv = ["qemu-img", verb, *key, *words]
        limit = 120 + size / _SLOWEST
        for _ in range(_TRIES):
            done = self._shell.run(argv, input=passphrase or None, root=True, limit=limit, check=False, on_line=on_line)
            if _CLOCKLESS not in done.stderr:
                break
        if b"Invalid password" in done.stderr:
            raise Refused("the passphrase does not open the disk", code="wrong-passphrase", hint="--passphrase-stdin")
        if b'Failed to get "' in done.stderr or b"Failed to get shared" in done.stderr:
            raise InUse("another process has the disk open", facts=done.stderr.decode(errors="replace").splitlines()[:1])
        if b"No space left on device" in done.stderr:
            raise ToolFailed(
                "the disk became full", facts=done.stderr.decode(errors="replace").splitlines()[-1:], hint="tinycloud image gc"
            )
        if check and done.status != 0:
            raise make_tool_error(done)
        return done

    # looking

    def info(self, node: Node) -> dict[str, Any]:
        """What qemu-img says of one file, without what is below it; also while a machine writes to it."""
        bare = replace(node, passphrase=b"")
        info: dict[str, Any] = json.loads(self._run("info", "-U", "--output=json", "--image-opts", bare.options).text or "{}")
        return info

    def measure(self, node: Node, format: str) -> int:
        """How many bytes a copy of the whole disk needs in that format."""
        words = ["--output=json", "--image-opts", "-O", "qcow2" if format not in ("raw", "qcow2") else format, node.options]
        return int(json.loads(self._run("measure", *words, passphrase=node.passphrase).text or "{}").get("required", 0))

    def measure_empty(self, format: str, size: int, cluster: int = 0) -> int:
        """How many bytes the file of a disk of that size takes when every byte of it is written."""
        options = ["-o", f"cluster_size={cluster}"] if cluster and format == "qcow2" else []
        words = ["--output=json", "-O", format, *options, "--size", str(size)]
        return int(json.loads(self._run("measure", *words).text or "{}").get("fully-allocated", size))

    def check(self, node: Node, *, repair: bool = False) -> Checked:
        """Whether a qcow2 contradicts itself; with ``repair`` what can be mended is."""
        words = ["--output=json", *(["-r", "all"] if repair else []), "--image-opts", node.options]
        done = self._run("check", *words, passphrase=node.passphrase, check=False, size=1024**4)
        if done.status not in (0, 2, 3):
            raise make_tool_error(done)
        found = json.loads(done.text[done.text.index("{") :]) if "{" in done.text else {}
        mended = found.get("corruptions-fixed", 0) + found.get("leaks-fixed", 0)
        return Checked(found.get("corruptions", 0) + found.get("check-errors", 0), found.get("leaks", 0), mended)

    def compare(self, one: Node, other: Node, size: int) -> Compared:
        """Whether two disks hold the same bytes; what one is longer by must be zeros."""
        passphrase = one.passphrase or other.passphrase
        if one.passphrase and other.passphrase and one.passphrase != other.passphrase:
            raise Refused("two disks with different passphrases cannot be compared", code="encryption", hint="export one of them first")
        done = self._run("compare", "--image-opts", one.options, other.options, passphrase=passphrase, size=size, check=False)
        if done.status not in (0, 1):
            raise make_tool_error(done)
        found = _DIFFERS.search(done.text)
        return Compared(done.status == 0, int(found[1]) if found and done.status else None)

    def find_end(self, node: Node) -> int:
        """The first byte behind which nothing was ever written, nor below it; 0 for a disk that is new."""
        said = self._run("map", "--output=json", "--image-opts", node.options, passphrase=node.passphrase).text
        extents = [extent for extent in json.loads(said or "[]") if extent.get("data") and not extent.get("zero")]
        return max((int(extent["start"]) + int(extent["length"]) for extent in extents), default=0)

    def copy_head(self, node: Node, target: str, length: int) -> None:
        """The first bytes of a disk as a raw file."""
        words = ["-O", "raw", "bs=64k", f"count={length // 65536}", f"of={target}"]
        self._run("dd", "--image-opts", *words, f"if={node.options}", passphrase=node.passphrase)

    # making

    def create(
        self, node: Node, size: int | None, *, options: Mapping[str, str] = {}, backing: Node | None = None, preallocated: bool = False
    ) -> None:
        """A new, empty disk; on top of ``backing``, whose size is taken when none is given."""
        base = ["-b", backing.path, "-F", backing.format] if backing else []
        words = ["-q", "-f", node.format, *base, *_options(node, options), node.path, *([str(size)] if size is not None else [])]
        self._run("create", *words, passphrase=node.passphrase, size=size or 0 if preallocated else 0)

    def convert(
        self,
        source: Node,
        target: Node,
        size: int,
        *,
        options: Mapping[str, str] = {},
        backing: Node | None = None,
        compressed: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """A copy of the whole disk as another file, holes as holes; with ``backing`` only of what differs from it."""
        base = ["-B", backing.path, "-F", backing.format] if backing else []
        words = ["-p", "--image-opts", "-O", target.format, *base, *(["-c"] if compressed else []), *_options(target, options)]

        def hear(line: str) -> None:
            found = _PERCENT.findall(line)
            if found and progress:
                progress(int(size * float(found[-1]) / 100), size)

        passphrase = source.passphrase or target.passphrase
        self._run("convert", *words, source.options, target.path, passphrase=passphrase, size=size, on_line=hear)

    # changing

    def resize(self, node: Node, size: int, *, shrink: bool = False) -> None:
        words = ["-q", *(["--shrink"] if shrink else []), "--image-opts", node.options, str(size)]
        self._run("resize", *words, passphrase=node.passphrase)

    def rebase(self, node: Node, backing: Node, size: int) -> None:
        """Stand it on another disk; what differs there is copied first, its header is written last."""
        words = ["--image-opts", "-b", backing.path, "-F", backing.format, node.options]
        self._run("rebase", *words, passphrase=node.passphrase, size=2 * size)

    def commit(self, node: Node, size: int) -> None:
        """Write its changes into the disk below; it keeps them too, so that it reads the same all the while."""
        self._run("commit", "-q", "-d", "--image-opts", node.options, passphrase=node.passphrase, size=size)

    def snapshot(self, node: Node, flag: str, name: str, size: int) -> None:
        """Take (``-c``), go back to (``-a``) or delete (``-d``) a snapshot inside a qcow2."""
        self._run("snapshot", "-q", flag, name, "--image-opts", node.options, passphrase=node.passphrase, size=size)


def _options(node: Node, options: Mapping[str, str]) -> list[str]:
    crypt = {"encrypt.format": "luks", "encrypt.key-secret": "key"} if node.passphrase else {}
    words = ",".join(f"{key}={value}" for key, value in {**crypt, **options}.items())
    return ["-o", words] if words else []
