"""Is a server fit to be a host of this cloud? Everything is asked of the server itself, and everything that is found is said at once."""

from __future__ import annotations

import re
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tinycloud.engine.finding import Finding
from tinycloud.engine.host_streams import check_streams
from tinycloud.engine.room import find_pool
from tinycloud.engine.steps.pool import PATH
from tinycloud.errors import TinycloudError
from tinycloud.model.names import POOL
from tinycloud.model.units import Bytes
from tinycloud.templates.objects import render_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import HostIdentity, HostRecord

TOOLS: Final = {
    "python3": "python3",
    "qemu-img": "qemu-utils",
    "libvirtd": "libvirt-daemon-system",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "nft": "nftables",
    "pgrep": "procps",
}
_HYPERVISORS: Final = ("x86_64", "aarch64", "ppc64", "s390x")
_CLOCK: Final = (2.0, 60.0)
"""Seconds by which clocks may differ before it is noted, and before it is a problem: leases and certificates have times."""
_PORTS: Final = range(49152, 49216)
"""Where QEMU listens for a machine that comes over from another host (migration_port_min, _max of libvirt's qemu.conf)."""

_LOOK: Final = """\
for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || echo "missing $tool"; done
echo "clock $(date +%s.%N)"
echo "ssh $SSH_CONNECTION"
[ ! -d /run/systemd/system ] || echo systemd
"""


@dataclass
class Look:
    """A server that is looked at, beside the hosts that there are already."""

    host: Host
    others: Mapping[str, Host]
    address: str = ""
    """What the others reach it by; found when it is empty."""
    client: str = ""
    """Our own address, as the server sees it."""
    port: int = 22
    missing: list[str] = field(default_factory=list)
    has_systemd: bool = False
    ahead: float = 0.0
    """Seconds by which its clock is ahead of ours."""
    facts: HostRecord | None = None
    identity: HostIdentity | None = None

    def examine(self) -> list[Finding]:
        """All findings. Raises Unreachable when ssh does not get there: then nothing can be said."""
        self._ask()
        return [finding for check in _CHECKS for finding in _try(check, self)]

    def _ask(self) -> None:
        """What one call of the shell can tell."""
        began = time.time()
        tools = [*TOOLS, *(f"qemu-system-{arch}" for arch in _HYPERVISORS)]
        done = self.host.shell.run(["sh", "-c", _LOOK, "sh", *tools])
        middle = (began + time.time()) / 2
        for line in done.text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "missing":
                self.missing.append(rest)
            elif word == "clock" and rest.replace(".", "").isdigit():
                self.ahead = float(rest) - middle
            elif word == "ssh" and len(rest.split()) == 4:
                self.client, _, server, port = rest.split()
                self.address, self.port = self.address or _outer(server), int(port)
            elif word == "systemd":
                self.has_systemd = True
        if not self.host.entry.target:
            self.address = self.address or _find_own(self.others.values())


def _find_own(others: Iterable[Host]) -> str:
    """The address of this machine, as the first other host that answers sees it."""
    for other in others:
        with suppress(TinycloudError):
            words = other.shell.run(["sh", "-c", 'echo "$SSH_CONNECTION"'], limit=10).text.split()
            if len(words) == 4 and _outer(words[0]):
                return words[0]
    return ""


def _outer(address: str) -> str:
    """An address that others can use: not that of a loopback or of one wire alone."""
    return "" if address.startswith(("127.", "::1", "fe80:")) else address


def _try(check: Callable[[Look], Iterator[Finding]], look: Look) -> list[Finding]:
    try:
        return list(check(look))
    except TinycloudError as err:
        return [Finding(check.__name__.removeprefix("check_"), "problem", "; ".join([err.message, *err.facts[:2]]))]


def check_packages(look: Look) -> Iterator[Finding]:
    missing = {tool: TOOLS[tool] for tool in look.missing if tool in TOOLS}
    if "libvirtd" in missing and _has_parts(look):
        del missing["libvirtd"]
    if all(f"qemu-system-{arch}" in look.missing for arch in _HYPERVISORS):
        missing["qemu-system"] = "qemu-system-x86"
    if missing:
        fix = ("apt-get", "install", "-y", *sorted(set(missing.values())))
        yield Finding("packages", "problem", f"not installed: {', '.join(sorted(missing))}", fix)
    else:
        yield Finding("packages", "ok", "all that is needed is installed")


