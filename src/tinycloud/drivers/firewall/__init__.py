"""A host's firewall: the stacks' parts of it, in force and kept for a restart."""

from tinycloud.drivers.firewall.firewall import Firewall

__all__ = ["Firewall"]
