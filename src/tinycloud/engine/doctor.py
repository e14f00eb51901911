"""Is this host able to run machines? One finding a question, each with the exact command that would mend it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tinycloud.engine.ask import ask_all
from tinycloud.engine.doctor_joined import JOINED, check_joined
from tinycloud.engine.doctor_moves import check_copies
from tinycloud.engine.doctor_wall import RULES, check_others, check_rules
from tinycloud.engine.finding import Finding
from tinycloud.engine.host_checks import Look, mend
from tinycloud.engine.inventory import say
from tinycloud.engine.room import find_pool
from tinycloud.engine.steps.pool import PATH
from tinycloud.errors import Missing, TinycloudError
from tinycloud.model.names import DEFAULT_POOL, POOL, make_pool_name
from tinycloud.model.units import Bytes
from tinycloud.plan.space import LEVELS, count_percent
from tinycloud.templates.objects import render_pool

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts

__all__ = ["CHECKS", "Finding", "examine"]

_PATH: Final = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
_TOOLS: Final = {
    "qemu-img": "qemu-utils",
    "virsh": "libvirt-clients",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh": "openssh-client",
}
_LONGEST: Final = 1800.0
"""Seconds for one host: packages may have to be fetched."""
_LEAST_MEMORY: Final = Bytes(1024**3)
_LEAST_DISK: Final = Bytes(5 * 1024**3)


Check = Callable[["Parts"], Iterator[Finding]]


def examine(parts: Parts, *, fix: bool = False, host: str = "") -> list[Finding]:
    """All findings about every host, or one. With ``fix``, each mend is run and the question asked again."""
    if host:
        parts.get_host(host)
    if len(parts.hosts) == 1 and not parts.first_host.entry.target:
        return _examine_here(parts, fix=fix)
    wanted = [it for name, it in parts.hosts.items() if host in ("", name)]
    answers = ask_all(wanted, lambda it: _examine_one(parts, it, fix=fix), alone=False, limit=_LONGEST)
    each = [
        replace(finding, host=it.name, target=it.entry.target)
        for it, found in answers
        for finding in ([Finding("host", "problem", say(found))] if isinstance(found, TinycloudError) else found)
    ]
    return [*each, *check_copies(parts, fix=fix, host=host)]


def _examine_one(parts: Parts, host: Host, *, fix: bool) -> list[Finding]:
    """One of several: this machine as if it were alone, another by what its shell and its libvirt say."""
    alone = replace(parts, made={host.name: host})
    if not host.entry.target:
        return _examine_here(alone, fix=fix)
    look = Look(host, {name: it for name, it in parts.hosts.items() if it is not host}, host.entry.address)
    found = look.examine()
    if fix and any(it.fix and it.state != "ok" for it in found):
        found = mend(look, found)
    if look.facts is None:
        return found
    return [*found, *_examine_here(alone, (check_pools, check_rules, check_joined, check_others), fix=fix)]


def _examine_here(parts: Parts, checks: Iterable[Check] = (), *, fix: bool) -> list[Finding]:
    out: list[Finding] = []
    for check in checks or CHECKS:
        for finding in _ask(check, parts):
            out.append(_mend(parts, check, finding) if fix and finding.fix and finding.state != "ok" else finding)
    return out


def _ask(check: Check, parts: Parts) -> list[Finding]:
    try:
        return list(check(parts))
    except TinycloudError as err:
        return [Finding(check.__name__.removeprefix("check_"), "problem", "; ".join([err.message, *err.facts[:1]]))]


def _mend(parts: Parts, check: Check, finding: Finding) -> Finding:
    try:
        if finding.topic in (RULES, JOINED):
            parts.first_host.firewall.restore()
        elif finding.fix[0] == "tinycloud":
            parts.first_host.volumes.ensure_pool(render_pool(POOL, PATH))
        else:
            shell = parts.first_host.shell if parts.first_host.entry.target else parts.shell
            shell.run(finding.fix, root=finding.root, limit=900)
    except TinycloudError as err:
        return replace(finding, text=f"{finding.text}; tried to mend it: {'; '.join([err.message, *err.facts[:2]])}")
    now = next((again for again in _ask(check, parts) if again.topic == finding.topic), finding)
    return replace(now, text=f"{now.text} (mended)") if now.state == "ok" else now


def check_processor(parts: Parts) -> Iterator[Finding]:
    """vmx or svm is needed for KVM; ept or npt (AMD: rvi) makes it fast."""
    text = Path("/proc/cpuinfo").read_text()
    flags = set(next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), []))
    if not flags & {"vmx", "svm"}:
        yield Finding("processor", "note", "no vmx or svm: no hardware virtualization, machines run by emulation (5 to 20 times slower)")
    elif not flags & {"ept", "npt"}:
        yield Finding("processor", "note", f"{_join(flags & {'vmx', 'svm'})}, but no ept or rvi (npt): memory access in guests is slow")
    else:
        yield Finding("processor", "ok", f"{_join(flags & {'vmx', 'svm'})} and {_join(flags & {'ept', 'npt'})}")


def check_kvm(parts: Parts) -> Iterator[Finding]:
    facts = parts.first_host.read_facts()
    device = Path("/dev/kvm")
    if "kvm" in facts.hypervisors:
        yield Finding("kvm", "ok", "usable")
    elif not device.exists():
        why = "the processor has none" if not facts.features & {"vmx", "svm"} else "the kernel module is not loaded"
        fix: tuple[str, ...] = () if "processor" in why else ("modprobe", "kvm_intel" if "vmx" in facts.features else "kvm_amd")
        yield Finding("kvm", "note", f"/dev/kvm is not there: {why}; emulation is used", fix)
    elif not facts.features & {"vmx", "svm"}:
        yield Finding("kvm", "note", "/dev/kvm is there, but the processor shows neither vmx nor svm: guests would hang; emulation is used")
    else:
        fix = ("systemctl", "restart", "libvirtd") if Path("/run/systemd/system").is_dir() else ()
        yield Finding("kvm", "note", "libvirtd looks for it when it starts, and did not find it; emulation is used", fix)


def check_tools(parts: Parts) -> Iterator[Finding]:
    missing = {tool: package for tool, package in _TOOLS.items() if not shutil.which(tool, path=_PATH)}
    if not any(shutil.which(f"qemu-system-{arch}", path=_PATH) for arch in ("x86_64", "aarch64", "ppc64", "s390x")):
        missing["qemu-system"] = "qemu-system-x86"
    if missing:
        packages = sorted(set(missing.values()))
        yield Finding("packages", "problem", f"not installed: {', '.join(sorted(missing))}", ("apt-get", "install", "-y", *packages))
    else:
        yield Finding("packages", "ok", "all that is needed is installed")


def check_libvirt(parts: Parts) -> Iterator[Finding]:
    """Answers, and lets this user in."""
    if not shutil.which("libvirtd", path=_PATH):
        yield Finding("libvirt", "problem", "libvirtd is not installed", ("apt-get", "install", "-y", "libvirt-daemon-system"))
        return
    try:
        facts = parts.first_host.read_facts()
    except TinycloudError as err:
        text = "; ".join([err.message, *err.facts[:1]])
        if "no right" in err.message:
            user = os.environ.get("USER") or str(os.getuid())
            yield Finding("libvirt", "problem", f"{text}; join the group, then log in anew", ("usermod", "-aG", "libvirt", user))
        else:
            start = ("systemctl", "start", "libvirtd") if Path("/run/systemd/system").exists() else ("sh", "-c", "virtlogd -d; libvirtd -d")
            yield Finding("libvirt", "problem", text, start)
        return
    yield Finding("libvirt", "ok", f"answers; {', '.join(facts.hypervisors) or 'no hypervisor'} on {facts.arch}")


def check_rights(parts: Parts) -> Iterator[Finding]:
    """Serial logs and image building need root; a user needs sudo without a password for them."""
    if os.geteuid() == 0:
        yield Finding("rights", "ok", "root")
        return
    try:
        parts.shell.run(["true"], root=True)
    except Missing as err:
        text = "no root rights through sudo: serial logs cannot be read, debian-12 cannot be built"
        yield Finding("rights", "note", "; ".join([text, *err.facts]))
    else:
        yield Finding("rights", "ok", "sudo works without a password")


def check_pool(parts: Parts) -> Iterator[Finding]:
    pool = find_pool(parts.first_host)
    if pool is None:
        yield Finding(
            "pool", "note", f"not made yet: the first image or up makes it in {PATH}", ("tinycloud", "doctor", "--fix"), root=False
        )
        return
    percent = count_percent(pool.capacity, pool.free)
    text = f"{Bytes(pool.free)} free of {Bytes(pool.capacity)} in {pool.path}"
    if pool.free < _LEAST_DISK:
        yield Finding("pool", "problem", f"only {text}", ("tinycloud", "space"), root=False)
    elif percent >= LEVELS[0]:
        yield Finding("pool", "note", f"{percent} % full: {text}", ("tinycloud", "space"), root=False)
    else:
        yield Finding("pool", "ok", text)


def check_pools(parts: Parts) -> Iterator[Finding]:
    """The pools that people added: one that libvirt has stopped, or lost, is no place for disks."""
    from tinycloud.engine.pools import Pools
    from tinycloud.engine.read_pools import STOPPED

    host = parts.first_host
    for pool in Pools(parts, host).find_all():
        if pool.name == DEFAULT_POOL:
            continue
        if not pool.trouble:
            yield Finding(f"pool {pool.name}", "ok", f"{pool.kind}, {pool.free} free of {pool.capacity}")
        elif pool.trouble == STOPPED:
            fix = tuple(host.make_virsh_argv("pool-start", make_pool_name(pool.name)))
            yield Finding(f"pool {pool.name}", "problem", pool.trouble, fix, root=False)
        else:
            yield Finding(f"pool {pool.name}", "problem", pool.trouble)


def check_memory(parts: Parts) -> Iterator[Finding]:
    facts = parts.first_host.read_facts()
    free, total = Bytes(facts.memory_free), Bytes(facts.memory)
    yield Finding("memory", "ok" if free >= _LEAST_MEMORY else "problem", f"{free} free of {total}")


def check_bridge_filter(parts: Parts) -> Iterator[Finding]:
    """Docker and friends set the switch; it decides whether traffic inside a bridge passes the firewall."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not switch.exists():
        yield Finding("br_netfilter", "ok", "not loaded: traffic inside a network does not pass the host's firewall")
    elif switch.read_text().strip() == "1":
        text = "on: traffic inside a network passes the host's FORWARD rules; where they drop, machines do not see each other"
        yield Finding("br_netfilter", "note", text)
    else:
        yield Finding("br_netfilter", "ok", "loaded and off")


def check_state(parts: Parts) -> Iterator[Finding]:
    mode = parts.state.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(
            "state",
            "problem",
            f"{parts.state} holds keys and is open to others ({mode:04o})",
            ("chmod", "0700", str(parts.state)),
            root=False,
        )
    else:
        yield Finding("state", "ok", str(parts.state))


def _join(words: set[str]) -> str:
    return " and ".join(sorted(words))


CHECKS: Final[tuple[Check, ...]] = (
    check_processor,
    check_tools,
    check_libvirt,
    check_kvm,
    check_rights,
    check_pool,
    check_pools,
    check_memory,
    check_rules,
    check_joined,
    check_others,
    check_bridge_filter,
    check_state,
)
