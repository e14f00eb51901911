"""Libvirt's statistics of a domain as what it has used: https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectGetAllDomainStats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.records import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

WANTED: Final = 2 | 8 | 16 | 32
"""VIR_DOMAIN_STATS_CPU_TOTAL, _VCPU, _INTERFACE, _BLOCK."""
ACTIVE: Final = 1
"""VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE."""
_NANO: Final = 1e9


def read_usage(stats: Mapping[str, Any]) -> Usage:
    """What is not told counts as nothing: kernels without scheduler statistics know no delay."""
    return Usage(
        cpu=float(stats.get("cpu.time", 0)) / _NANO,
        waited=sum(_list_all(stats, "vcpu", "delay")) / _NANO,
        disk=int(sum(_list_all(stats, "block", "rd.bytes", "wr.bytes"))),
        net=int(sum(_list_all(stats, "net", "rx.bytes", "tx.bytes"))),
    )


def _list_all(stats: Mapping[str, Any], kind: str, *words: str) -> list[float]:
    """The values of ``KIND.N.WORD`` for every device; vcpus are counted by their numbers, which may have gaps."""
    prefix = f"{kind}."
    return [float(value) for key, value in stats.items() if key.startswith(prefix) and key.partition(".")[2].partition(".")[2] in words]
