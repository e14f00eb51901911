"""The NoCloud seed: what a guest is told at its first start, in the words of cloud-init.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html. Written as JSON, which is YAML, so that
a guest without a YAML parser (nano) reads it too.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from tinycloud.drivers.guest.iso import make_iso
from tinycloud.model.secret import reveal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.model.machine import Mark
    from tinycloud.model.plan import NetworkWanted, Wanted
    from tinycloud.model.stack import GuestFile, User

_SALT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HASHING = threading.Lock()
"""passlib exchanges its own modules while it is imported and looks for backends: two threads in there fail."""


def make_seed(wanted: Wanted, keys: Keys, networks: Mapping[str, NetworkWanted] = {}) -> bytes:
    """The bytes of the seed's ISO image for one machine."""
    mark = wanted.mark
    user = json.dumps(make_user_data(wanted, keys))
    return make_iso(
        {
            "user-data": f"#cloud-config\n{user}\n".encode(),
            "meta-data": json.dumps(make_meta_data(mark)).encode(),
            "vendor-data": f"#cloud-config\n{json.dumps(make_vendor_data())}\n".encode(),
            "network-config": json.dumps(make_network_config(wanted, networks)).encode(),
        }
    )


def make_meta_data(mark: Mark) -> dict[str, Any]:
    """A new guest section is a new instance to cloud-init: it sets up once more."""
    return {"instance-id": f"{mark.domain}-{mark.spec.guest[:12]}", "local-hostname": mark.machine}


def make_vendor_data() -> dict[str, Any]:
    """What is said to cloud-init alone, below what the user says: NICs come and go after the first start, so look at each one."""
    return {"updates": {"network": {"when": ["boot-new-instance", "boot"]}}}


def make_network_config(wanted: Wanted, networks: Mapping[str, NetworkWanted] = {}) -> dict[str, Any]:
    """Netplan's format, version 2: every NIC by its MAC, named eth0, eth1 …, asking DHCP or with what that would say."""
    spec = wanted.mark.spec
    is_static = wanted.guest.network == "static"
    fixed = {n: make_static(wanted.mark, n, networks) for n, nic in enumerate(spec.nics) if is_static and nic.address}
    return {
        "version": 2,
        "ethernets": {
            f"nic{n}": {"match": {"macaddress": nic.mac}, "set-name": f"eth{n}", **_make_addresses(fixed.get(n))}
            for n, nic in enumerate(spec.nics)
        },
    }


@dataclass(frozen=True, slots=True)
class Static:
    """What a NIC is told that asks nobody. ``gateway`` is empty for all but the machine's first way out."""

    address: str
    gateway: str
    dns: str


def make_static(mark: Mark, number: int, networks: Mapping[str, NetworkWanted]) -> Static:
    """The reserved address of a NIC, and what our DHCP server would add: the network's first address is its gateway and name server.

    libvirt's dnsmasq names no gateway in an isolated network; a machine has one way out, through its first network that has.
    """
    nics = mark.spec.nics
    subnet = IPv4Network(networks[nics[number].network].subnet)
    first = str(subnet[1])
    ways = [n for n, nic in enumerate(nics) if nic.address and not nic.side and networks[nic.network].access != "isolated"]
    return Static(f"{nics[number].address}/{subnet.prefixlen}", first if ways[:1] == [number] else "", first)


def _make_addresses(fixed: Static | None) -> dict[str, Any]:
    if fixed is None:
        return {"dhcp4": True}
    way = {"gateway4": fixed.gateway} if fixed.gateway else {}
    return {"addresses": [fixed.address], **way, "nameservers": {"addresses": [fixed.dns]}}


def make_user_data(wanted: Wanted, keys: Keys) -> dict[str, Any]:
    """The #cloud-config of one machine; holds its secrets."""
    mark, guest = wanted.mark, wanted.guest
    private, public = keys.make_host_key(mark.uuid)
    data: dict[str, Any] = {
        "hostname": mark.machine,
        "fqdn": f"{mark.machine}.{mark.stack}",
        "manage_etc_hosts": "localhost",
        "ssh_keys": {"ed25519_private": private, "ed25519_public": f"{public} {mark.machine}"},
        "ssh_authorized_keys": [keys.public, *guest.ssh_keys],
    }
    if mark.spec.user == "root":
        data["disable_root"] = False
    if guest.users:
        data["users"] = ["default", *(_make_user(user) for user in guest.users)]
        data["ssh_pwauth"] = any(user.password for user in guest.users)
    data |= {key: value for key, value in (("timezone", guest.timezone), ("locale", guest.locale)) if value}
    if guest.proxy:
        data["apt"] = {"proxy": guest.proxy}
    if guest.packages:
        data |= {"package_update": True, "packages": list(guest.packages)}
    if guest.files:
        data["write_files"] = [_make_file(file) for file in guest.files]
    if guest.run:
        data["runcmd"] = [command.reveal() for command in guest.run]
    data.update(reveal(guest.user_data))
    return data


def _make_user(user: User) -> dict[str, Any]:
    out: dict[str, Any] = {"name": user.name, "lock_passwd": user.password is None}
    if user.password is not None:
        salt = f"{user.name}/{user.password.fingerprint()}"
        out["hashed_passwd"] = hash_password(user.password.reveal(), salt)
    if user.ssh_keys:
        out["ssh_authorized_keys"] = list(user.ssh_keys)
    if user.groups:
        out["groups"] = ", ".join(user.groups)
    if user.shell:
        out["shell"] = user.shell
    if user.sudo:
        out["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
    return out


def _make_file(file: GuestFile) -> dict[str, Any]:
    out = {
        "path": file.path,
        "content": file.content.reveal() if file.content else "",
        "permissions": file.mode.rjust(4, "0"),
        "owner": file.owner,
    }
    # cloud-init writes files before it makes users; what belongs to a user has to wait for him.
    return out if file.owner.startswith("root") else {**out, "defer": True}


def hash_password(password: str, salt_from: str) -> str:
    """SHA-512 crypt (``$6$``), with a salt derived from ``salt_from``: the same input gives the same bytes."""
    salt = "".join(_SALT[byte % 64] for byte in sha256(salt_from.encode()).digest()[:16])
    with _HASHING:
        from passlib.hash import sha512_crypt  # 0.1 s

        return str(sha512_crypt.using(salt=salt, rounds=5000).hash(password))
