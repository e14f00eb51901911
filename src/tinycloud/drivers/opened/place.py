"""The pieces of one opened disk on a host: its processes, its mounts, its loop devices, its folder."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tinycloud.errors import Failed, InUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.shell import Shell

_STARTS = 600.0  # seconds; an appliance under emulation on a busy machine takes more than a minute
_OCTAL = re.compile(r"\\([0-7]{3})")


class Place:
    """Finds the pieces by ``folder``, a path that no other process has in its command line. Everything may be repeated."""

    def __init__(self, shell: Shell, folder: str) -> None:
        self._shell = shell
        self.folder = folder

    # processes

    def start(self, argv: Sequence[str], env: Sequence[str] = ()) -> list[str]:
        """Run a tool that puts itself into the background when it is ready; its last words when it fails, empty when it did not.

        Its output goes to a file: a daemon that kept our pipe open would have us wait for its end.
        """
        log = f"{self.folder}/log"
        words = ["env", *env, "sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, *argv]
        done = self._shell.run(words, root=True, limit=_STARTS, check=False)
        if done.status == 0:
            return []
        said = self._shell.run(["tail", "-n", "40", log], root=True, check=False).text.splitlines()
        return [line for line in said if line.strip()] or [f"{argv[0]} ended with status {done.status}"]

    def list_processes(self) -> list[int]:
        """The numbers of all processes that belong here."""
        lines = self._shell.run(["ps", "-ww", "-eo", "pid=,args="], root=True).text.splitlines()
        pairs = (line.split(None, 1) for line in lines)
        return [int(pair[0]) for pair in pairs if len(pair) == 2 and self.folder in pair[1]]

    def wait_ended(self, limit: float) -> bool:
        """True when no process is left within ``limit`` seconds."""
        end = time.monotonic() + limit
        while self.list_processes():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def end_processes(self, patience: float) -> None:
        """Ask the processes to end, which has them write what they hold; after ``patience`` seconds end them. Raises Failed."""
        for signal, limit in (("TERM", patience), ("KILL", 10.0)):
            numbers = self.list_processes()
            if not numbers:
                return
            self._shell.run(["kill", f"-{signal}", *map(str, numbers)], root=True, check=False)
            if self.wait_ended(limit):
                return
        raise Failed(f"processes {self.list_processes()} do not end", facts=[f"their folder: {self.folder}"])

    # mounts and loop devices

    def list_mounts(self) -> dict[str, tuple[str, str]]:
        """Mount point → (kind, source) of everything mounted on the host; of several at one place, the topmost."""
        out = {}
        for line in self._shell.run(["cat", "/proc/self/mountinfo"]).text.splitlines():
            left, _, right = line.partition(" - ")
            kind, source = right.split(" ")[:2]
            out[_unescape(left.split(" ")[4])] = (kind, _unescape(source))
        return out

    def unmount(self, where: str) -> None:
        """Unmount what is mounted at ``where``. Raises InUse while a process works there."""
        done = self._shell.run(["umount", where], root=True, check=False, limit=300)
        if done.status != 0 and where in self.list_mounts():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise InUse(
                f"{where} cannot be unmounted", facts=said, hint=f"leave the folder, close its files, then: tinycloud image unmount {where}"
            )

    def list_loops(self) -> list[str]:
        """The loop devices on files of this place."""
        lines = self._shell.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], root=True).text.splitlines()
        pairs = (line.split(None, 1) for line in lines)
        return [pair[0] for pair in pairs if len(pair) == 2 and pair[1].startswith(f"{self.folder}/")]

    # the folder

    def make_folder(self) -> None:
        self._shell.run(["mkdir", "-p", "-m", "0700", self.folder])

    def remove_folder(self) -> None:
        self._shell.run(["rm", "-rf", "--one-file-system", self.folder], root=True)


def _unescape(text: str) -> str:
    """A path as the kernel writes it there: blanks and backslashes as octal numbers."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
