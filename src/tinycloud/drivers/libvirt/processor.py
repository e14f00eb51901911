"""Processors as machines see them that may move: libvirt's ``host-model``, and what several hosts have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lxml import etree

from tinycloud.drivers.libvirt.errors import guarded
from tinycloud.errors import LibvirtFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

_MIGRATABLE: Final = 2  # VIR_CONNECT_BASELINE_CPU_MIGRATABLE: without features that keep a machine where it is


def read_processor(conn: Any, hypervisor: str) -> str:
    try:
        with guarded("read what the hypervisor can"):
            root = etree.fromstring(conn.getDomainCapabilities(None, None, None, hypervisor))
    except LibvirtFailed:  # the host has no such hypervisor
        return ""
    mode = root.find("cpu/mode[@name='host-model']")
    if mode is None or mode.get("supported") != "yes":
        return ""
    cpu = etree.Element("cpu", mode="custom", match="exact")
    cpu.extend([*mode])
    return etree.tostring(cpu, encoding="unicode")


def list_models(conn: Any, hypervisor: str) -> tuple[str, ...]:
    """The CPU models by name that this host can show to a machine; none where it does not tell."""
    try:
        with guarded("read what the hypervisor can"):
            root = etree.fromstring(conn.getDomainCapabilities(None, None, None, hypervisor))
    except LibvirtFailed:  # the host has no such hypervisor
        return ()
    models = root.findall("cpu/mode[@name='custom']/model[@usable='yes']")
    return tuple(sorted({str(model.text) for model in models}))


def find_common(conn: Any, processors: Sequence[str], hypervisor: str) -> str:
    try:
        with guarded("find what processors have in common"):
            return str(conn.baselineHypervisorCPU(None, None, None, hypervisor, list(processors), _MIGRATABLE))
    except LibvirtFailed:  # Intel and AMD: nothing that either could show
        return ""
