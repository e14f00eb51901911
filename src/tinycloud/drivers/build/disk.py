"""A bootable disk from a folder, without root rights or loop devices: FAT boot partition (BIOS and UEFI) and ext4 root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.errors import Missing

if TYPE_CHECKING:
    from tinycloud.drivers.shell import Shell

MIB = 1024 * 1024
_FIRST = MIB  # where partition 1 starts; the usual alignment

_BIOS = ("/usr/lib/syslinux/mbr/mbr.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32")
_EFI = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"  # syslinux has one too; it crashes in OVMF once the kernel is loaded


@dataclass(frozen=True, slots=True)
class Boot:
    """What the boot partition holds."""

    kernel: Path
    initrd: Path
    options: str


def _bios_config(options: str) -> str:
    return f"DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n LINUX /vmlinuz\n INITRD /initrd\n APPEND {options}\n"


def _make_boot_partition(shell: Shell, boot: Boot, into: Path, size: int) -> None:
    for path in (*_BIOS, _EFI):
        if not Path(path).exists():
            raise Missing(f"{path} is not there", hint="apt-get install syslinux syslinux-common systemd-boot-efi")
    with into.open("wb") as file:
        file.truncate(size)
    shell.run(["mkfs.vfat", "-n", "BOOT", str(into)])
    configs = {
        "::syslinux.cfg": _bios_config(boot.options),
        "::loader/loader.conf": "timeout 0\n",
        "::loader/entries/linux.conf": f"title linux\nlinux /vmlinuz\ninitrd /initrd\noptions {boot.options}\n",
    }
    shell.run(["mmd", "-i", str(into), "::EFI", "::EFI/BOOT", "::loader", "::loader/entries"])
    for source, target in ((str(boot.kernel), "::vmlinuz"), (str(boot.initrd), "::initrd"), (_EFI, "::EFI/BOOT/BOOTX64.EFI")):
        shell.run(["mcopy", "-i", str(into), source, target])
    for target, text in configs.items():
        shell.run(["mcopy", "-i", str(into), "-", target], input=text.encode())
    shell.run(["syslinux", "--install", str(into)])


def list_ingredients() -> list[str]:
    """What decides how a disk boots, for a cache key."""
    return [Path(__file__).read_text()]


def make_disk(shell: Shell, boot: Boot, root: Path, into: Path, *, sizes: tuple[int, int], label: str) -> None:
    """Write a raw disk to ``into``.

    ``sizes`` are the bytes of the boot and of the root partition, whole MiB. ``root`` becomes the ext4 root file system,
    owned as ``root``'s files are (under fakeroot: by root).
    """
    boot_size, root_size = sizes
    parts = into.with_suffix(".boot"), into.with_suffix(".root")
    _make_boot_partition(shell, boot, parts[0], boot_size)
    ext4 = ["mke2fs", "-q", "-t", "ext4", "-L", label, "-m", "0", "-E", "root_owner=0:0", "-d", str(root)]
    shell.run(["fakeroot", "--", *ext4, str(parts[1]), f"{root_size // 1024}k"], limit=600)
    with into.open("wb") as file:
        file.truncate(_FIRST + boot_size + root_size + MIB)
    # Type ef is an EFI system partition; the active flag lets a BIOS boot it too.
    table = f"label: dos\nstart={_FIRST // 512}, size={boot_size // 512}, type=ef, bootable\nsize={root_size // 512}, type=83\n"
    shell.run(["sfdisk", "-q", str(into)], input=table.encode())
    for source, offset in ((parts[0], _FIRST), (parts[1], _FIRST + boot_size)):
        shell.run(["dd", f"if={source}", f"of={into}", "bs=1M", f"seek={offset // MIB}", "conv=notrunc,sparse", "status=none"], limit=600)
    shell.run(["dd", f"if={_BIOS[0]}", f"of={into}", "bs=440", "count=1", "conv=notrunc", "status=none"])
