"""Every test here gets a ``host``: once the fake one, once (marked live) libvirt in a lab host, where its body then runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.things import clean
from tests.live.inside import a_lab, run_inside
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.libvirt.host import LibvirtHost
from tinycloud.drivers.shell import LocalShell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tinycloud.drivers.host import Host
    from tinycloud.lab import LabHost


@pytest.fixture(scope="session")
def lab_host() -> Iterator[LabHost]:
    with a_lab("contract") as lab:
        yield lab.hosts[0]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.live)])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "fake":
        yield FakeHost(tmp_path)
        return
    real = LibvirtHost("local", "qemu:///system", LocalShell(), tmp_path)  # opened on first use: inside
    yield real
    run_inside(request.getfixturevalue("lab_host"), lambda: clean(real))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """The body of a test of the real host runs inside the lab."""
    if not isinstance(pyfuncitem.funcargs.get("host"), LibvirtHost):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    lab_host = pyfuncitem._request.getfixturevalue("lab_host")
    run_inside(lab_host, lambda: pyfuncitem.obj(**arguments))
    return True
