"""libvirt, through its own remote protocol: one small module per kind of object."""
