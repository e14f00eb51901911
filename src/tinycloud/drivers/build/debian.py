"""The debian-12 image: a real Debian with systemd and cloud-init, made by mmdebstrap. Needs root rights."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.build import packages
from tinycloud.drivers.build.disk import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.shell import Shell

_PACKAGES: Final = (
    *("linux-image-cloud-amd64", "systemd-sysv", "systemd-timesyncd", "dbus", "udev", "kmod", "initramfs-tools", "zstd"),
    *("cloud-init", "cloud-guest-utils", "openssh-server", "sudo", "qemu-guest-agent"),
    *("ifupdown", "isc-dhcp-client", "iproute2", "iputils-ping", "netbase", "ca-certificates", "less", "nano", "apt-utils"),
)
_SIZE: Final = 2048 * MIB
_FIRST: Final = MIB
_OPTIONS: Final = "root=LABEL=debian-root ro console=tty0 console=ttyS0 net.ifnames=0 quiet"
_FSTAB: Final = "LABEL=debian-root / ext4 errors=remount-ro,discard 0 1\n"
_CLOUD: Final = "datasource_list: [NoCloud, None]\nlocale: C.UTF-8\n"
_EXTLINUX: Final = f"""\
DEFAULT linux
PROMPT 0
TIMEOUT 0
LABEL linux
 LINUX /vmlinuz
 INITRD /initrd.img
 APPEND {_OPTIONS}
"""


def list_ingredients(shell: Shell) -> list[str]:
    """Everything that decides the result, for the cache key."""
    return [*packages.find_versions(shell, _PACKAGES), _FSTAB, _CLOUD, _EXTLINUX, str(_SIZE)]


def build(shell: Shell, into: Path, work: Path) -> None:
    """Build the image as a qcow2 file ``into``, using the empty folder ``work``."""
    disk, tree = work / "disk.raw", work / "root"
    _debootstrap(shell, tree, work)
    with disk.open("wb") as file:
        file.truncate(_SIZE)
    table = f"label: dos\nstart={_FIRST // 512}, type=83, bootable\n"
    shell.run(["sfdisk", "-q", str(disk)], input=table.encode())
    part = work / "part.raw"
    size = (_SIZE - _FIRST) // 1024
    ext4 = ["mke2fs", "-q", "-t", "ext4", "-O", "^64bit", "-L", "debian-root", "-d", str(tree), str(part), f"{size}k"]
    shell.run(ext4, root=True, limit=600)
    _install_extlinux(shell, part, work / "mnt")
    shell.run(
        ["dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={_FIRST // MIB}", "conv=notrunc,sparse", "status=none"], root=True, limit=600
    )
    shell.run(["dd", "if=/usr/lib/syslinux/mbr/mbr.bin", f"of={disk}", "bs=440", "count=1", "conv=notrunc", "status=none"])
    shell.run(["rm", "-rf", str(tree), str(part)], root=True)
    shell.run(["qemu-img", "convert", "-O", "qcow2", "-c", str(disk), str(into)], limit=900)


def _debootstrap(shell: Shell, tree: Path, work: Path) -> None:
    files = {"fstab": _FSTAB, "cloud.cfg": _CLOUD, "extlinux.conf": _EXTLINUX}
    for name, text in files.items():
        (work / name).write_text(text)
    here = shlex.quote(str(work))  # mmdebstrap splits its hooks as a shell does
    hooks = [
        f"copy-in {here}/fstab /etc",
        f"upload {here}/cloud.cfg /etc/cloud/cloud.cfg.d/90_tinycloud.cfg",
        'mkdir -p "$1/boot/extlinux"',
        f"upload {here}/extlinux.conf /boot/extlinux/extlinux.conf",
        # Made again by every machine: its identity must not be the image's.
        'rm -f "$1"/etc/ssh/ssh_host_*; : > "$1/etc/machine-id"; rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin',
        'echo debian > "$1/etc/hostname"; printf "127.0.0.1 localhost\\n" > "$1/etc/hosts"',
    ]
    argv = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(_PACKAGES)}", "--aptopt=Apt::Install-Recommends false"]
    argv += [f"--customize-hook={hook}" for hook in hooks]
    shell.run([*argv, "bookworm", str(tree)], root=True, limit=1800)


def _install_extlinux(shell: Shell, part: Path, mount: Path) -> None:
    """extlinux needs the file system mounted once: in a mount namespace of its own, which nothing outlives."""
    mount.mkdir()
    script = 'mount -o loop "$1" "$2" && extlinux --install "$2/boot/extlinux" && umount "$2"'
    shell.run(["unshare", "-m", "sh", "-ec", script, "sh", str(part), str(mount)], root=True, limit=120)
