"""Disks opened outside of machines: mounted in a folder, or served over NBD.

Whatever is opened has a card (a small file of ours) that is written first and removed last, and a folder whose path stands in the
command line of every process that belongs to it. So each piece is found again after a kill, by whoever closes it.
"""

from __future__ import annotations

from tinycloud.drivers.opened.card import Card, Cards
from tinycloud.drivers.opened.disk import Disk
from tinycloud.drivers.opened.place import Place

__all__ = ["Card", "Cards", "Disk", "Place"]
