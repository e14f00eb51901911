"""A host with a whole kernel, for what the kernel of the test machine lacks: device-mapper, and KVM that runs guests.

It is a guest under emulation, started inside a lab host, with the distribution's own kernel from ``/boot``. Its files are those of the test
machine, read through 9p below an overlay in memory: every package, the program and the tests are at the same paths, nothing is built or
installed for it, and what it writes is gone with it. The emulated processor knows AMD's SVM, so its machines run under KVM; emulation inside
of emulation would take minutes to boot one.
"""

from __future__ import annotations

import lzma
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.conftest import ROOT
from tinycloud.drivers.build.cpio import make_initrd
from tinycloud.lab import LabHost

_SCRIPTS = Path(__file__).with_name("full")
_EARLY_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_OPTIONS = "console=ttyS0 quiet loglevel=4 mitigations=off random.trust_cpu=on net.ifnames=0 panic=1"
_END = b"\x1e"
_MIB = 1024**2


class FullHost:
    """The line to its shell. It forgets nothing between commands but what ``bash -c`` forgets."""

    def __init__(self, line: socket.socket, log: Path) -> None:
        self._line = line
        self._log = log

    def sh(self, script: str, *, status: int = 0, limit: float = 300.0) -> str:
        """What a script says, on both channels; its exit status must be ``status``."""
        begun = time.monotonic()
        self._line.sendall(f"bash -c {shlex.quote(script)} </dev/null 2>&1; printf '\\036%d\\036' $?\n".encode())
        said, found = self._read(limit), self._read(limit)
        print(f"{time.monotonic() - begun:6.1f} s  {script[-160:]}")  # shown when the test fails
        assert int(found) == status, f"{script}: status {found}\n{said}"
        return said

    def run(self, *words: str, status: int = 0) -> str:
        """The same of tinycloud."""
        python, source = shlex.quote(sys.executable), shlex.quote(str(ROOT / "src"))
        return self.sh(f"cd {shlex.quote(str(ROOT))} && PYTHONPATH={source} {python} -m tinycloud {shlex.join(words)}", status=status)

    def _read(self, limit: float) -> str:
        """Up to the next mark."""
        heard, end = b"", time.monotonic() + limit
        while not heard.endswith(_END):
            self._line.settimeout(max(0.1, end - time.monotonic()))
            try:
                piece = self._line.recv(1)
            except TimeoutError:
                piece = b""
            assert piece, (
                f"no answer; heard {heard.decode(errors='replace')!r}; its console:\n{self._log.read_text(errors='replace')[-3000:]}"
            )
            heard += piece
        return heard[:-1].decode(errors="replace")


@contextmanager
def a_full_host(lab_host: LabHost, *, disk: int) -> Iterator[FullHost]:
    """A host with an empty disk ``/dev/vda`` of ``disk`` MiB, that is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tc-full-"))  # short, for the socket's name
    kernel, version = _find_kernel()
    _make_initrd(version, folder)
    with (folder / "disk").open("wb") as file:
        file.truncate(disk * _MIB)
    log = folder / "console.log"
    guest = subprocess.Popen(
        lab_host.make_argv(_make_command(folder, kernel), folder="/"), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with _connect(folder / "line", guest) as line:
            host = FullHost(line, log)
            host.sh("until virsh -q -c qemu:///system uri; do sleep 0.2; done")
            yield host
    finally:
        os.killpg(guest.pid, signal.SIGKILL)  # with QEMU, which is a child of the one who entered the lab host
        guest.wait()
        shutil.rmtree(folder)


def _find_kernel() -> tuple[Path, str]:
    """The newest kernel of the distribution that knows device-mapper, and its version."""
    for path in sorted(Path("/boot").glob("vmlinuz-*"), reverse=True):
        version = path.name.removeprefix("vmlinuz-")
        if any(Path("/lib/modules", version).rglob("dm-mod.ko*")):
            return path, version
    raise AssertionError("no kernel with device-mapper in /boot: apt-get install linux-image-amd64")


def _make_initrd(version: str, folder: Path) -> None:
    tree = folder / "early"
    (tree / "modules").mkdir(parents=True)
    (tree / "bin").mkdir()
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    shutil.copy(_SCRIPTS / "early.sh", tree / "init")
    (tree / "init").chmod(0o755)
    (tree / "next").write_text(str(_SCRIPTS / "init.sh"))
    names = [_copy_module(path, tree / "modules") for path in _list_modules(version)]
    (tree / "modules/order").write_text("\n".join(names))
    make_initrd(tree, folder / "initrd")


def _list_modules(version: str) -> list[Path]:
    """The files of the early modules with all they depend on, in the order in which they are loaded."""
    argv = ["modprobe", "--dry-run", "--set-version", version, "--show-depends", "--all", *_EARLY_MODULES]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return list(dict.fromkeys(Path(line.split()[1]) for line in lines if line.startswith("insmod ")))


def _copy_module(path: Path, into: Path) -> str:
    name = path.name.partition(".ko")[0] + ".ko"
    match path.suffix:
        case ".xz":
            body = lzma.decompress(path.read_bytes())
        case ".zst":
            body = subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout
        case _:
            body = path.read_bytes()
    (into / name).write_bytes(body)
    return name


def _make_command(folder: Path, kernel: Path) -> list[str]:
    words = "-machine q35 -accel tcg -cpu max -smp 2 -m 1536 -nodefaults -display none -no-reboot"
    devices = (
        ("-serial", f"file:{folder}/console.log"),
        ("-fsdev", "local,id=files,path=/,security_model=none,readonly=on,multidevs=remap"),
        ("-device", "virtio-9p-pci,fsdev=files,mount_tag=files"),
        ("-drive", f"file={folder}/disk,if=virtio,format=raw,cache=unsafe"),
        ("-device", "virtio-serial-pci"),
        ("-chardev", f"socket,id=line,path={folder}/line,server=on,wait=off"),
        ("-device", "virtserialport,chardev=line,name=line"),
    )
    boot = ["-kernel", str(kernel), "-initrd", f"{folder}/initrd", "-append", _OPTIONS]
    return ["qemu-system-x86_64", *words.split(), *boot, *(word for pair in devices for word in pair)]


def _connect(path: Path, guest: subprocess.Popen[bytes]) -> socket.socket:
    line, end = socket.socket(socket.AF_UNIX), time.monotonic() + 60
    while True:
        try:
            line.connect(str(path))
            return line
        except (FileNotFoundError, ConnectionRefusedError):
            assert guest.poll() is None, "the guest with a whole kernel has ended"
            assert time.monotonic() < end, "the guest with a whole kernel does not open its line"
            time.sleep(0.05)
