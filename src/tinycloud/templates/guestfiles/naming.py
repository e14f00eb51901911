"""The guest's name: /etc/hostname and the line of /etc/hosts that makes it resolve."""

from __future__ import annotations

import re
from typing import Final

_HOSTS: Final = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def make_hostname(hostname: str) -> bytes:
    """/etc/hostname: the name without its domain."""
    return f"{hostname.split('.')[0]}\n".encode()


def find_hostname(text: bytes | None) -> str:
    """The name that a present /etc/hostname gives, empty for none."""
    lines = [line.strip() for line in (text or b"").decode(errors="replace").splitlines()]
    return next((line for line in lines if line and not line.startswith("#")), "")


def set_hosts(hosts: bytes | None, hostname: str, old: str = "") -> bytes:
    """/etc/hosts in which ``hostname`` means this guest: in the line of 127.0.1.1, as Debian has it; every other line stays.

    A line that gives 127.0.0.1 the ``old`` name gives it the new one instead.
    """
    lines = (_HOSTS if hosts is None else hosts).split(b"\n")
    own = " ".join(dict.fromkeys([hostname, hostname.split(".")[0]]))
    entry = f"127.0.1.1\t{own}".encode()
    out: list[bytes] = []
    done = False
    for line in lines:
        words = line.split(b"#")[0].split()
        if words[:1] == [b"127.0.1.1"]:
            if not done:
                out.append(entry)
            done = True
        elif words[:1] in ([b"127.0.0.1"], [b"::1"]) and old and old != "localhost":
            out.append(_drop_name(line, old))
        else:
            out.append(line)
    if not done:
        after = next((n for n, line in enumerate(out) if line.split()[:1] == [b"127.0.0.1"]), -1)
        out.insert(after + 1, entry)
    text = b"\n".join(out)
    return text if text.endswith(b"\n") else text + b"\n"


def _drop_name(line: bytes, name: str) -> bytes:
    """A line of hosts without one of its names (and those that begin with it and a dot), unless it is the only one."""
    words, _, comment = line.partition(b"#")
    address, *names = words.split()
    gone = re.compile(rb"%s(\..*)?" % re.escape(name.encode()))
    left = [word for word in names if not gone.fullmatch(word)]
    if len(left) == len(names) or not left:
        return line
    return address + b"\t" + b" ".join(left) + (b" #" + comment if comment else b"")
