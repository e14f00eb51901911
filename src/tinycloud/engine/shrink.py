"""A disk made smaller: only when its partitions or its file system are seen to end before the new end, and on a copy."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.qemu_img import Node
from tinycloud.engine.new_file import NewFile, must_fit
from tinycloud.errors import NotYet, Refused
from tinycloud.model.units import Bytes

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.qemu_img import QemuImg
    from tinycloud.engine.disks import Disk

_HEAD = 4 * 1024**2
"""Where partition tables and superblocks are."""
_SECTOR = 512
_GPT_TAIL = 34 * _SECTOR
"""What a GPT keeps at the end of the disk."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What is on a disk, and the first byte behind it."""

    kind: str
    end: int
    table: str = ""
    """sfdisk's dump of a GPT, which has to be written again for the new end."""


def shrink(host: Host, qemu: QemuImg, node: Node, disk: Disk, size: int) -> None:
    """Put a smaller copy in the place of the disk; raises Refused when its content is not seen to fit."""
    extent = read_extent(host, qemu, node, disk)
    need = extent.end + (_GPT_TAIL if extent.kind == "gpt" else 0)
    if need > size:
        raise Refused(
            f"what is on {disk.ref} ({extent.kind}) ends at {Bytes(need)}, and {Bytes(size)} is less",
            code="too-small",
            facts=[f"it ends at byte {need}"],
            hint=f"shrink file system and partition in the guest first, or --size {-(-need // 1024**2)}MiB",
        )
    if extent.kind == "gpt" and node.passphrase:
        raise NotYet(f"{disk.ref} is encrypted and has a GPT, which has to be written anew: this version does not")
    must_fit(host, qemu.measure(node, disk.format), f"a copy of {disk.ref}", disk.pool)
    with NewFile(host, disk.folder, disk.name, pool=disk.pool) as new:
        target = new.node(disk.format, node.passphrase)
        _copy(qemu, node, target, disk, size)
        if extent.kind == "gpt":
            args = {"file": target.path, "format": target.format, "table": extent.table}
            run_script(host.shell, "partition", args, root=True, limit=120)
        new.settle(replace=True)


def _copy(qemu: QemuImg, source: Node, target: Node, disk: Disk, size: int) -> None:
    """Only what is its own where it stands on something; a raw file is cut, a qcow2 forgets what is behind the end."""
    info = qemu.info(source)
    backing = Node(info["full-backing-filename"], info["backing-filename-format"]) if disk.backing else None
    options = {"cluster_size": str(info["cluster-size"])} if disk.format == "qcow2" else {}
    qemu.convert(source, target, disk.size, options=options, backing=backing)
    qemu.resize(target, size, shrink=True)


def read_extent(host: Host, qemu: QemuImg, node: Node, disk: Disk) -> Extent:
    """Where the content of a disk ends. Raises Refused where that is not known: LVM, RAID, other file systems, data without form."""
    end = qemu.find_end(node)
    with NewFile(host, disk.folder, "unused") as head:
        qemu.copy_head(node, head.part, _HEAD)
        host.shell.run(["truncate", "-s", str(disk.size), head.part], root=True)
        blank = host.shell.run(["cmp", "-s", "-n", str(min(_HEAD, disk.size)), head.part, "/dev/zero"], root=True, check=False)
        if blank.status == 0 and end <= _HEAD:
            return Extent("empty", 0)
        said = host.shell.run(["blkid", "-p", "-o", "export", head.part], root=True, check=False).text
        facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        kind, table = facts.get("TYPE", ""), facts.get("PTTYPE", "")
        if table in ("gpt", "dos") and not kind:
            return _read_table(host, head.part, table)
        if kind in ("ext2", "ext3", "ext4") and (ends := _read_ext(host, head.part)):
            return Extent(kind, ends)
    raise Refused(
        f"on {disk.ref} there is {kind or table or 'nothing that is known'}: where it ends is not known",
        code="unknown-content",
        hint="make a smaller volume and copy the data in a guest",
    )


def _read_table(host: Host, head: str, kind: str) -> Extent:
    found = json.loads(host.shell.run(["sfdisk", "-J", head], root=True).text)["partitiontable"]
    unit = int(found.get("sectorsize", _SECTOR))
    end = max((unit * (int(it["start"]) + int(it["size"])) for it in found.get("partitions", ())), default=_HEAD)
    dump = host.shell.run(["sfdisk", "-d", head], root=True).text if kind == "gpt" else ""
    return Extent(kind, end, "".join(line for line in dump.splitlines(keepends=True) if not line.startswith(("device:", "last-lba:"))))


def _read_ext(host: Host, head: str) -> int | None:
    """Where the superblock says that it ends. dumpe2fs complains of what is not in the head, after it has said that."""
    said = host.shell.run(["dumpe2fs", "-h", head], root=True, check=False).text
    numbers = {key: int(value) for key, value in re.findall(r"^(Block count|Block size):\s+(\d+)", said, re.MULTILINE)}
    return numbers["Block count"] * numbers["Block size"] if len(numbers) == 2 else None
