"""Network cards of a guest: which configuration it reads, and what it is to say. One way to write it for each way to read it.

With ``nics`` in a recipe the guest's configuration becomes exactly those; what named other cards before is taken out of the way.
"""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Final

from tinycloud.errors import Refused
from tinycloud.model.names import make_uuid
from tinycloud.templates.guestfiles.changes import Link, Move, WriteFile
from tinycloud.templates.guestfiles.guest import find_first, has_openrc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinycloud.model.recipe import RecipeNic
    from tinycloud.templates.guestfiles.changes import Change
    from tinycloud.templates.guestfiles.guest import Guest

HEAD: Final = "# Written by a recipe of Tiny Cloud.\n"
ASIDE: Final = ".before-tinycloud"
"""How the name of a configuration ends that was taken out of the way."""
_WANTS: Final = "/etc/systemd/system/multi-user.target.wants"
_NM: Final = ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager")
_NETWORKD: Final = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")


def find_system(guest: Guest) -> str | None:
    """Which configuration the guest reads: netplan, networkmanager, networkd, ifupdown; None when none is known.

    What is switched on counts before what is only installed.
    """
    if find_first(guest, "/usr/sbin/netplan") and guest.exists("/etc/netplan"):
        return "netplan"
    if find_first(guest, *_NM) and guest.exists(f"{_WANTS}/NetworkManager.service"):
        return "networkmanager"
    if find_first(guest, *_NETWORKD) and guest.exists(f"{_WANTS}/systemd-networkd.service"):
        return "networkd"
    if find_first(guest, "/sbin/ifup", "/usr/sbin/ifup"):
        return "ifupdown"
    if find_first(guest, *_NM):
        return "networkmanager"
    return "networkd" if find_first(guest, *_NETWORKD) else None


def make_network(guest: Guest, nics: Sequence[RecipeNic]) -> list[Change]:
    """The changes that give a guest these cards. Raises Refused where nothing known configures the network."""
    system = find_system(guest)
    if system is None:
        raise Refused(
            "the guest has no network configuration that is known",
            code="no-network-system",
            facts=["looked for: netplan, NetworkManager, systemd-networkd, ifupdown"],
        )
    make = {"netplan": _make_netplan, "networkmanager": _make_keyfiles, "networkd": _make_networkd, "ifupdown": _make_interfaces}[system]
    return [*make(guest, nics), *_leave_to_us(guest)]


def _leave_to_us(guest: Guest) -> Iterator[Change]:
    """cloud-init would write the network anew at each start."""
    if guest.exists("/etc/cloud"):
        yield WriteFile("/etc/cloud/cloud.cfg.d/99-tinycloud-network.cfg", f"{HEAD}network: {{config: disabled}}\n".encode(), 0o644, (0, 0))


# netplan: https://netplan.readthedocs.io/en/stable/netplan-yaml/


def _make_netplan(guest: Guest, nics: Sequence[RecipeNic]) -> Iterator[Change]:
    own = "90-tinycloud.yaml"
    for name in guest.list_names("/etc/netplan"):
        if name.endswith(".yaml") and name != own:
            yield Move(f"/etc/netplan/{name}", f"/etc/netplan/{name}{ASIDE}")
    lines = [HEAD.rstrip(), "network:", "  version: 2", "  ethernets:"]
    for nic in nics:
        lines += [f"    {nic.name}:", f'      match: {{macaddress: "{nic.mac.lower()}"}}', f"      set-name: {nic.name}"]
        if nic.address == "dhcp":
            lines.append("      dhcp4: true")
        else:
            lines.append(f"      addresses: [{nic.address}]")
            lines += [f"      routes: [{{to: default, via: {nic.gateway}}}]"] if nic.gateway else []
            lines += [f"      nameservers: {{addresses: [{', '.join(nic.dns)}]}}"] if nic.dns else []
    yield WriteFile(f"/etc/netplan/{own}", _text(lines), 0o600, (0, 0))


# systemd-networkd: https://www.freedesktop.org/software/systemd/man/systemd.network.html


