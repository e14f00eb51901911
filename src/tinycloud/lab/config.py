"""The files a lab host is made of: libvirt's and sshd's configuration, names, keys."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tinycloud.drivers.shell import Shell

_LIBVIRTD = """\
host_uuid = "{uuid}"
listen_tls = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""

# As root and without confinement: a lab guest is the tester's own, and the namespaces have no security driver of their own.
_QEMU = """\
user = "root"
group = "root"
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
vnc_listen = "127.0.0.1"
"""

_SSHD = """\
Port 22
ListenAddress {address}
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
PidFile /run/sshd/sshd.pid
"""

_SSH = """\
Host {hosts}
  IdentityFile /etc/ssh/lab_key
  User root
"""


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def make_key(shell: Shell, path: Path) -> str:
    """Make an ed25519 key pair at ``path`` (0600) unless it is there; returns the public half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        shell.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tinycloud-lab", "-f", str(path)])
    return path.with_name(path.name + ".pub").read_text().strip()


def write_host(shell: Shell, folder: Path, name: str, address: str, lab_key: Path) -> str:
    """Write all files of one host; returns its public ssh host key."""
    for part in ("libvirt/images", "cache", "log/qemu", "etc", "pki", "state"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "state").chmod(0o700)
    _put(folder / "name", name)
    _put(folder / "etc/libvirtd.conf", _LIBVIRTD.format(uuid=uuid.uuid4()))
    _put(folder / "etc/qemu.conf", _QEMU)
    _put(folder / "etc/libvirt.conf", 'uri_default = "qemu:///system"\n')
    _put(folder / "ssh/sshd_config", _SSHD.format(address=address))
    _put(folder / "ssh/lab_key", lab_key.read_text(), 0o600)
    _put(folder / "ssh/authorized_keys", lab_key.with_name(lab_key.name + ".pub").read_text())
    return make_key(shell, folder / "ssh/host_key")


def write_names(folders: Iterable[Path], hosts: dict[str, tuple[str, str]]) -> None:
    """Tell every host the others' addresses and host keys. ``hosts``: name → (address, public key)."""
    names = "127.0.0.1 localhost\n::1 localhost\n" + "".join(f"{address} {name}\n" for name, (address, _) in hosts.items())
    known = "".join(f"{name},{address} {' '.join(key.split()[:2])}\n" for name, (address, key) in hosts.items())
    words = " ".join(word for name, (address, _) in hosts.items() for word in (name, address))
    for folder in folders:
        _put(folder / "hosts", names)
        _put(folder / "ssh/ssh_known_hosts", known)
        _put(folder / "ssh/ssh_config", _SSH.format(hosts=words))
