"""The declared stack, worked out against the world: every machine and network as it should be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tinycloud.errors import NotFound, Refused, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.disk import Cd, DiskTuning, IoLimits
from tinycloud.model.machine import CpuSpec, MachineSpec, Mark, VolumeSpec, make_digest
from tinycloud.model.plan import NetworkWanted, Wanted
from tinycloud.model.sheet import Sheet
from tinycloud.model.units import Bytes
from tinycloud.model.world import World
from tinycloud.plan.addressing import Addressing
from tinycloud.plan.asking import Asking, make_placing
from tinycloud.plan.clash import check_domains, check_networks
from tinycloud.plan.hand import carry_hand, list_leaving
from tinycloud.plan.healing import has_own_disks, is_frozen
from tinycloud.plan.images import get_meaning
from tinycloud.plan.joined import check_joined, choose_mtu
from tinycloud.plan.naming import make_names, make_options
from tinycloud.plan.outer import check_outer, find_switched
from tinycloud.plan.outside import lead_in
from tinycloud.plan.place import arrange, choose_hypervisor
from tinycloud.plan.pools import Book, check_pools
from tinycloud.plan.preparing import check_way, find_way, make_digests
from tinycloud.plan.processor import choose_processor
from tinycloud.plan.resolve import Known, canonical
from tinycloud.plan.rules import check_enforced, limit_level, make_policies
from tinycloud.plan.spans import Spans, span
from tinycloud.plan.subnets import check_subnets, choose_subnets, choose_subnets6

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network

    from tinycloud.model.access import PolicySpec
    from tinycloud.model.disk_keys import DiskOptions, Volume
    from tinycloud.model.machine import NicSpec
    from tinycloud.model.stack import Group, Stack
    from tinycloud.model.world import Host, Image, Machine
    from tinycloud.plan.place import Arrangement
    from tinycloud.source import Loaded


@dataclass(frozen=True)
class Desired:
    """What should exist. ``memory`` is what the hosts have to give for it, beyond what its machines have now."""

    machines: dict[str, Wanted]
    networks: dict[str, NetworkWanted]
    outputs: dict[str, Any]
    memory: int = 0
    book: Book = field(default_factory=lambda: Book(World()))
    """What the pools still have for disks."""


@dataclass
class _Draft:
    """A machine whose guest section still waits for the addresses of the others."""

    host: Host
    why: str
    mark: Mark
    group: Group
    image: Image | None


@dataclass
class Designer:
    """Works out one stack against one world."""

    loaded: Loaded
    world: World
    spare: str = "auto"
    only: frozenset[str] | None = None
    """The machines that may be changed; None for all."""
    _subnets: dict[str, IPv4Network | None] = field(default_factory=dict)
    _subnets6: dict[str, str] = field(default_factory=dict)
    _policies: dict[str, tuple[PolicySpec, ...]] = field(default_factory=dict)
    _spans: Spans = field(default_factory=dict)

    @property
    def stack(self) -> Stack:
        return self.loaded.stack

    def design(self) -> Desired:
        """Raises Refused with what is in the way: a clash, a missing image, no host, an unknown reference."""
        if len(self.world.hosts) < 2:  # what is in the way there is said before anything else
            self._check_networks(dict.fromkeys(self.stack.networks, (self.world.home,)))
        check_pools(self.stack, self.world)
        self._subnets = choose_subnets(self.stack, self.world)
        self._subnets6 = choose_subnets6(self.stack, self.world)
        self._addressing = Addressing(self.stack, self.world, self._subnets, self._subnets6, self._mtus)
        where = self._place()
        drafts = [draft for name in sorted(self.stack.groups) for draft in self._draft_group(name, where)]
        check_domains(((draft.host.name, draft.mark) for draft in drafts), self.world)
        accesses = {name: it.access for name, it in self.stack.networks.items()}
        self._spans = span(self.stack.stack, accesses, [(draft.host.name, draft.mark) for draft in drafts], self.world)
        if len(self.world.hosts) > 1:
            self._check_networks(self._spans)
            check_subnets(self.stack.stack, self._subnets, self._subnets6, self._spans, self.world)
            check_joined(self.stack, self._spans, self.world)
        self._lead_in(drafts)
        known = self._known(drafts)
        machines = {draft.mark.ref: self._finish(draft, known) for draft in drafts}
        outputs = {name: known.tree(value, None) for name, value in self.stack.outputs.items()}
        return Desired(machines, self._networks(machines, known), outputs, where.taken, where.book)

    # networks

    def _check_networks(self, spans: Spans) -> None:
        ours = {name: hosts for name, hosts in spans.items() if not self.stack.networks[name].external}
        check_networks(self.stack.stack, ours, self.world)
        check_outer(self.stack, spans, self.world)

    @cached_property
    def _mtus(self) -> dict[str, int | None]:
        present = {name: self.world.find_network(f"{self.stack.stack}/{name}") for name in self.stack.networks}
        networks = self.stack.networks.items()
        return {name: it.mtu if it.outer else choose_mtu(it.mtu, present[name], self.world) for name, it in networks}

    @property
    def _bridges(self) -> dict[str, str]:
        """Of networks that are one, ours or the host's."""
        networks = self.stack.networks.items()
        return {name: it.bridge or names.make_bridge(self.stack.stack, name) for name, it in networks if it.bridge or not it.outer}

    def _networks(self, machines: dict[str, Wanted], known: Known) -> dict[str, NetworkWanted]:
        lines: dict[str, list[tuple[str, str, str]]] = {
            name: [] for name in sorted(self.stack.networks) if not self.stack.networks[name].external
        }
        for wanted in machines.values():
            for network, row in _reserve(wanted.mark):
                lines[network].append(row)
        marks = [wanted.mark for wanted in machines.values()]
        return {
            name: self._own_template(replace(self._network(name, tuple(sorted(rows))), sheet=self._sheet(name, marks)), known)
            for name, rows in lines.items()
        }

    def _sheet(self, name: str, marks: list[Mark]) -> Sheet:
        if not self._subnets[name]:
            return Sheet()
        records = {word: values for other in sorted(self.stack.networks) for word, values in self.stack.networks[other].records.items()}
        own = {**records, **self.stack.networks[name].records}
        return Sheet(
            make_names(self.stack.stack, name, marks, own),
            make_options(
                self.stack.networks[name], [nic for mark in marks for nic in mark.spec.nics if nic.network == name], self._subnets[name]
            ),
        )

    def _own_template(self, wanted: NetworkWanted, known: Known) -> NetworkWanted:
        declared = self.stack.networks[wanted.name]
        if not declared.template:
            return wanted
        values = known.tree(declared.values, None)
        custom = make_digest([self.loaded.templates[declared.template], canonical(values)])[:24]
        return replace(wanted, template=declared.template, values=values, custom=custom)

    def _network(self, name: str, rows: tuple[tuple[str, str, str], ...]) -> NetworkWanted:
        declared = self.stack.networks[name]
        subnet = self._subnets[name]
        bridge = self._bridges.get(name, "")
        hosts = self._spans[name]
        present = self.world.find_network(f"{self.stack.stack}/{name}")
        mac = "" if declared.outer else (present and present.mac) or names.make_gateway_mac(self.stack.stack, name)
        it = NetworkWanted(hosts, self.stack.stack, name, str(subnet or ""), declared.access, bridge, self._mtus[name], rows, mac=mac)
        it = replace(it, subnet6=self._subnets6.get(name, ""), vlan=declared.vlan, switched=find_switched(declared, hosts, self.world))
        return it.on(hosts[0])

    # machines

    def _place(self) -> Arrangement:
        """A host for each machine: those that exist stay where they are."""
        asking = Asking(self.stack, self.world, self.only)
        for name, group in sorted(self.stack.groups.items()):
            image = self._get_image(name, group.image)
            asking.ask(name, group, image, self._disk_size(name, group, image))
        return arrange(self.world, asking.stays, asking.needs, self.spare)

    def _draft_group(self, name: str, where: Arrangement) -> list[_Draft]:
        group = self.stack.groups[name]
        image = self._get_image(name, group.image)
        return [self._draft(name, group, index, image, where) for index in range(1, group.count + 1)]

    def _lead_in(self, drafts: list[_Draft]) -> None:
        if self.stack.forwards or self.stack.floating:
            subnets = [(name, str(it)) for table in (self._subnets, self._subnets6) for name, it in table.items() if it]
            specs = lead_in(self.stack, self.world, [(draft.host.name, draft.mark) for draft in drafts], subnets)
            for draft in drafts:
                draft.mark = replace(draft.mark, spec=specs[draft.mark.machine])

    def _get_image(self, name: str, label: str | None) -> Image | None:
        return self._find_image(name, label) if label else None

    def _find_image(self, name: str, label: str) -> Image:
        """The image that ``label`` means in this stack: one of ``images:``, or of the store."""
        use = self.stack.images.get(label)
        source = use.source if use else label
        image = get_meaning(self.world, self.loaded.images.get(label, source))
        if image is None:
            there = sorted({label for image in self.world.images for label in image.names})
            raise NotFound(
                f'group "{name}": there is no image "{source}"',
                facts=[f"images: {', '.join(there) or 'none'}"],
                hint=_how_to_get(source, there if use else [*there, *self.stack.images]),
            )
        return replace(image, user=use.user) if use and use.user else image

    def _draft(self, name: str, group: Group, index: int, image: Image | None, where: Arrangement) -> _Draft:
        machine = names.make_machine_name(name, index)
        present = self.world.machine_by_ref.get(f"{self.stack.stack}/{machine}")
        host, why = where.places[f"{self.stack.stack}/{machine}"]
        generation = present.mark.generation + present.is_lost if present else 1
        if present and (has_own_disks(present) or is_frozen(self.world, present, self.only)):
            spec = present.mark.spec
            image = self.world.find_image(spec.image) if spec.image else None
            if present.is_lost:
                spec = replace(spec, hypervisor=choose_hypervisor(group.hypervisor, host, spec.hypervisor))
        else:
            spec = self._spec(name, group, machine, image, host, present)
        return _Draft(host, why, Mark(self.stack.stack, name, index, spec, generation), group, image)

    def _spec(self, name: str, group: Group, machine: str, image: Image | None, host: Host, present: Machine | None) -> MachineSpec:
        old = present.mark.spec if present else None
        pool = group.pool or names.DEFAULT_POOL
        nics = self._addressing.make_nics(group, machine, int(machine.rpartition("-")[2]), old)
        policies = self._get_policies(name, group)
        check_enforced(name, policies, nics, self.stack.networks)
        spec = MachineSpec(
            image=image.sha if image else None,
            image_name=group.image or "",
            memory=group.memory,
            memory_max=group.memory_max,
            disk=self._disk_size(name, group, image),
            hypervisor=choose_hypervisor(group.hypervisor, host, old.hypervisor if old else None),
            cpus=CpuSpec(**group.cpus.model_dump()),
            disk_bus=group.disk_bus,
            disk_encrypt=group.disk_encrypt,
            nics=nics,
            policies=policies,
            disk_tuning=make_tuning(group.disk_options),
            cdrom=self._drive(name, group),
            volumes=tuple(self._volume(name, volume, pool, old) for volume in group.volumes),
            boot=group.boot,
            firmware=group.firmware,
            graphics=group.graphics,
            serial=group.serial,
            autostart=group.autostart,
            user=image.user if image else "root",
            level=self._limit_level(_level(group, image), group, policies, nics),
            offline=find_way(group, image) == "offline",
            stop_limit=float(group.stop_timeout),
            needs=tuple(sorted(group.needs)),
            disk_generation=old.disk_generation if old else 1,
            pool=pool,
            placing=make_placing(group),
        )
        spec = replace(spec, processor=choose_processor(self.world, spec, host.name, present))
        there = (name for name in list_leaving(old, spec) if names.data_name(self.stack.stack, machine, name) in self.world.volume_by_name)
        return replace(carry_hand(f"{self.stack.stack}/{machine}", old, spec), leaving=tuple(there))

    def _get_policies(self, name: str, group: Group) -> tuple[PolicySpec, ...]:
        """Those of a group; made once."""
        if name not in self._policies:
            self._policies[name] = make_policies(group.policies, self.stack.policies)
        return self._policies[name]

    def _limit_level(self, level: str, group: Group, policies: tuple[PolicySpec, ...], nics: tuple[NicSpec, ...]) -> str:
        gateways = {name: str(subnet[1]) for name, subnet in self._subnets.items() if subnet}
        return limit_level(level, policies, nics, gateways, static=group.guest.network == "static")

    def _drive(self, name: str, group: Group) -> Cd | None:
        if group.cdrom is None:
            return None
        image = self._find_image(name, group.cdrom.image) if group.cdrom.image else None
        return Cd(image.sha, group.cdrom.image or "", image.format, group.cdrom.bus) if image else Cd(bus=group.cdrom.bus)

    def _volume(self, group: str, volume: Volume, pool: str, old: MachineSpec | None) -> VolumeSpec:
        """A volume that is there keeps what it was made from: what the name means by now is not on it."""
        v, tuning = volume, make_tuning(volume)
        spec = VolumeSpec(v.name, v.size, v.keep, v.bus, v.encrypt, v.pool or pool, readonly=v.readonly, tuning=tuning)
        present = next((it for it in old.volumes if it.name == volume.name), None) if old else None
        if present is not None:
            return replace(spec, image=present.image, image_format=present.image_format)
        image = self._get_image(group, volume.image)
        if image is not None and volume.size < image.size:
            raise Refused(
                f'volume {volume.name} of group "{group}" is {volume.size}, its image {image.label} is {image.size}',
                code="too-small",
                hint=f"size: {image.size}, or more",
            )
        return replace(spec, image=image.sha, image_format=image.format) if image is not None else spec

    def _disk_size(self, name: str, group: Group, image: Image | None) -> Bytes:
        size = group.disk or (image.size if image else Bytes(0))
        if image and size < image.size:
            raise Refused(
                f'disk of group "{name}" is {size}, its image {image.label} is {image.size}',
                code="too-small",
                hint=f"disk: {image.size}, or more",
            )
        return Bytes(-(-size // 512) * 512)

    # what needs everybody's address

    def _known(self, drafts: list[_Draft]) -> Known:
        subnets = {name: str(subnet or "") for name, subnet in self._subnets.items()}
        known = Known(self.stack.stack, subnets, self._bridges, {name: [] for name in self.stack.groups})
        for draft in drafts:
            known.groups[draft.mark.group].append(draft.mark)
        return known

    def _finish(self, draft: _Draft, known: Known) -> Wanted:
        guest = known.guest(draft.group.guest, draft.mark)
        values = known.tree(draft.group.values, draft.mark)
        group = draft.group.model_copy(update={"values": values}) if values else draft.group
        way = find_way(draft.group, draft.image)
        check_way(draft.mark.group, group, guest, way)
        present = self.world.machine_by_ref.get(draft.mark.ref)
        is_new = present is None or (present.is_lost and not has_own_disks(present))
        digest, seed = make_digests(way, guest, draft.mark.spec, None if is_new or present is None else present.mark.spec)
        spec = replace(
            draft.mark.spec, guest=digest, seed=seed, custom=self._custom(group), disk_custom=self._disk_custom(group, group.disk_template)
        )
        volumes = (replace(v, custom=self._disk_custom(group, d.template)) for v, d in zip(spec.volumes, group.volumes, strict=True))
        spec = replace(spec, volumes=tuple(volumes))
        image_format = draft.image.format if draft.image else ""
        return Wanted(draft.host.name, replace(draft.mark, spec=spec), group, guest, draft.why, image_format)

    def _custom(self, group: Group) -> str:
        if not (group.template or group.values or group.xml):
            return ""
        text = self.loaded.templates.get(group.template or "", "")
        return make_digest([text, canonical(group.values), canonical(group.xml)])[:24]

    def _disk_custom(self, group: Group, template: str | None) -> str:
        """Digest of a disk's own template, and of the values where it uses any: the other templates of the group have them too."""
        text = self.loaded.templates.get(template or "", "")
        return make_digest([text, *([canonical(group.values)] if "values" in text else [])])[:24] if template else ""


def make_tuning(options: DiskOptions | Volume) -> DiskTuning:
    """What the file says about how a disk is handed to the guest; what has its default is left empty."""
    words = {key: "" if (word := getattr(options, key)) in ("default", "off") else word for key in ("cache", "io", "detect_zeroes")}
    return DiskTuning(serial=options.serial or "", discard=options.discard, limits=IoLimits(**options.limits.model_dump()), **words)


def _reserve(mark: Mark) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """(network, line of its DHCP) for every address. A name stands for one address: a second NIC in a network has one of its own."""
    seen: set[str] = set()
    for number, nic in enumerate(mark.spec.nics, start=1):
        if nic.address:
            yield nic.network, (nic.mac, nic.address, f"{mark.machine}-nic{number}" if nic.network in seen else mark.machine)
        seen.add(nic.network)


def _how_to_get(source: str, known: list[str]) -> str:
    if source == "nano":
        return "tinycloud image build nano"
    if "://" in source:
        return f"tinycloud image pull {source} --sha256 SUM"
    if "/" in source:
        return f"tinycloud image import {source} --name NAME"
    return make_did_you_mean(source, known) or f"tinycloud image catalogue; tinycloud image import FILE --name {source}"


def _level(group: Group, image: Image | None) -> str:
    """How far a machine can be seen to come: without a NIC it is only started, and only cloud-init reports that it is done."""
    if not group.networks or image is None:
        return "started"
    return "ssh" if group.ready.level == "done" and find_way(group, image) != "cloud-init" else group.ready.level
