"""The way into a lab host, and to the root rights that labs need."""

from __future__ import annotations

import os
import signal
import sys

_INSIDE = "TINYCLOUD_INSIDE"


def enter(where: str) -> None:
    """Start this very command again inside a lab host, LAB[/HOST]; does nothing when it runs there already."""
    lab, _, host = where.partition("/")
    if os.environ.get(_INSIDE) == f"{lab}/{host or 'h1'}":
        return
    become_root()
    from tinycloud.lab import get_lab

    words = ["env", "--default-signal=INT", sys.executable, "-m", "tinycloud", *sys.argv[1:]]
    argv = get_lab(lab).get_host(host or "h1").make_argv(words)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nsenter stays between a person and the command: Ctrl-C is for the command
    os.execvp(argv[0], argv)


def become_root() -> None:
    """A lab is made of namespaces, which need root: go on through sudo where that works without a password."""
    if os.geteuid() != 0:
        keep = [f"{key}={value}" for key, value in os.environ.items() if key.startswith("TINYCLOUD_") or key == "PATH"]
        argv = ["sudo", "-n", "env", *keep, sys.executable, "-m", "tinycloud", *sys.argv[1:]]
        os.execvp(argv[0], argv)
