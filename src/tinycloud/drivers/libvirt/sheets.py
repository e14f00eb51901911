"""The files that the dnsmasq of a libvirt network reads beside libvirt's own (see ``model/sheet.py``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.onhost import run_script
from tinycloud.model.sheet import (
    FOLDER,
    NAMES,
    OPTIONS,
    PENDING,
    RESERVATIONS,
    Sheet,
    make_names_path,
    make_options_path,
    make_reservations_path,
    parse_sheets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.drivers.shell import Runner
    from tinycloud.model.machine import Lease

QUESTION: Final = ["grep", "-rsH", *(f"--include=*{end}" for end in (NAMES, OPTIONS, RESERVATIONS)), "", FOLDER]
_PIDS: Final = "/run/libvirt/network"


class Sheets:
    """Those of one host."""

    def __init__(self, shell: Runner) -> None:
        self._shell = shell

    def read_all(self) -> dict[str, Sheet]:
        return parse_sheets(self._shell.run(QUESTION, check=False).text)

    def write(self, name: str, sheet: Sheet, restart: Callable[[], None] | None) -> None:
        """Names and reservations are read anew at once; options when dnsmasq starts: ``restart`` does that, None where it does not run.

        Until then they are marked, so that who is killed in between is not believed.
        """
        present = self.read_all().get(name, Sheet())
        if restart is None or present.options == sheet.options:
            self._put(name, sheet)
            return
        self._put(name, replace(sheet, options=(PENDING, *sheet.options)))
        restart()
        self._put(name, sheet)

    def _put(self, name: str, sheet: Sheet) -> None:
        texts = (sheet.names_text, sheet.options_text, sheet.reservations_text)
        files = dict(zip(_list_paths(name), texts, strict=True))
        run_script(self._shell, "sheet", {"files": files, "pid_file": f"{_PIDS}/{name}.pid"}, root=True)

    def release(self, bridge: str, leases: Sequence[Lease]) -> list[str]:
        """Have the dnsmasq of a bridge forget leases; the addresses that it keeps all the same."""
        rows = [[lease.mac, lease.address] for lease in leases]
        args = {"bridge": bridge, "leases": rows, "status": f"{FOLDER}/{bridge}.status"}
        return list(run_script(self._shell, "release", args, root=True)["kept"])

    def remove(self, name: str) -> None:
        self._shell.run(["rm", "-f", *_list_paths(name)], root=True)


def _list_paths(name: str) -> tuple[str, str, str]:
    return make_names_path(name), make_options_path(name), make_reservations_path(name)