def _has_parts(look: Look) -> bool:
    """True where libvirt is several daemons instead of one."""
    return look.host.shell.run(["sh", "-c", "command -v virtqemud"], check=False).status == 0


def check_libvirt(look: Look) -> Iterator[Finding]:
    try:
        look.facts, look.identity = look.host.read_facts(), look.host.read_identity()
    except TinycloudError as err:
        tls = "+tls://" in look.host.uri  # with which it does not even start without certificates: nothing to be tried by itself
        text = "; ".join([err.message, *err.facts[:2], *([err.hint] if tls else [])])
        fix = ("systemctl", "enable", "--now", "libvirtd") if look.has_systemd and "no right" not in text and not tls else ()
        yield Finding("libvirt", "problem", text, fix)
        return
    words = f"{look.identity.libvirt}, QEMU {look.identity.hypervisor or '?'}"
    yield Finding("libvirt", "ok", f"answers; {words}; {', '.join(look.facts.hypervisors) or 'no hypervisor'} on {look.facts.arch}")


def check_same(look: Look) -> Iterator[Finding]:
    """One machine under two names would have its memory counted twice."""
    if look.identity is None:
        return
    for name, other in look.others.items():
        try:
            same = other.read_identity().uuid == look.identity.uuid
        except TinycloudError:  # one that does not answer cannot be compared; the doctor says so of it
            continue
        if same:
            yield Finding("same", "problem", f'it is the same machine as the host "{name}": both have libvirt\'s UUID {look.identity.uuid}')


def check_versions(look: Look) -> Iterator[Finding]:
    """A machine can move to the same or a newer QEMU, not to an older one."""
    if look.identity is None:
        return
    for name, other in look.others.items():
        try:
            theirs = other.read_identity()
        except TinycloudError:
            continue
        if theirs.hypervisor != look.identity.hypervisor:
            older = min((theirs.hypervisor, name), (look.identity.hypervisor, look.host.name), key=lambda it: _parse_version(it[0]))
            text = f"QEMU {look.identity.hypervisor} here, {theirs.hypervisor} on {name}: machines may not be able to move to {older[1]}"
            yield Finding("versions", "note", text)


def _parse_version(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(".") if word.isdigit())


def check_processor(look: Look) -> Iterator[Finding]:
    if look.facts is None or look.identity is None:
        return
    kind = f"{look.identity.cpu_name or 'unknown model'}, {look.facts.cpus} of them, {Bytes(look.facts.memory)}"
    if "kvm" in look.facts.hypervisors:
        yield Finding("processor", "ok", kind)
    else:
        yield Finding("processor", "note", f"{kind}; no KVM: machines run by emulation (5 to 20 times slower)")


def check_root(look: Look) -> Iterator[Finding]:
    """Disks, firewall and serial logs need root."""
    look.host.shell.run(["true"], root=True)
    yield Finding("rights", "ok", "root, or sudo without a password")


def check_firewall(look: Look) -> Iterator[Finding]:
    if "nft" not in look.missing:
        look.host.shell.run(["nft", "list", "tables"], root=True)
        yield Finding("firewall", "ok", "nftables work")


def check_clock(look: Look) -> Iterator[Finding]:
    off = abs(look.ahead)
    state = "ok" if off < _CLOCK[0] else "note" if off < _CLOCK[1] else "problem"
    fix = ("timedatectl", "set-ntp", "true") if state != "ok" and look.has_systemd else ()
    yield Finding("clock", state, f"{off:.1f} s {'ahead of' if look.ahead > 0 else 'behind'} ours", fix)


def check_pool(look: Look) -> Iterator[Finding]:
    if look.facts is None:
        return
    pool = find_pool(look.host)
    if pool is None:
        yield Finding("pool", "note", f"not made yet: the first image or machine there makes it, in {PATH}", ("tinycloud", "pool"))
    else:
        yield Finding("pool", "ok", f"{Bytes(pool.free)} free of {Bytes(pool.capacity)} in {pool.path}")


