"""The smallest domains, networks and volumes that libvirt accepts, and their removal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tinycloud.drivers.fake import FakeHost
from tinycloud.model import names
from tinycloud.model.plan import NetworkWanted
from tinycloud.model.pool import Source
from tinycloud.templates.objects import render_network, render_pool, render_source, render_volume

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.model.sheet import Reservation

UUID = "11111111-2222-4333-8444-555555555555"
OTHER_UUID = "99999999-2222-4333-8444-555555555555"
OTHER_PATH = "/var/lib/libvirt/other"
BEFORE_FLUSH = "/run/tinycloud-contract.nft"
POOL_PATH = "/var/lib/libvirt/images/tinycloud"
MAC = "52:00:00:00:00:01"


def a_domain(name: str = "a-1", uuid: str = UUID, *, devices: str = "", more: str = "") -> str:
    """A domain that starts in 0.3 s and boots nothing."""
    return f"""
    <domain type='qemu'>
      <name>{name}</name>
      <uuid>{uuid}</uuid>
      <memory unit='KiB'>65536</memory>
      <currentMemory unit='KiB'>65536</currentMemory>
      <vcpu current='1'>2</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type></os>
      <features><acpi/><apic/></features>
      {more}
      <devices>
        <controller type='usb' model='none'/>
        {devices}
        <memballoon model='virtio'/>
      </devices>
    </domain>
    """


def a_disk(volume: str, target: str = "vdb") -> str:
    return f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{POOL_PATH}/{volume}'/>
      <target dev='{target}' bus='virtio'/>
    </disk>
    """


def a_nic(network: str) -> str:
    """A NIC whose tap is ``tctest-0``."""
    source = f"<mac address='{MAC}'/><source network='{network}'/><target dev='tctest-0'/><model type='virtio'/>"
    return f"<interface type='network'>{source}</interface>"


def a_network(name: str = "front", subnet: str = "10.99.1.0/24", *lines: Reservation, bridge: str = "", reads_sheet: bool = False) -> str:
    """A network ``a-NAME`` of stack a, with its derived UUID and bridge. One that ``reads_sheet`` does not start without.

    Any other reads nothing of ours, and has its reservations in libvirt's XML.
    """
    bridge, mac = bridge or names.make_bridge("a", name), names.make_gateway_mac("a", name)
    text = render_network(NetworkWanted(("local",), "a", name, subnet, "isolated", bridge, None, (), mac=mac))
    if reads_sheet:
        return text
    rows = "".join(f"<host mac='{it.mac}' name='{it.name}' ip='{it.address}'/>" for it in lines)
    text = re.sub(r"<dhcp>.*</dhcp>", f"<dhcp>{rows}</dhcp>", text, flags=re.DOTALL)
    return re.sub(r"<dnsmasq:options>.*</dnsmasq:options>", "", text, flags=re.DOTALL)


def make_pool(host: Host) -> None:
    host.volumes.ensure_pool(render_pool(names.POOL, POOL_PATH))


def make_other_pool(host: Host, uuid: str = "") -> None:
    """A pool ``fast`` in a folder of its own."""
    text = render_source("fast", Source("dir", OTHER_PATH))
    host.pool("fast").ensure_pool(text.replace(names.make_pool_uuid("fast"), uuid) if uuid else text)


def make_volume(host: Host, name: str = "data", size: int = 1024**2, format: str = "qcow2", backing: tuple[str, str] | None = None) -> None:
    host.volumes.create(render_volume(name, size, format=format, backing=backing), name)


def ask_for_address(host: Host, bridge: str, mac: str) -> None:
    """As a guest with this MAC does when it starts; where there are guests."""
    if isinstance(host, FakeHost):
        return
    host.shell.run(["ip", "link", "add", "tctest-0", "type", "veth", "peer", "name", "tctest-1"])
    try:
        host.shell.run(["ip", "link", "set", "tctest-0", "master", bridge, "up"])
        host.shell.run(["ip", "link", "set", "tctest-1", "address", mac, "up"])
        host.shell.run(["busybox", "udhcpc", "-f", "-n", "-q", "-t", "20", "-T", "1", "-i", "tctest-1", "-s", "/bin/true"])
    finally:
        host.shell.run(["ip", "link", "del", "tctest-0"])


def flush_firewall(host: Host) -> None:
    """What a person, or another program, does with ``nft flush ruleset``."""
    if isinstance(host, FakeHost):
        host.firewall.flush()
        return
    if host.shell.run(["test", "-e", BEFORE_FLUSH], check=False).status:
        host.shell.run(["tee", BEFORE_FLUSH], input=host.shell.run(["nft", "list", "ruleset"]).stdout)
    host.shell.run(["nft", "flush", "ruleset"])


def _restore_firewall(host: Host) -> None:
    """libvirt makes its chains when it starts, and no network starts without."""
    if not isinstance(host, FakeHost) and host.shell.run(["test", "-e", BEFORE_FLUSH], check=False).status == 0:
        host.shell.run(["nft", "flush", "ruleset"])
        host.shell.run(["nft", "-f", BEFORE_FLUSH])
        host.shell.run(["rm", BEFORE_FLUSH])


def clean(host: Host) -> None:
    """Leave nothing for the next test."""
    _restore_firewall(host)
    for stack in ("shop", "shop-two", "blog"):
        host.firewall.remove(stack)
    for domain in host.domains.list_all():
        host.domains.destroy(domain.name)
        host.domains.undefine(domain.name)
    for network in host.networks.list_all():
        host.networks.remove(network.name)
    for secret in host.secrets.list_all():
        host.secrets.remove(secret)
    for pool in ("fast", "default"):
        for volume in host.pool(pool).list_names():
            host.pool(pool).remove(volume)
        host.pool(pool).remove_pool()
    host.close()
