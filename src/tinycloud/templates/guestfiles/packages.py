"""The guest's own package manager: which it is, and the script that installs with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from tinycloud.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.templates.guestfiles.guest import Guest

# A daemon that starts in the middle of an edit would hold the disk; Debian asks policy-rc.d before it starts one.
_APT: Final = """\
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then printf '#!/bin/sh\\nexit 101\\n' >$policy; chmod 755 $policy; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; fi
apt-get -q update
apt-get -q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install {packages}
apt-get -q clean
"""
_SCRIPTS: Final = {
    "/usr/bin/apt-get": _APT,
    "/sbin/apk": "apk add --no-cache {packages}\n",
    "/usr/bin/dnf": "dnf -y install {packages}\ndnf -q clean all\n",
    "/usr/bin/yum": "yum -y install {packages}\nyum -q clean all\n",
    "/usr/bin/zypper": "zypper -n install {packages}\nzypper -q clean\n",
    "/usr/bin/pacman": "pacman -Sy --noconfirm --needed {packages}\n",
}


def find_manager(guest: Guest) -> str | None:
    """The path of the guest's package manager, or None."""
    return next((tool for tool in _SCRIPTS if guest.exists(tool)), None)


def make_install(guest: Guest, packages: Sequence[str], proxy: str | None = None) -> str:
    """A shell script that installs what is not installed yet. Raises Refused for a guest without a package manager."""
    tool = find_manager(guest)
    if tool is None:
        facts = [f"looked for: {', '.join(_SCRIPTS)}"]
        raise Refused("the guest has no package manager that is known", code="no-package-manager", facts=facts)
    words = " ".join(shlex.quote(package) for package in packages)
    exports = f"export http_proxy={shlex.quote(proxy)} https_proxy={shlex.quote(proxy)}\n" if proxy else ""
    return f"set -e\n{exports}{_SCRIPTS[tool].format(packages=words)}"