def check_ports(look: Look) -> Iterator[Finding]:
    if "ip" in look.missing:
        return
    said = look.host.shell.run(["ss", "-H", "-l", "-n", "-t"]).text
    used = {int(port) for port in re.findall(r":(\d+) ", said)} & set(_PORTS)
    if used:
        text = f"in use, of those for machines that come from other hosts: {', '.join(map(str, sorted(used)))}"
        yield Finding("ports", "note", text)
    else:
        yield Finding("ports", "ok", f"{_PORTS[0]} to {_PORTS[-1]} are free for machines that come from other hosts")


def _find_sshd(look: Look) -> tuple[str, int]:
    """Where the host's sshd surely listens: there we are connected to it. The other hosts may know the host by another address."""
    words = look.host.shell.run(["printenv", "SSH_CONNECTION"], check=False).text.split()
    return (words[2], int(words[3])) if len(words) == 4 else (look.address, look.port)


def check_guests(look: Look) -> Iterator[Finding]:
    """ssh and cp to its guests go through its sshd, which must lead connections on."""
    if not look.host.shell.jump or not look.address:
        return
    if look.host.shell.hear(*_find_sshd(look), limit=2.0).startswith(b"SSH-"):
        yield Finding("guests", "ok", "sshd leads connections on to machines")
    else:
        text = "sshd does not lead connections on: ssh, cp and exec to machines there would fail (AllowTcpForwarding in sshd_config)"
        yield Finding("guests", "problem", text)


def check_address(look: Look) -> Iterator[Finding]:
    """LANs over hosts and migration go from host to host."""
    if not look.address:
        yield Finding("address", "note", "no address is known that other hosts reach it by: say it with --address")
        return
    deaf = [name for name, other in look.others.items() if not _reaches(other, look.address)]
    if deaf:
        text = f"{look.address} does not answer {', '.join(deaf)}: LANs over hosts and migration need it; --address says another"
        yield Finding("address", "note", text)
    else:
        yield Finding("address", "ok", f"{look.address}" + (f", reached from {', '.join(look.others)}" if look.others else ""))


def _reaches(other: Host, address: str) -> bool:
    try:
        return other.shell.run(["ping", "-c", "1", "-W", "2", address], check=False, limit=10).status == 0
    except TinycloudError:  # one that does not answer now is no reason against the address
        return True


_CHECKS: Final = (
    check_packages,
    check_libvirt,
    check_same,
    check_versions,
    check_processor,
    check_root,
    check_firewall,
    check_clock,
    check_pool,
    check_ports,
    check_guests,
    check_address,
    check_streams,
)


def mend(look: Look, findings: list[Finding]) -> list[Finding]:
    """Do what the findings say would mend them, and look again; a mend that failed is said beside what it was for."""
    troubles: dict[str, str] = {}
    for finding in findings:
        if finding.state == "ok" or not finding.fix:
            continue
        try:
            if finding.topic == "pool":
                look.host.volumes.ensure_pool(render_pool(POOL, PATH))
            else:
                _run_fix(look, finding)
        except TinycloudError as err:
            troubles[finding.topic] = "; ".join([err.message, *err.facts[:2]])
    again = Look(look.host, look.others, look.address)
    found = again.examine()
    look.__dict__.update(again.__dict__)
    return [
        Finding(it.topic, it.state, f"{it.text}; tried to mend it: {troubles[it.topic]}", it.fix)
        if it.topic in troubles and it.state != "ok"
        else it
        for it in found
    ]


def _run_fix(look: Look, finding: Finding) -> None:
    if finding.fix[0] == "apt-get":
        look.host.shell.run(["apt-get", "update"], root=True, limit=600, check=False)  # where it fails, install says why
        look.host.shell.run(["env", "DEBIAN_FRONTEND=noninteractive", *finding.fix], root=True, limit=1800)
    else:
        look.host.shell.run(list(finding.fix), root=finding.root, limit=120)


def say_fix(host: Host, finding: Finding) -> str:
    """The mend as it is typed here."""
    target = host.entry.target
    if not finding.fix or finding.fix[0] == "tinycloud":
        return f"tinycloud host add {target} --name {host.name} --fix" if target else finding.command
    return shlex.join(["ssh", target, *([] if target.startswith("root@") else ["sudo"]), *finding.fix]) if target else finding.command
