"""The files that the dnsmasq of a libvirt network reads beside libvirt's own (see ``model/sheet.py``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tinycloud.drivers.onhost import run_script
from tinycloud.model.sheet import FOLDER, NAMES, OPTIONS, PENDING, Sheet, make_names_path, make_options_path, parse_sheets

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.shell import Runner

QUESTION: Final = ["grep", "-rsH", f"--include=*{NAMES}", f"--include=*{OPTIONS}", "", FOLDER]
_PIDS: Final = "/run/libvirt/network"


class Sheets:
    """Those of one host."""

    def __init__(self, shell: Runner) -> None:
        self._shell = shell

    def read_all(self) -> dict[str, Sheet]:
        return parse_sheets(self._shell.run(QUESTION, check=False).text)

    def write(self, name: str, sheet: Sheet, restart: Callable[[], None] | None) -> None:
        """Names are read anew at once. Options are read when dnsmasq starts: ``restart`` does that, None where it does not run.

        Until then they are marked, so that who is killed in between is not believed.
        """
        present = self.read_all().get(name, Sheet())
        if restart is None or present.options == sheet.options:
            self._put(name, sheet)
            return
        self._put(name, replace(sheet, options=(PENDING, *sheet.options)))
        restart()
        self._put(name, sheet)

    def _put(self, name: str, sheet: Sheet | None) -> None:
        texts = (sheet.names_text, sheet.options_text) if sheet else (None, None)
        files = dict(zip((make_names_path(name), make_options_path(name)), texts, strict=True))
        run_script(self._shell, "sheet", {"files": files, "pid_file": f"{_PIDS}/{name}.pid", "reload": sheet is not None}, root=True)

    def remove(self, name: str) -> None:
        self._shell.run(["rm", "-f", make_names_path(name), make_options_path(name)], root=True)
