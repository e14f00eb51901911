"""Fixed names of network cards by their MAC: for systemd's udev, for an older udev, for busybox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tinycloud.templates.guestfiles.changes import Link, WriteFile
from tinycloud.templates.guestfiles.guest import find_first, has_openrc
from tinycloud.templates.guestfiles.network import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinycloud.model.recipe import RecipeNic
    from tinycloud.templates.guestfiles.changes import Change
    from tinycloud.templates.guestfiles.guest import Guest

_SERVICE: Final = """\
#!/sbin/openrc-run
# Written by a recipe of Tiny Cloud: cards get the names of /etc/mactab.
description="Names of network cards by their MAC"

depend() {
    need sysfs
    after hwdrivers modules
    before net networking
}

start() {
    ebegin "Naming network cards"
    nameif -c /etc/mactab
    eend $?
}
"""


def make_card_names(guest: Guest, nics: Sequence[RecipeNic]) -> Iterator[Change]:
    """What makes each card have its name at every start."""
    if find_first(guest, "/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd"):
        for nic in nics:
            body = f"{HEAD}[Match]\nMACAddress={nic.mac.lower()}\nType=ether\n\n[Link]\nName={nic.name}\n"
            yield WriteFile(f"/etc/systemd/network/05-tinycloud-{nic.name}.link", body.encode(), 0o644, (0, 0))
    elif guest.exists("/lib/udev/rules.d"):
        yield WriteFile("/etc/udev/rules.d/70-persistent-net.rules", make_udev_rules(nics), 0o644, (0, 0))
    elif has_openrc(guest):
        table = "".join(f"{nic.name} {nic.mac.lower()}\n" for nic in nics)
        yield WriteFile("/etc/mactab", table.encode(), 0o644, (0, 0))
        yield WriteFile("/etc/init.d/tinycloud-cards", _SERVICE.encode(), 0o755, (0, 0))
        yield Link("/etc/runlevels/boot/tinycloud-cards", "/etc/init.d/tinycloud-cards")


def make_udev_rules(nics: Sequence[RecipeNic]) -> bytes:
    """70-persistent-net.rules: one line a card."""
    rule = 'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{mac}", ATTR{{type}}=="1", NAME="{name}"\n'
    return (HEAD + "".join(rule.format(mac=nic.mac.lower(), name=nic.name) for nic in nics)).encode()
