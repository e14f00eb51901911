"""What a plan's steps do to a world, one at a time; a step that a host would refuse, or that hurts a machine, is an AssertionError."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from tinycloud.model import names, world
from tinycloud.model.firewall import BRIDGE, INET, Overlay, Part
from tinycloud.model.machine import Live, Mark
from tinycloud.model.sheet import Reservation
from tinycloud.model.units import Bytes
from tinycloud.plan.firewall import make_present_part
from tinycloud.plan.spans import list_hosts
from tinycloud.templates.firewall import make_part_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinycloud.model.plan import Plan, Step


def order_steps(steps: Iterable[Step], pick: Callable[[int], int] = lambda _many: 0) -> list[Step]:
    """The steps in an order that their needs allow; ``pick`` chooses among those that are free."""
    todo = list(steps)
    blocked = {step.id: len(set(step.needs)) for step in todo}
    assert len(blocked) == len(todo), "two steps have one id"
    followers: dict[str, list[Step]] = {}
    for step in todo:
        for need in set(step.needs):
            assert need in blocked, f"{step.id} needs {need}, which is not in the plan"
            followers.setdefault(need, []).append(step)
    free = [step for step in todo if not step.needs]
    out = []
    while free:
        step = free.pop(pick(len(free)))
        out.append(step)
        for follower in followers.get(step.id, ()):
            blocked[follower.id] -= 1
            if not blocked[follower.id]:
                free.append(follower)
    assert len(out) == len(todo), f"steps wait for each other: {[id for id, n in blocked.items() if n][:8]}"
    return out


@dataclass
class Domain:
    """A machine while steps work on it: as it runs, and as it is defined."""

    host: str
    live: Mark
    defined: Mark
    state: str
    reason: str = ""
    level: str = ""


@dataclass
class Simulation:
    """Carries out ``plan`` on ``before``. What is left is :meth:`result`."""

    plan: Plan
    before: world.World
    hosts: dict[str, world.Host] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    networks: dict[tuple[str, str], world.Network] = field(default_factory=dict)
    """(host, ref) → the network there."""
    volumes: dict[str, world.Volume] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    """Host → what the stack has in its firewall, once a step of this plan changed it."""
    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    """(host, stack) → the mark of its part."""
    images: dict[str, str | None] = field(default_factory=dict)
    """Root disk → the image below it."""
    stored: dict[tuple[str, str], world.Image] = field(default_factory=dict)
    """(host, sha256) → the image there."""

    def __post_init__(self) -> None:
        self.hosts = {host.name: host for host in self.before.hosts}
        self.domains = {m.ref: Domain(m.host, m.mark, m.mark, m.state, m.reason, m.live.level) for m in self.before.machines}
        self.networks = {(n.host, n.ref): n for n in self.before.networks}
        self.volumes = {v.name: v for v in self.before.volumes}
        self.stored = {(image.host, image.sha): image for image in self.before.images}
        for stack in self.before.stacks:
            for host in list_hosts(stack, self.before):
                self.marks[host, stack] = make_part_mark(stack, make_present_part(stack, host, self.before))
        self.images = {m.mark.disk_volume: m.mark.spec.image for m in self.before.machines}

    def run(self, pick: Callable[[int], int] = lambda _many: 0) -> world.World:
        for step in order_steps(self.plan.steps, pick):
            self.do(step)
        return self.result()

    def do(self, step: Step) -> None:
        if step.kind != "gate":
            getattr(self, "do_" + step.kind.replace(".", "_"))(step, step.args)

    def result(self) -> world.World:
        machines = [
            world.Machine(d.host, d.live, d.state, d.reason, Live(1.0, d.level) if d.level else Live()) for d in self.domains.values()
        ]
        return replace(
            self.before,
            hosts=tuple(self.hosts.values()),
            machines=tuple(machines),
            networks=tuple(self.networks.values()),
            volumes=tuple(self.volumes.values()),
            images=tuple(self.stored.values()),
        )

    # files

    def do_pool_create(self, step: Step, args: dict[str, Any]) -> None:
        host = self.hosts[step.host]
        self.hosts[step.host] = replace(host, pool=host.pool or world.Pool(args["pool"], "/pool", Bytes(2**40), Bytes(2**39)))

    def do_note_write(self, step: Step, args: dict[str, Any]) -> None:
        self._make(step, args["volume"], 1)

    def do_seed_write(self, step: Step, args: dict[str, Any]) -> None:
        assert args["volume"] == self.plan.machines[args["machine"]].mark.seed_volume
        self._make(step, args["volume"], 1)

    def do_disk_prepare(self, step: Step, args: dict[str, Any]) -> None:
        for it in args["machines"]:
            mark = self.plan.machines[it["machine"]].mark
            assert (it["volume"], it["note"]) == (mark.disk_volume, mark.prepared_volume)
            assert it["volume"] in self.volumes, f"{step.id} before its disk is made"
            assert not self._users(it["volume"]), f"{step.id} while a machine uses it"
            self._make(step, it["note"], 1)

    def do_image_send(self, step: Step, args: dict[str, Any]) -> None:
        assert self.hosts[step.host].pool is not None, f"{step.id}: there is no pool"
        self.stored[step.host, args["image"]] = replace(self.stored[args["from"], args["image"]], host=step.host)

    def do_disk_create(self, step: Step, args: dict[str, Any]) -> None:
        assert args["image"] is None or (step.host, args["image"]) in self.stored, f"{step.id}: its image is not there"
        self._make(step, args["volume"], args["size"])
        assert self.images.setdefault(args["volume"], args["image"]) == args["image"], f"{args['volume']} stands on another image"

    def do_disk_copy(self, step: Step, args: dict[str, Any]) -> None:
        """A raw disk: of a unit that nobody has, where disks exist beforehand."""
        unit, host = args["place"].get("unit", ""), self.hosts[step.host]
        if unit:
            pool = host.find_pool(args["pool"])
            assert pool is not None
            found = next(it for it in pool.units if it.name == unit)
            assert found.claim in ("", args["volume"]), f"{step.id}: {unit} is {found.claim}"
            assert found.size >= args["size"]
            self._claim(step.host, args["pool"], unit, args["volume"])
        self.do_disk_create(step, args)

    def _claim(self, host: str, pool: str, unit: str, volume: str) -> None:
        """Give a unit to a volume, or back with ``volume`` empty."""
        it = self.hosts[host]
        found = it.find_pool(pool)
        assert found is not None
        units = tuple(replace(u, claim=volume, used=True) if u.name == unit else u for u in found.units)
        self.hosts[host] = replace(it, more_pools=tuple(replace(p, units=units) if p.name == pool else p for p in it.more_pools))

    def _make(self, step: Step, volume: str, size: int) -> None:
        assert self.hosts[step.host].pool is not None, f"{step.id}: there is no pool"
        self._must_be_ours(volume)
        present = self.volumes.get(volume)
        pool = step.args.get("pool", present.pool if present else names.DEFAULT_POOL)
        assert present is None or present.pool == pool, f"{step.id}: it is in pool {present.pool}"
        self.volumes[volume] = world.Volume(step.host, volume, Bytes(max(size, present.capacity if present else 0)), Bytes(1), pool)

    def do_disk_resize(self, step: Step, args: dict[str, Any]) -> None:
        assert not self._users(args["volume"]), f"{step.id} while a machine uses it"
        self._make(step, args["volume"], args["size"])

    def do_volume_remove(self, step: Step, args: dict[str, Any]) -> None:
        self._must_be_ours(args["volume"])
        assert not self._users(args["volume"]), f"{step.id} while a machine uses it"
        if (present := self.volumes.get(args["volume"])) and present.host != step.host:
            return  # it is on another host by now
        gone = self.volumes.pop(args["volume"], None)
        assert gone is None or gone.pool == args.get("pool", names.DEFAULT_POOL), f"{step.id}: it is in pool {gone.pool}"
        for pool in self.hosts[step.host].more_pools:
            for unit in pool.units:
                if unit.claim == args["volume"]:
                    self._claim(step.host, pool.name, unit.name, "")
        self.images.pop(args["volume"], None)

    def _must_be_ours(self, volume: str) -> None:
        name = names.find_volume_name(volume)
        assert name is not None
        assert name.stack == self.plan.stack

    def _users(self, volume: str) -> list[str]:
        return [ref for ref, d in self.domains.items() if d.state in ("running", "paused") and volume in d.live.volumes]

    # networks

    def do_network_create(self, step: Step, args: dict[str, Any]) -> None:
        wanted = self.plan.networks[args["network"].removeprefix(f"{self.plan.stack}/")]
        self._must_be_free(step.host, args["network"], args["name"])
        rows = tuple(Reservation(*row) for row in wanted.reservations)
        assert step.host in wanted.hosts
        old = self.networks.get((step.host, args["network"]))
        made = world.Network(
            step.host,
            wanted.stack,
            wanted.name,
            wanted.subnet,
            wanted.access,
            wanted.bridge,
            wanted.mtu,
            True,
            rows,
            wanted.custom,
            wanted.sheet if wanted.subnet else None,
            wanted.subnet6,
            str(wanted.vlan or ""),
            wanted.mac,
        )
        assert old is None or replace(old, active=True, reservations=rows, sheet=made.sheet) == made, (
            f"{step.id}: the old network is still there"
        )
        for other in self.networks.values():
            assert other.ref == made.ref or not made.subnet or not other.subnet or not _overlap(made.subnet, other.subnet)
            assert other.ref != made.ref or (other.mac, other.mtu, other.bridge) == (made.mac, made.mtu, made.bridge)
        self.networks[step.host, made.ref] = made

    def _must_be_free(self, host: str, ref: str, name: str) -> None:
        others = {names.make_network_name(n.stack, n.name) for n in self.networks.values() if n.ref != ref}
        assert name not in {*others, *(foreign for f in self.before.foreign if f.host == host for foreign in f.networks)}

    def do_network_update(self, step: Step, args: dict[str, Any]) -> None:
        wanted = self.plan.networks[args["network"].removeprefix(f"{self.plan.stack}/")]
        present = self.networks[step.host, args["network"]]
        assert present.active
        self.networks[step.host, args["network"]] = replace(
            present, reservations=tuple(Reservation(*row) for row in wanted.reservations), sheet=wanted.sheet
        )

    def do_network_remove(self, step: Step, args: dict[str, Any]) -> None:
        found = [n for (host, _), n in self.networks.items() if host == step.host]
        ref = next(n.ref for n in found if names.make_network_name(n.stack, n.name) == args["name"])
        assert ref.startswith(f"{self.plan.stack}/")
        network = self.networks.pop((step.host, ref))
        assert not [r for r, d in self.domains.items() if self._is_on(d, network)], f"{step.id} with machines on it"

    def _is_on(self, domain: Domain, network: world.Network) -> bool:
        on = {nic.network for nic in domain.live.spec.nics}
        here = (domain.host, domain.live.stack) == (network.host, network.stack)
        return here and network.name in on and domain.state in ("running", "paused")

    # machines

    def do_machine_define(self, step: Step, args: dict[str, Any]) -> None:
        wanted = self.plan.machines[args["machine"]]
        mark = wanted.mark
        taken = {d.live.domain for ref, d in self.domains.items() if ref != mark.ref}
        assert args["domain"] not in {*taken, *(domain for f in self.before.foreign for domain in f.domains)}
        assert not set(mark.volumes) - self.volumes.keys(), f"{step.id} without its files"
        present = self.domains.get(mark.ref)
        if present is None or present.state in ("stopped", "crashed"):
            self.domains[mark.ref] = Domain(wanted.host, mark, mark, "stopped")
        else:
            present.defined = mark

    def do_machine_start(self, step: Step, args: dict[str, Any]) -> None:
        domain = self.domains[args["machine"]]
        mark = domain.live = domain.defined
        for nic in mark.spec.nics:
            if nic.external:
                assert any(nic.external in foreign.networks for foreign in self.before.foreign)
                continue
            network = self.networks[domain.host, f"{mark.stack}/{nic.network}"]
            assert network.active
            assert not nic.address or (nic.mac, nic.address) in {(r.mac, r.address) for r in network.reservations}
        for volume, size in [(mark.disk_volume, mark.spec.disk), *((mark.data_volume(v.name), v.size) for v in mark.spec.volumes)]:
            assert self.volumes[volume].capacity >= size
        assert self.images[mark.disk_volume] == mark.spec.image
        for host in list_hosts(mark.stack, self.result()):  # others have to know it too: it answers them
            self.check_wall(host, mark)
        for group in mark.spec.needs:
            assert not [ref for ref, w in self.plan.machines.items() if w.mark.group == group and not self._is_ready(ref)]
        domain.state, domain.reason, domain.level = "running", "", ""
        self.check_shared()

    def check_wall(self, host: str, mark: Mark) -> None:
        """Before a machine has taps, the firewall knows what they may send, and translates what its networks need translated."""
        wanted = [self.networks.get((host, f"{mark.stack}/{nic.network}")) for nic in mark.spec.nics if not nic.external]
        networks = [network for network in wanted if network]
        part = self.parts.get(host)
        if part is None:  # no step changed anything: what was in force is what is needed
            assert not networks or self.marks[host, mark.stack] in self.hosts[host].firewall
            return
        self.check_joined(host, part, networks)
        taps = part.elements.get((BRIDGE, "taps"), frozenset())
        assert {f'"{mark.tap(nic)}"' for nic in mark.spec.nics if not nic.spoofing} <= taps
        natted = [ip_network(subnet) for subnet in part.elements.get((INET, "natted4"), ())]
        for network in networks:
            if network.access == "nat":
                assert any(_overlap(network.subnet, str(subnet)) for subnet in natted)

    def check_joined(self, host: str, part: Part, networks: list[world.Network]) -> None:
        """Each network is joined to every other host with machines in it."""
        found = {overlay.bridge: overlay for overlay in part.overlays}
        for network in networks:
            copies = [copy for (at, ref), copy in self.networks.items() if ref == network.ref and at != host]
            others = {copy.host for copy in copies if any(self._is_on(domain, copy) for domain in self.domains.values())}
            if others and network.access in ("nat", "isolated", "routed"):
                assert {self.hosts[other].entry.address for other in others} <= set(found[network.bridge].peers)
        assert self.hosts[host].overlays >= part.overlays

    def do_firewall_apply(self, step: Step, args: dict[str, Any]) -> None:
        host, stack = self.hosts[step.host], args["stack"]
        assert stack == self.plan.stack
        part = self.parts[step.host] = self.plan.parts[args["part"]] if args["part"] else Part()
        bridges = {network.bridge for network in self.networks.values() if network.host == step.host}
        assert {overlay.bridge for overlay in part.overlays} <= bridges, f"{step.id} before its network is there"
        theirs = {overlay for overlay in host.overlays if not self._is_of(overlay, stack)}
        host = self.hosts[step.host] = replace(host, overlays=frozenset({*theirs, *part.overlays}))
        for domain in self.domains.values():
            if domain.live.stack == stack and domain.state in ("running", "paused") and step.host == domain.host:
                self.check_wall(step.host, domain.live)
        old = self.marks.get((step.host, stack), "")
        mark = "" if part.is_empty else make_part_mark(stack, part)
        self.hosts[step.host] = replace(host, firewall=(host.firewall - {old}) | ({mark} if mark else set()))
        self.marks[step.host, stack] = mark

    def _is_of(self, overlay: Overlay, stack: str) -> bool:
        numbers = {names.make_vni(n.stack, n.name) for n in (*self.networks.values(), *self.before.networks) if n.stack == stack}
        return overlay.vni in numbers

    def _is_ready(self, ref: str) -> bool:
        domain = self.domains.get(ref)
        return domain is not None and domain.state == "running" and domain.level != ""

    def check_shared(self) -> None:
        """What two machines must not share, they do not share: devices, addresses, files; nor more memory than there is."""
        on = [d for d in self.domains.values() if d.state in ("running", "paused")]
        for what in (
            [nic.mac for d in on for nic in d.live.spec.nics],
            [d.live.tap(nic) for d in on for nic in d.live.spec.nics],
            [(d.live.stack, nic.network, nic.address) for d in on for nic in d.live.spec.nics if nic.address],
            [volume for d in on for volume in d.live.volumes],
            [d.live.uuid for d in self.domains.values()],
            [(host, n.bridge) for (host, _), n in self.networks.items() if not n.access.startswith(("bridge:", "direct:"))],
        ):
            assert len(set(what)) == len(what)
        for host in self.hosts.values():
            assert sum(d.live.spec.memory_max or d.live.spec.memory for d in on if d.host == host.name) <= host.memory

    def do_machine_ready(self, step: Step, args: dict[str, Any]) -> None:
        domain = self.domains[args["machine"]]
        assert domain.state == "running"
        domain.level = self.plan.machines[args["machine"]].mark.spec.level

    def do_machine_resume(self, step: Step, args: dict[str, Any]) -> None:
        domain = self.domains[args["machine"]]
        assert domain.state == "paused"
        domain.state, domain.reason = "running", ""

    def do_machine_live(self, step: Step, args: dict[str, Any]) -> None:
        domain = self.domains[args["machine"]]
        assert domain.state in ("running", "paused")
        for volume, size in args["grow"].items():
            self._make(step, volume, size)
        assert not set(args["attach"]) - self.volumes.keys()
        assert not set(args["detach"]) - set(domain.live.volumes)
        self._move_nics(domain, args)
        domain.live = domain.defined
        self.check_shared()

    def _move_nics(self, domain: Domain, args: dict[str, Any]) -> None:
        """NICs that stay do so as they are; those that are plugged in have a network, and an address that is theirs."""
        before, after = ({nic.mac: nic for nic in mark.spec.nics} for mark in (domain.live, domain.defined))
        assert before.keys() - set(args["unplug"]) | set(args["plug"]) == after.keys()
        for mac in before.keys() - set(args["unplug"]):
            assert (before[mac].network, before[mac].model) == (after[mac].network, after[mac].model)
        for mac in args["plug"]:
            network = self.networks[domain.host, f"{domain.live.stack}/{after[mac].network}"]
            assert network.active
            assert not after[mac].address or (mac, after[mac].address) in {(r.mac, r.address) for r in network.reservations}
        assert (domain.live.seed_volume == domain.defined.seed_volume) == (not args["seed"])

    def do_machine_stop(self, step: Step, args: dict[str, Any]) -> None:
        domain = self.domains[args["machine"]]
        domain.state, domain.reason, domain.level = "stopped", "shut down", ""

    def do_machine_undefine(self, step: Step, args: dict[str, Any]) -> None:
        assert args["machine"].startswith(f"{self.plan.stack}/")
        assert self.domains.pop(args["machine"]).state == "stopped"


def _overlap(one: str, other: str) -> bool:
    return ip_network(one).overlaps(ip_network(other))