def _make_networkd(guest: Guest, nics: Sequence[RecipeNic]) -> Iterator[Change]:
    for nic in nics:
        lines = [HEAD.rstrip(), "[Match]", f"MACAddress={nic.mac.lower()}", "", "[Network]"]
        if nic.address == "dhcp":
            lines += ["DHCP=ipv4"]
        else:
            lines += [f"Address={nic.address}"]
            lines += [f"Gateway={nic.gateway}"] if nic.gateway else []
            lines += [f"DNS={server}" for server in nic.dns]
        # The first file by name that fits a card decides.
        yield WriteFile(f"/etc/systemd/network/05-tinycloud-{nic.name}.network", _text(lines), 0o644, (0, 0))
    if not guest.exists(f"{_WANTS}/systemd-networkd.service"):
        yield Link(f"{_WANTS}/systemd-networkd.service", f"{_unit_folder(guest)}/systemd-networkd.service")
    yield from _make_resolv(guest, nics)


def _unit_folder(guest: Guest) -> str:
    return "/usr/lib/systemd/system" if guest.exists("/usr/lib/systemd/systemd-networkd") else "/lib/systemd/system"


# NetworkManager: https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html


def _make_keyfiles(guest: Guest, nics: Sequence[RecipeNic]) -> Iterator[Change]:
    folder = "/etc/NetworkManager/system-connections"
    for name in guest.list_names(folder):
        if not name.startswith("tinycloud-") and name.endswith(".nmconnection"):
            yield Move(f"{folder}/{name}", f"{folder}/{name}{ASIDE}")
    for nic in nics:
        lines = [HEAD.rstrip(), "[connection]", f"id={nic.name}", f"uuid={make_uuid('nic', nic.mac.lower())}", "type=ethernet"]
        lines += [
            f"interface-name={nic.name}",
            "autoconnect-priority=100",
            "",
            "[ethernet]",
            f"mac-address={nic.mac.upper()}",
            "",
            "[ipv4]",
        ]
        if nic.address == "dhcp":
            lines += ["method=auto"]
        else:
            lines += ["method=manual", f"address1={nic.address}{f',{nic.gateway}' if nic.gateway else ''}"]
            lines += [f"dns={';'.join(nic.dns)};"] if nic.dns else []
        yield WriteFile(
            f"{folder}/tinycloud-{nic.name}.nmconnection",
            _text([*lines, *_IPV6]),
            0o600,
            (0, 0),
        )


_IPV6: Final = ("", "[ipv6]", "method=auto", "addr-gen-mode=eui64")  # by its MAC: that is the address that we know it by


# ifupdown, ifupdown-ng and busybox: https://manpages.debian.org/bookworm/ifupdown/interfaces.5.en.html


def _make_interfaces(guest: Guest, nics: Sequence[RecipeNic]) -> Iterator[Change]:
    folder = "/etc/network/interfaces.d"
    for name in guest.list_names(folder):
        if "." not in name:  # as ifupdown reads them
            yield Move(f"{folder}/{name}", f"{folder}/{name}{ASIDE}")
    lines = [HEAD.rstrip(), "auto lo", "iface lo inet loopback"]
    for nic in nics:
        lines += ["", f"auto {nic.name}", f"iface {nic.name} inet {'dhcp' if nic.address == 'dhcp' else 'static'}"]
        if nic.address != "dhcp":
            address = IPv4Interface(nic.address)
            lines += [f"    address {address.ip}", f"    netmask {address.netmask}"]
            lines += [f"    gateway {nic.gateway}"] if nic.gateway else []
            lines += [f"    dns-nameservers {' '.join(nic.dns)}"] if nic.dns else []
    yield WriteFile("/etc/network/interfaces", _text(lines), 0o644, (0, 0))
    if has_openrc(guest) and not guest.exists("/etc/runlevels/boot/networking") and not guest.exists("/etc/runlevels/default/networking"):
        yield Link("/etc/runlevels/boot/networking", "/etc/init.d/networking")
    if not guest.exists("/sbin/resolvconf"):
        yield from _make_resolv(guest, nics)


def _make_resolv(guest: Guest, nics: Sequence[RecipeNic]) -> Iterator[Change]:
    """Static name servers where nothing else carries them: for resolved in its own file, else in resolv.conf."""
    servers = list(dict.fromkeys(server for nic in nics for server in nic.dns))
    if servers and guest.exists("/etc/systemd/system/multi-user.target.wants/systemd-resolved.service"):
        body = _text([HEAD.rstrip(), "[Resolve]", f"DNS={' '.join(servers)}"])
        yield WriteFile("/etc/systemd/resolved.conf.d/tinycloud.conf", body, 0o644, (0, 0))
    elif servers:
        yield WriteFile("/etc/resolv.conf", _text([HEAD.rstrip(), *(f"nameserver {server}" for server in servers)]), 0o644, (0, 0))


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
