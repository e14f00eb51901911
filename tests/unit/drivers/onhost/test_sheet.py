"""The script that writes what a network's dnsmasq reads, run as a host runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.onhost import run_script
from tinycloud.drivers.shell import LocalShell

if TYPE_CHECKING:
    from pathlib import Path


def write(files: dict[str, str | None], folder: Path) -> list[str]:
    args = {"files": files, "pid_file": str(folder / "no.pid")}
    return list(run_script(LocalShell(), "sheet", args)["changed"])


def test_a_host_that_never_had_a_network_has_no_folder_for_it_yet(tmp_path: Path) -> None:
    path = tmp_path / "libvirt" / "dnsmasq" / "shop-front.names"
    assert write({str(path): "10.0.0.2 web-1\n"}, tmp_path) == [str(path)]
    assert path.read_text() == "10.0.0.2 web-1\n"
    assert [it.name for it in path.parent.iterdir()] == [path.name]


def test_what_is_as_it_should_be_is_left_and_what_should_go_goes(tmp_path: Path) -> None:
    path = tmp_path / "names"
    assert write({str(path): "a"}, tmp_path) == [str(path)]
    assert write({str(path): "a"}, tmp_path) == []
    assert write({str(path): None}, tmp_path) == [str(path)]
    assert write({str(path): None}, tmp_path) == []
    assert not path.exists()
