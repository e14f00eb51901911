"""Disk files from outside: what they are by their own first bytes, read here in bounded pieces, before QEMU sees any of them.

QEMU opens what a file names (a backing file, a data file, extents) while it is asked what the file is, so who names anything else
is found and refused first. See :mod:`tinycloud.drivers.inspect` for the whole of it.
"""
