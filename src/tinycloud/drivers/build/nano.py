"""The nano image: a Linux guest that answers ssh about three seconds after power-on, without hardware virtualization.

The distribution's cloud kernel, busybox, dropbear and Lua on an ext4 root. It understands the NoCloud seed that we write
(JSON is YAML), in the words of cloud-init; see ``nano/`` for the guest's side.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.build import cpio, disk, packages
from tinycloud.errors import Missing

if TYPE_CHECKING:
    from tinycloud.drivers.shell import Shell

_KERNELS: Final = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64")
_TOOLS: Final = ("busybox-static", "dropbear-bin", "openssh-sftp-server", "lua5.4", "lua-cjson")
_OPTIONS: Final = "console=tty0 console=ttyS0 quiet loglevel=3 net.ifnames=0 mitigations=off random.trust_cpu=on"
_SIZES: Final = (32 * disk.MIB, 94 * disk.MIB)
_EARLY: Final = (
    *("virtio_pci", "virtio_blk", "ata_piix", "ahci", "virtio_scsi", "sd_mod"),
    *("uhci_hcd", "ehci_pci", "xhci_pci", "usb_storage"),
)
_LATE: Final = (
    *("virtio_net", "isofs", "button", "evdev", "virtio_rng", "virtio_balloon", "sr_mod", "vfat", "nls_ascii", "nls_cp437"),
    *("8021q",),
)
_PROGRAMS: Final = (
    *("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/lib/dropbear/dropbearconvert"),
    *("usr/lib/openssh/sftp-server", "usr/bin/lua5.4"),
)
_HOOKS: Final = tuple(f"etc/network/if-{when}.d" for when in ("pre-up", "up", "down", "post-down"))
"""ifup fails without them."""
_ACCOUNTS: Final = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "shadow": "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n",
    "shells": "/bin/sh\n",
    "hosts": "127.0.0.1 localhost\n",
    "hostname": "nano\n",
}


def _scripts() -> dict[str, str]:
    folder = resources.files("tinycloud.drivers.build") / "nano"
    return {item.name: item.read_text() for item in folder.iterdir()}


def list_packages(shell: Shell) -> list[str]:
    """What the image is made of: the kernel's packages first, then the tools with all they depend on."""
    meta = packages.find_first_known(shell, _KERNELS)
    if meta is None:
        raise Missing("the package lists know no Linux kernel", hint="apt-get update")
    image = next((n for n in packages.list_depends(shell, meta) if n.startswith("linux-image-") and n != meta), meta)
    modules = [n for n in packages.list_depends(shell, image) if n.startswith("linux-modules-")]
    return [image, *modules, *packages.list_depends(shell, *_TOOLS, recurse=True)]


def list_ingredients(shell: Shell) -> list[str]:
    """Everything that decides the result, for the cache key."""
    scripts = [f"{name}:{text}" for name, text in sorted(_scripts().items())]
    return [
        *packages.find_versions(shell, list_packages(shell)),
        *disk.list_ingredients(),
        *scripts,
        _OPTIONS,
        repr((_SIZES, _EARLY, _LATE, _PROGRAMS, _HOOKS, _ACCOUNTS)),
    ]


