"""``ls`` of a thousand machines of ours in libvirt's test driver, against ``virsh list`` of the same."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.lab import TINYCLOUD, Place
from bench.plan_scale import make_stack, make_world
from tinycloud.plan import plan_up
from tinycloud.templates.xml import make_mark, to_text

COUNT = 1000


def write_node(folder: Path) -> Path:
    """A node for ``test:///``: every machine of a plan, running, with our mark."""
    marks = [wanted.mark for wanted in plan_up(make_stack(COUNT), make_world()).machines.values()]
    domains = "".join(
        f"<domain type='test'><name>{mark.domain}</name><uuid>{mark.uuid}</uuid><metadata>{to_text(make_mark(mark))}</metadata>"
        f"<memory>131072</memory><os><type>hvm</type></os></domain>"
        for mark in marks
    )
    node = folder / "node.xml"
    node.write_text(f"<node>{domains}</node>")
    return node


def measure(place: Place, folder: Path) -> dict[str, float]:
    """Seconds of each, the best of several runs."""
    uri = f"test://{write_node(folder)}"
    ours = place.best([*TINYCLOUD, "--uri", uri, "--state", str(folder / "state"), "ls"])
    assert len(ours.out.splitlines()) > COUNT, ours.out[:2000]
    virsh = place.best(["virsh", "-c", uri, "list", "--all"])
    assert len(virsh.out.splitlines()) > COUNT, virsh.out[:2000]
    return {"ls 1000": ours.seconds, "virsh list 1000": virsh.seconds}


if __name__ == "__main__":
    print(measure(Place(), Path(sys.argv[1])))
