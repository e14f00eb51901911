"""Ten machines: brought up by us and by hand, listed, left alone."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from bench.lab import TINYCLOUD, Place, Timed

COUNT = 10
ROUNDS = 3
STACK = f"""
stack: bench
networks: {{lan: {{subnet: 10.90.0.0/24}}}}
groups:
  box: {{count: {COUNT}, image: nano, memory: 96 MiB, networks: [lan], graphics: none, ready: ssh}}
"""


class Machines:
    """The same ten machines, made by either side in turn, so that both meet the same host."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self._folder = folder
        self._file = folder / "bench.yaml"
        self._file.write_text(STACK)
        self._script = str(Path(__file__).with_name("by_hand.sh"))

    def up(self) -> Timed:
        return self._place.tinycloud("up", str(self._file), "--yes")

    def down(self) -> Timed:
        return self._place.tinycloud("down", "bench", "--yes")

    def copy(self) -> str:
        """Write down what was brought up, for the script: the XML of domains and network, what its dnsmasq reads, the seeds.

        Returns the hypervisor.
        """
        rows = json.loads(self._place.tinycloud("ls", "bench", "--json").out)
        for row in rows:
            name = row["ref"].replace("/", "-")
            xml = self._run("virsh", "dumpxml", "--inactive", name)
            disk, seed = (str(source.get("file")) for source in etree.fromstring(xml).findall("devices/disk/source"))
            self._write(f"{name}.xml", xml)
            self._write(f"{name}.disk", disk)
            self._write(f"{name}.seed", seed)
            self._run("cp", seed, str(self._folder / f"{name}.iso"))
        self._write("machines", "".join(f"{row['ref'].replace('/', '-')} {row['address']}\n" for row in rows))
        network = self._run("virsh", "net-list", "--name").split()[0]
        self._write("network", network)
        self._write("network.xml", self._run("virsh", "net-dumpxml", "--inactive", network))
        self._run("sh", "-c", f'cp /var/lib/libvirt/dnsmasq/{network}.tc-* "$0"', str(self._folder))
        self._write("image", self._run("sh", "-c", "cd /var/lib/libvirt/images/tinycloud && ls image-* | grep -v json").strip())
        return str(etree.fromstring(xml).get("type"))

    def by_hand(self, verb: str) -> Timed:
        return self._place.time(["bash", self._script, verb, str(self._folder)])

    def _run(self, *argv: str) -> str:
        return self._place.time(argv).out

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)


@dataclass(frozen=True)
class Seen:
    """Seconds, and the most MiB of any of our processes; ``up`` and ``by_hand`` are medians of rounds in turn."""

    up: float
    by_hand: float
    unchanged: float
    ls: float
    mib: float
    hypervisor: str


def measure(place: Place, folder: Path) -> Seen:
    """Bring ten machines up, ours and by hand in turn, and look at them."""
    machines = Machines(place, folder)
    machines.up()
    hypervisor = machines.copy()
    unchanged = place.best([*TINYCLOUD, "up", str(folder / "bench.yaml"), "--yes"])
    listed = place.best([*TINYCLOUD, "ls"])
    machines.down()
    ours, hand = [], []
    for _ in range(ROUNDS):
        hand.append(machines.by_hand("up"))
        machines.by_hand("down")
        ours.append(machines.up())
        machines.down()
    return Seen(
        up=statistics.median(run.seconds for run in ours),
        by_hand=statistics.median(run.seconds for run in hand),
        unchanged=unchanged.seconds,
        ls=listed.seconds,
        mib=max(run.mib for run in ours),
        hypervisor=hypervisor,
    )
