"""Labs: opening, finding, entering and removing them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Clash, Failed, Missing, NotFound, make_did_you_mean
from tinycloud.lab import config, processes
from tinycloud.model.names import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path("/var/lib/tinycloud-labs")  # not below /var/lib/tinycloud, which every host sees its own of
INSIDE = "TINYCLOUD_INSIDE"
"""Environment variable that is set, to ``LAB/HOST``, for everything that runs inside a lab host."""

_OPEN_LIMIT = 30.0
_NET = "198.18.0"  # RFC 2544: the range set aside for test networks; it exists in the lab's namespaces only


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host of a lab."""

    lab: str
    number: int

    @property
    def name(self) -> str:
        return f"h{self.number}"

    @property
    def address(self) -> str:
        return f"{_NET}.{self.number}"

    @property
    def namespace(self) -> str:
        return f"tc-{self.lab}-{self.name}"

    @property
    def folder(self) -> Path:
        return FOLDER / self.lab / self.name

    @property
    def running(self) -> bool:
        return processes.find_init(self.namespace) is not None

    def make_argv(self, argv: Sequence[str], folder: str | None = None) -> list[str]:
        """The command that runs ``argv`` inside this host, in ``folder`` (default: the current one).

        Raises Failed when the host is not running.
        """
        pid = processes.find_init(self.namespace)
        if pid is None:
            raise Failed(f"lab host {self.lab}/{self.name} is not running", hint=f"tinycloud lab down --name {self.lab}")
        where = f"--wd={folder or os.getcwd()}"
        return ["nsenter", "-t", str(pid), "-m", "-n", "-u", "-p", where, "env", f"{INSIDE}={self.lab}/{self.name}", *argv]


@dataclass(frozen=True, slots=True)
class Lab:
    """A set of hosts on one switch."""

    name: str
    count: int
    ready: bool

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def switch(self) -> str:
        return f"tc-{self.name}"

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        return tuple(LabHost(self.name, number) for number in range(1, self.count + 1))

    def get_host(self, name: str = "h1") -> LabHost:
        """The host called ``name``; raises NotFound."""
        for host in self.hosts:
            if host.name == name:
                return host
        known = [host.name for host in self.hosts]
        raise NotFound(f'lab {self.name} has no host "{name}"', facts=[f"hosts: {', '.join(known)}"])

    def close(self) -> None:
        """End every process, namespace and file of the lab. Safe to repeat; works on a half-made lab."""
        for namespace in [*self._namespaces(), self.switch]:
            processes.kill_all(namespace)
            if (processes.NETNS / namespace).exists():
                LocalShell().run(["ip", "netns", "del", namespace])
        shutil.rmtree(self.folder, ignore_errors=False) if self.folder.exists() else None

    def _namespaces(self) -> list[str]:
        names = {host.namespace for host in self.hosts}
        if processes.NETNS.exists():
            names |= {path.name for path in processes.NETNS.glob(f"tc-{self.name}-h[0-9]*")}
        return sorted(names)


def list_labs() -> list[Lab]:
    """Every lab on this machine, half-made ones included."""
    return [_load(folder) for folder in sorted(FOLDER.glob("*")) if folder.is_dir()]


def _load(folder: Path) -> Lab:
    try:
        facts = json.loads((folder / "lab.json").read_text())
    except (FileNotFoundError, ValueError):
        facts = {}
    return Lab(folder.name, int(facts.get("hosts", 1)), bool(facts.get("ready", False)))


def find_lab(name: str) -> Lab | None:
    return next((lab for lab in list_labs() if lab.name == name), None)


def get_lab(name: str) -> Lab:
    """The lab called ``name``; raises NotFound with the nearest name."""
    lab = find_lab(name)
    if lab is None:
        known = [other.name for other in list_labs()]
        hint = make_did_you_mean(name, known) or "tinycloud lab up"
        raise NotFound(f'there is no lab "{name}"', facts=[f"labs: {', '.join(known) or 'none'}"], hint=hint)
    return lab


