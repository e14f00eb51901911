"""Disks that no machine uses, edited through libguestfs: its tools as child processes, never the host's own mounts."""
