"""Access rules that somebody flushed, brought back before anything relies on them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tinycloud.errors import Missing

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host


def put_back(host: Host) -> bool:
    """What the host keeps, in force again where it is not at all; False when there was nothing to do.

    Whoever may not touch the firewall does not learn whether it is there; libvirt's hook, which may, looks when a machine starts.
    """
    with suppress(Missing):
        return not host.firewall.find_marks() and host.firewall.restore()
    return False