def open_lab(name: str = "lab", hosts: int = 1) -> Lab:
    """Open a lab of 1 to 200 hosts and wait until libvirt answers on each.

    A lab that is open with as many hosts is returned as it is. Raises Clash when it has another number of hosts or is half
    made, Missing without root or libvirtd, Failed (with the host's own log) when a host does not come up; then nothing is left.
    """
    check_name(name)
    _check_possible()
    found = find_lab(name)
    if found is not None:
        if found.ready and found.count == hosts and all(host.running for host in found.hosts):
            return found
        why = f"has {found.count} hosts" if found.ready else "is half made"
        raise Clash(f'lab "{name}" exists and {why}', hint=f"tinycloud lab down --name {name}")
    lab = Lab(name, hosts, ready=True)
    try:
        _make(lab)
    except BaseException:
        lab.close()
        raise
    return lab


def _check_possible() -> None:
    if os.geteuid() != 0:
        raise Missing("a lab needs root", hint="sudo tinycloud lab up")
    for tool, package in (("libvirtd", "libvirt-daemon-system"), ("virtlogd", "libvirt-daemon-system"), ("nsenter", "util-linux")):
        if not shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise Missing(f"{tool} is not installed", hint=f"apt-get install {package}")


def _note(lab: Lab, *, ready: bool) -> None:
    lab.folder.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o755)
    (lab.folder / "lab.json").write_text(json.dumps({"hosts": lab.count, "ready": ready}))


def _make(lab: Lab) -> None:
    shell = LocalShell()
    _note(lab, ready=False)
    key = lab.folder / "key"
    config.make_key(shell, key)
    keys = {h.name: (h.address, config.write_host(shell, h.folder, h.name, h.address, key)) for h in lab.hosts}
    config.write_names([host.folder for host in lab.hosts], keys)
    _make_switch(shell, lab)
    for host in lab.hosts:
        _start(host)
    end = time.monotonic() + _OPEN_LIMIT
    for host in lab.hosts:
        _wait_for(host, end)
    _note(lab, ready=True)


def _make_switch(shell: LocalShell, lab: Lab) -> None:
    shell.run(["ip", "netns", "add", lab.switch])
    lines = ["link set lo up", "link add lan type bridge", "link set lan up"]
    for host in lab.hosts:
        shell.run(["ip", "netns", "add", host.namespace])
        lines += [
            f"link add {host.name} type veth peer name eth0 netns {host.namespace}",
            f"link set {host.name} master lan up",
        ]
    shell.run(["ip", "-n", lab.switch, "-b", "-"], input="\n".join(lines).encode())
    for host in lab.hosts:
        wires = f"addr add {host.address}/24 dev eth0\nlink set eth0 up\nlink set lo up\nroute add default dev eth0\n"
        shell.run(["ip", "-n", host.namespace, "-b", "-"], input=wires.encode())


def _start(host: LabHost) -> None:
    """Start the host's process 1, detached: it outlives us."""
    script = str(Path(__file__).with_name("host_init.py"))
    argv = ["setsid", "--fork", "nsenter", f"--net={processes.NETNS / host.namespace}"]
    argv += ["unshare", "-m", "-u", "-p", "--fork", "--propagation", "private", sys.executable, "-I", "-S", script, str(host.folder)]
    with (host.folder / "init.log").open("wb") as log:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=True)


def _wait_for(host: LabHost, end: float) -> None:
    while not _answers(host):
        if (host.folder / "failed").exists() or time.monotonic() > end:
            said = (host.folder / "init.log").read_text(errors="replace").strip().splitlines()[-8:]
            raise Failed(f"lab host {host.lab}/{host.name} does not come up", facts=said)
        time.sleep(0.05)


def _answers(host: LabHost) -> bool:
    if not (host.folder / "started").exists():
        return False
    argv = host.make_argv(["virsh", "-q", "-c", "qemu:///system", "uri"], folder="/")
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
