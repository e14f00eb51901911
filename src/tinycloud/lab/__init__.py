"""Throw-away hosts on this machine: each a set of namespaces with its own libvirtd, for trying, demos and tests.

They never touch this machine's own libvirt, networks or firewall. Needs root.
"""

from tinycloud.lab.lab import Lab, LabHost, find_lab, get_lab, list_labs, open_lab

__all__ = ["Lab", "LabHost", "find_lab", "get_lab", "list_labs", "open_lab"]
