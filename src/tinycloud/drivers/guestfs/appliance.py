"""libguestfs' appliance: a small machine of its own that has the disks, so that the host never mounts what it does not trust."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.guestfs.fish import Fish
from tinycloud.drivers.inspect import LIMITS
from tinycloud.errors import Missing, Refused, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from tinycloud.drivers.shell import Shell

LAUNCH: Final = 600.0
"""Seconds to start it. The first start on a host builds it, from the host's own packages."""
MOST: Final = 200
"""Disks of one appliance; its bus takes 255."""
_LIMIT: Final = 4 * 3600
_MEMORY: Final = 512
_MEMORY_FOR_PACKAGES: Final = 1280


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk file on the host; its format is told, never guessed."""

    path: str
    format: str
    readonly: bool = False


class Appliance:
    """A launched appliance; a context manager. Its devices are ``/dev/sda``, ``/dev/sdb`` … in the order of the drives."""

    def __init__(self, shell: Shell, drives: Sequence[Drive], *, network: bool = False) -> None:
        if len(drives) > MOST:
            raise Refused(f"{len(drives)} disks at once; one appliance takes {MOST}")
        self._shell = shell
        self._drives = tuple(drives)
        self._network = network

    def __enter__(self) -> Self:
        self._shell.run(["guestfish", "--version"])  # raises Missing with the package
        self.fish = Fish(self._shell, make_argv(has_kvm=find_kvm(self._shell)), root=True)
        try:
            self._launch()
        except BaseException:
            self.fish.close()
            raise
        return self

    def _launch(self) -> None:
        adds = [_make_add(drive) for drive in self._drives]
        # autosync waits for udev once more for each disk, a process a disk, and whatever goes through a file system does not need it.
        memory = _MEMORY_FOR_PACKAGES if self._network else _MEMORY
        settings = [("set-memsize", str(memory)), ("set-network", str(self._network).lower()), ("set-autosync", "false")]
        self.fish.ask_all([*settings, *adds])
        try:
            self.fish.ask("launch", limit=LAUNCH)
        except ToolFailed as err:
            if "supermin" in str(err) or "kernel" in str(err):
                raise Missing("libguestfs finds no kernel to start", facts=[err.message], hint="apt-get install linux-image-amd64") from err
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            # Unmounting writes what a file system holds back, and QEMU writes what it holds back before it ends.
            try:
                self.fish.ask_all([("umount-all",), ("shutdown",)], limit=600)
            finally:
                self.fish.close()
        else:
            self.fish.close()

    def get_size(self, number: int) -> int:
        """Bytes that a guest sees of the drive with that number, asked of its file: the appliance would need ten times as long."""
        drive = self._drives[number]
        argv = [*LIMITS, "--cpu=20", "--fsize=0", "--", "qemu-img", "info", "-U", "-f", drive.format, "--output=json", drive.path]
        return int(json.loads(self._shell.run(argv, root=True, limit=60).text)["virtual-size"])

    def get_device(self, number: int) -> str:
        """The device of the drive with that number, from 0."""
        return f"/dev/sd{_letters(number)}"


def make_argv(*, has_kvm: bool) -> list[str]:
    """guestfish with the back end that needs no libvirtd, and without KVM where that would hang."""
    return ["timeout", "--foreground", "-k", "5", str(_LIMIT), "env", *make_env(has_kvm=has_kvm), "guestfish"]


def make_env(*, has_kvm: bool) -> list[str]:
    """How libguestfs starts its machine, as assignments: for its other tools too."""
    return ["LIBGUESTFS_BACKEND=direct", *([] if has_kvm else ["LIBGUESTFS_BACKEND_SETTINGS=force_tcg"])]


def find_kvm(shell: Shell) -> bool:
    """True where KVM works: the device is there and the processor shows what it needs; one without the other hangs."""
    test = r"test -w /dev/kvm && grep -qwE '^flags.*\b(vmx|svm)\b' /proc/cpuinfo"
    return shell.run(["sh", "-c", test], root=True, check=False).status == 0


def _make_add(drive: Drive) -> tuple[str, ...]:
    options = [f"format:{drive.format}", *(["readonly:true"] if drive.readonly else ["discard:besteffort"])]
    return ("add-drive", drive.path, *options)


def _letters(number: int) -> str:
    """a … z, aa … as the kernel counts disks."""
    text = chr(ord("a") + number % 26)
    return text if number < 26 else _letters(number // 26 - 1) + text