def _install(source: Path, target: Path, mode: int = 0o755) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _put(text: str, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def _install_busybox(source: Path, root: Path, shell: Shell) -> None:
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for line in shell.run([str(source), "--list-full"]).text.split():
        if not (link := root / line).exists() and not line.endswith("/busybox"):
            link.symlink_to("/bin/busybox")
    (root / "bin/busybox").unlink(missing_ok=True)
    _install(source, root / "bin/busybox")


def _find_kernel(source: Path) -> tuple[str, Path]:
    """The kernel's version and the folder with its modules (``lib/modules`` or ``usr/lib/modules``)."""
    for base in (source / "usr/lib/modules", source / "lib/modules"):
        for folder in sorted(base.glob("*")):
            if any(folder.rglob("*.ko*")):
                return folder.name, folder
    raise Missing("the kernel package holds no modules")


def _install_modules(shell: Shell, source: Path, root: Path, names: tuple[str, ...]) -> None:
    """Copy modules with all they depend on, unpacked, and index them for modprobe."""
    version, folder = _find_kernel(source)
    shell.run(["depmod", "-b", str(folder.parents[2]), version])  # …/lib/modules/VERSION: the folder above lib
    index = dict(line.split(":", 1) for line in (folder / "modules.dep").read_text().splitlines())
    paths = {Path(path).name.split(".ko")[0].replace("-", "_"): path for path in index}
    for name in names:
        for path in [paths[name], *index[paths[name]].split()] if name in paths else []:
            target = root / "lib/modules" / version / path.removesuffix(".xz").removesuffix(".zst")
            if target.exists():
                continue
            _install(folder / path, target, 0o644)
            if path.endswith(".zst"):
                target.write_bytes(shell.run(["zstd", "-dc", str(folder / path)]).stdout)
            elif path.endswith(".xz"):
                target.write_bytes(shell.run(["xz", "-dc", str(folder / path)]).stdout)
    shell.run(["depmod", "-b", str(root), version])


def _install_program(shell: Shell, source: Path, root: Path, program: str) -> None:
    """Copy a program with the libraries its loader asks for."""
    loader = next(path for path in (source / "lib64").resolve().glob("ld-linux*.so*"))
    libraries = sorted({str(path.parent) for path in source.rglob("*.so.*")})
    argv = [str(loader), "--list", "--library-path", ":".join(libraries), str(source / program)]
    for line in shell.run(argv).text.splitlines():
        if "=>" in line and (path := Path(line.split("=>")[1].split()[0])).is_absolute():
            _install(path.resolve(), root / "lib" / line.split()[0].rsplit("/", 1)[-1])
    _install(loader.resolve(), root / "lib64" / loader.name)
    _install(source / program, root / program)


def _make_initrd_tree(shell: Shell, source: Path, tree: Path) -> None:
    for folder in ("proc", "sys", "dev", "root"):
        (tree / folder).mkdir(parents=True)
    _install_busybox(source / "bin/busybox", tree, shell)
    _install_modules(shell, source, tree, _EARLY)
    _put(_scripts()["init"], tree / "init", 0o755)


def _make_root_tree(shell: Shell, source: Path, tree: Path) -> None:
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "home", "var/log", "var/lib", "etc/dropbear", *_HOOKS):
        (tree / folder).mkdir(parents=True)
    (tree / "var/run").symlink_to("/run")
    (tree / "root").mkdir(mode=0o700)
    _install_busybox(source / "bin/busybox", tree, shell)
    _install_modules(shell, source, tree, (*_EARLY, *_LATE))
    for program in _PROGRAMS:
        _install_program(shell, source, tree, program)
    (tree / "usr/bin/dropbearconvert").symlink_to("/usr/lib/dropbear/dropbearconvert")
    (tree / "usr/lib/sftp-server").symlink_to("/usr/lib/openssh/sftp-server")  # where dropbear looks for it
    for module in source.rglob("lua/5.4/cjson.so"):
        _install(module.resolve(), tree / "usr/local/lib/lua/5.4/cjson.so")
    scripts = _scripts()
    for name in ("boot", "halt", "dhcp", "setup.lua"):
        _put(scripts[name], tree / "etc/nano" / name, 0o755)
    _put(scripts["inittab"], tree / "etc/inittab")
    _put("#!/bin/sh\npoweroff\n", tree / "etc/acpi/PWRF/00000080", 0o755)
    for name, text in _ACCOUNTS.items():
        _put(text, tree / "etc" / name, 0o640 if name == "shadow" else 0o644)


def build(shell: Shell, into: Path, work: Path) -> None:
    """Build the image as a qcow2 file ``into``, using the empty folder ``work``."""
    source = work / "source"
    names = list_packages(shell)
    packages.unpack(shell, packages.fetch(shell, names, work / "debs"), source)
    _make_initrd_tree(shell, source, work / "initrd")
    _make_root_tree(shell, source, work / "root")
    cpio.make_initrd(work / "initrd", work / "initrd.gz")
    kernel = next(iter(sorted((source / "boot").glob("vmlinuz-*"))))
    boot = disk.Boot(kernel, work / "initrd.gz", _OPTIONS)
    disk.make_disk(shell, boot, work / "root", work / "disk.raw", sizes=_SIZES, label="nano-root")
    shell.run(["qemu-img", "convert", "-O", "qcow2", str(work / "disk.raw"), str(into)], limit=300)
