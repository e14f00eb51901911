"""What libvirt runs as root when a machine or a network starts: whoever flushed our rules meanwhile has them put back."""

import contextlib
import os
import shlex
from typing import Any

from tinycloud.drivers.onhost import links, neighbours, vxlan
from tinycloud.drivers.onhost.nft_text import TABLES
from tinycloud.drivers.onhost.whole_file import write

FOLDER = "/var/lib/tinycloud/firewall"
HOOKS = "/etc/libvirt/hooks"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Plain = dict[str, Any]
"""A part, as of Part.as_dict."""


def make_restore(parts: list[Plain]) -> str:
    """What libvirt's hook runs, as root: the tables when they are gone, and what new bridges need. Names of the file are quoted in it."""
    lines = [
        "# Tiny Cloud: written anew with every change of its firewall; libvirt's hooks run it.",
        f"PATH={PATH}",
        f"cd {FOLDER} || exit 0",
        f"nft list set {TABLES[0]} parts >/dev/null 2>&1 || flock lock nft -f ruleset.nft",
    ]
    filtered = links.collect(parts, "filtered")
    if filtered:
        off = "for it in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 >$it; done"
        lines += [f"[ -e /proc/sys/net/bridge ] || {{ modprobe br_netfilter; {off}; }}"]
    switches = [path for bridge in sorted(filtered) for path in links.list_switches(bridge)]
    switches += [links.local_switch(bridge) for bridge in sorted(links.collect(parts, "local"))]
    lines += [f"[ -e {path} ] && echo 1 >{path}" for path in map(shlex.quote, switches)]
    lines += [shlex.join(links.put_address(address, link)) for address, link in sorted(links.collect(parts, "addresses"))]
    lines += [line for overlay in vxlan.read_wanted(parts) for line in vxlan.make_lines(overlay)]
    lines += neighbours.make_lines(neighbours.read_wanted(parts))
    return "\n".join([*lines, "true", ""])


SIGN = "# Tiny Cloud: puts its firewall back when it is gone. Removed with the last stack."


def make_hook(moment: str) -> str:
    return f'#!/bin/sh\n{SIGN}\n[ "$2" = {moment} ] && [ -e {FOLDER}/restore.sh ] && . {FOLDER}/restore.sh\nexit 0\n'


def list_hooks() -> list[tuple[str, str]]:
    """(path, text): before a machine's taps are made, and when a network has its bridge."""
    return [(f"{HOOKS}/qemu.d/tinycloud", make_hook("prepare")), (f"{HOOKS}/network.d/tinycloud", make_hook("started"))]


def is_ours(path: str) -> bool:
    with open(path, errors="replace") as file:
        return SIGN in file.read(400)


def install_hooks() -> None:
    """libvirtd finds them when it starts the next time, as after a restart of the host. What is somebody else's stays."""
    for path, text in list_hooks():
        if os.path.lexists(path) and not is_ours(path):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, text)
        os.chmod(path, 0o700)


def remove_hooks() -> None:
    for path, _ in list_hooks():
        if os.path.lexists(path) and is_ours(path):
            os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))
