"""Disks and NICs in the XML of a domain: disks found by target, their medium exchanged; NICs found by MAC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_disk(domain: Any, target: str) -> Any:
    """The disk element with that target, None without one."""
    return next((disk for disk in domain.findall("devices/disk") if target_of(disk) == target), None)


def target_of(disk: Any) -> str:
    target = disk.find("target")
    return str(target.get("dev")) if target is not None else ""


def find_nic(domain: Any, mac: str) -> Any:
    """The NIC element with that MAC, None without one."""
    return next((nic for nic in domain.findall("devices/interface") if mac_of(nic) == mac.lower()), None)


def mac_of(nic: Any) -> str:
    mac = nic.find("mac")
    return str(mac.get("address")).lower() if mac is not None else ""


def put_bandwidth(nic: Any, limits: Mapping[str, int]) -> None:
    """Change a NIC's element so that it carries as much as ``limits`` say (``inbound.average`` …)."""
    for old in nic.findall("bandwidth"):
        nic.remove(old)
    made = etree.Element("bandwidth")
    for way in ("inbound", "outbound"):
        if limits.get(f"{way}.average"):
            words = {word: str(limits[f"{way}.{word}"]) for word in ("average", "peak", "burst") if limits.get(f"{way}.{word}")}
            etree.SubElement(made, way, words)
    if len(made):
        model = nic.find("model")
        nic.insert(nic.index(model) + 1 if model is not None else len(nic), made)


def put_medium(drive: Any, medium: tuple[str, str] | None) -> None:
    """Change a drive's element so that (file, format) lies in it, or nothing."""
    for tag in ("source", "backingStore"):
        for old in drive.findall(tag):
            drive.remove(old)
    if medium is None:
        return
    file, format = medium
    driver = drive.find("driver")
    if driver is not None:
        driver.set("type", format)
    source = etree.Element("source", file=file)
    drive.insert(1 if driver is not None else 0, source)
