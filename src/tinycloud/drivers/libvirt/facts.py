"""What a host is: processors, memory, which hypervisors really work."""

from __future__ import annotations

from typing import Any

from lxml import etree

from tinycloud.drivers.libvirt.errors import guarded
from tinycloud.drivers.records import HostIdentity, HostRecord
from tinycloud.errors import LibvirtFailed

_VIRTUALIZATION = {"vmx", "svm"}
_ALL_CPUS = -1  # VIR_NODE_CPU_STATS_ALL_CPUS
_EXPANDED = 1  # VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES


def read_facts(conn: Any) -> HostRecord:
    """One host's facts. KVM counts only when libvirt offers it *and* the processor shows vmx or svm: ``/dev/kvm`` alone may hang."""
    with guarded("read the host's capabilities"):
        root = etree.fromstring(conn.getCapabilities())
        arch = root.findtext("host/cpu/arch") or conn.getInfo()[0]
        cpus = int(conn.getInfo()[2])
    features = list_features(conn, root.find("host/cpu"))
    offered = {str(item.get("type")) for guest in root.findall("guest") for item in guest.findall(f"arch[@name='{arch}']/domain")}
    total, free = read_memory(conn)
    return HostRecord(
        arch=arch,
        cpus=cpus,
        memory=total,
        memory_free=free,
        hypervisors=tuple(name for name in ("kvm", "qemu", "test") if name in offered and _works(name, arch, features)),
        uefi=bool(root.findall("guest/features")) or arch == "aarch64",
        features=features,
        qemu_user=_find_qemu_user(root),
    )


def list_features(conn: Any, cpu: Any) -> frozenset[str]:
    """Everything the processor can.

    Of ``<cpu>`` libvirt names a model and the features that the model lacks; on AMD's processors svm is in the model, and nowhere else.
    """
    if cpu is None:
        return frozenset()
    named = frozenset(str(item.get("name")) for item in cpu.findall("feature"))
    if cpu.find("model") is None:
        return named
    try:
        with guarded("read what the processor can"):
            whole = etree.fromstring(conn.baselineCPU([etree.tostring(cpu, encoding="unicode")], _EXPANDED))
    except LibvirtFailed:  # not every connection can tell
        return named
    return named | {str(item.get("name")) for item in whole.findall("feature")}


def _find_qemu_user(capabilities: Any) -> tuple[int, int]:
    """User and group of new QEMU processes: ``+64055:+64055`` in the label of the model "dac"; root where libvirt tells none."""
    for model in capabilities.findall("host/secmodel"):
        if model.findtext("model") == "dac":
            user, _, group = (model.findtext("baselabel") or "+0:+0").partition(":")
            return int(user.lstrip("+")), int(group.lstrip("+"))
    return 0, 0


def _works(name: str, arch: str, features: frozenset[str]) -> bool:
    return name != "kvm" or arch not in ("x86_64", "i686") or bool(features & _VIRTUALIZATION)


def read_memory(conn: Any) -> tuple[int, int]:
    """(total, free), with caches and buffers counted as free; all is free where libvirt cannot tell (the test driver)."""
    try:
        with guarded("read the host's memory"):
            kib = conn.getMemoryStats(-1, 0)
    except LibvirtFailed:
        with guarded("read the host's memory"):
            total = int(conn.getInfo()[1]) * 1024 * 1024
        return total, total
    return 1024 * int(kib["total"]), 1024 * sum(int(kib.get(key, 0)) for key in ("free", "buffers", "cached"))


def read_cpu_seconds(conn: Any) -> float:
    """Seconds in which processors of the host did something, since its start; 0 where libvirt cannot tell (the test driver)."""
    try:
        with guarded("read what the host's processors do"):
            found = conn.getCPUStats(_ALL_CPUS, 0)
    except LibvirtFailed:
        return 0.0
    return sum(int(found.get(key, 0)) for key in ("kernel", "user")) / 1e9


def read_identity(conn: Any) -> HostIdentity:
    """Who a host is, and its versions."""
    with guarded("read the host's capabilities"):
        root = etree.fromstring(conn.getCapabilities())
        versions = [_say_version(number) for number in (conn.getLibVersion(), conn.getVersion())]
    return HostIdentity(
        uuid=root.findtext("host/uuid") or "",
        libvirt=versions[0],
        hypervisor=versions[1],
        cpu_name=" ".join(filter(None, (root.findtext("host/cpu/vendor"), root.findtext("host/cpu/model")))),
    )


def _say_version(number: int) -> str:
    """libvirt packs a version into one number: 1,000,000 * major + 1,000 * minor + release."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}" if number else ""
