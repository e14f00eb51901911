"""The declared stack, worked out against the world: every machine and network as it should be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from tinycloud.errors import Clash, NotFound, NotYet, Refused, make_did_you_mean
from tinycloud.model import names
from tinycloud.model.machine import CpuSpec, MachineSpec, Mark, NicSpec, VolumeSpec, make_digest
from tinycloud.model.plan import NetworkWanted, Wanted
from tinycloud.model.units import Bytes
from tinycloud.plan.address import AddressBook, assign_mac, check_free, choose_subnet
from tinycloud.plan.place import Need, Rooms, choose_hypervisor
from tinycloud.plan.resolve import Known, canonical

if TYPE_CHECKING:
    from tinycloud.model.stack import Group, Stack
    from tinycloud.model.world import Host, Image, Machine, World
    from tinycloud.source import Loaded


@dataclass(frozen=True)
class Desired:
    """What should exist."""

    machines: dict[str, Wanted]
    networks: dict[str, NetworkWanted]
    outputs: dict[str, Any]


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
    _subnets: dict[str, IPv4Network | None] = field(default_factory=dict)
    _books: dict[str, AddressBook] = field(default_factory=dict)
    _macs: set[str] = field(default_factory=set)

    @property
    def stack(self) -> Stack:
        return self.loaded.stack

    def design(self) -> Desired:
        """Raises Refused with what is in the way: a clash, a missing image, no host, an unknown reference."""
        self._choose_subnets()
        self._keep_addresses()
        rooms = Rooms(self.world.hosts)
        drafts = [draft for name in sorted(self.stack.groups) for draft in self._draft_group(name, rooms)]
        self._check_names(drafts)
        known = self._known(drafts)
        machines = {draft.mark.ref: self._finish(draft, known) for draft in drafts}
        outputs = {name: known.tree(value, None) for name, value in self.stack.outputs.items()}
        return Desired(machines, self._networks(machines), outputs)

    # networks

    def _choose_subnets(self) -> None:
        """Declared subnets as declared; an automatic one as it exists already, else a free one."""
        taken = self._taken()
        for name, network in sorted(self.stack.networks.items(), key=lambda item: item[1].subnet is None):
            present = self.world.network_by_ref.get(f"{self.stack.stack}/{name}")
            if network.bridge:
                self._subnets[name] = None
                continue
            if network.subnet is None and present is not None and present.subnet:
                subnet = IPv4Network(present.subnet)
            else:
                subnet = network.subnet or choose_subnet(self.stack.stack, name, taken)
                check_free(name, subnet, taken)
            self._subnets[name] = subnet
            taken.append((str(subnet), f"network {name} of this stack"))
            self._books[name] = AddressBook(name, subnet)

    def _taken(self) -> list[tuple[str, str]]:
        foreign = [pair for host in self.world.foreign for pair in host.subnets]
        mine = self.stack.stack
        others = [(n.subnet, f"network {n.ref}") for n in self.world.networks if n.subnet and n.stack != mine]
        return [*foreign, *others]

    def _keep_addresses(self) -> None:
        """What machines of this stack have now is theirs; it is taken before anything is handed out."""
        for machine in self.world.stack_machines(self.stack.stack):
            for nic in machine.mark.spec.nics:
                self._macs.add(nic.mac)
                if nic.address and nic.network in self._books and machine.mark.group in self.stack.groups:
                    self._books[nic.network].keep(nic.address)

    def _networks(self, machines: dict[str, Wanted]) -> dict[str, NetworkWanted]:
        lines: dict[str, list[tuple[str, str, str]]] = {name: [] for name in self.stack.networks}
        for wanted in machines.values():
            for nic in wanted.mark.spec.nics:
                if nic.address:
                    lines[nic.network].append((nic.mac, nic.address, wanted.mark.machine))
        host = self.world.hosts[0].name if self.world.hosts else "local"
        return {name: self._network(name, host, tuple(sorted(rows))) for name, rows in lines.items()}

    def _network(self, name: str, host: str, rows: tuple[tuple[str, str, str], ...]) -> NetworkWanted:
        declared = self.stack.networks[name]
        subnet = self._subnets[name]
        bridge = declared.bridge or names.make_bridge(self.stack.stack, name)
        return NetworkWanted(host, self.stack.stack, name, str(subnet or ""), declared.access, bridge, declared.mtu, rows)

    # machines

    def _draft_group(self, name: str, rooms: Rooms) -> list[_Draft]:
        group = self.stack.groups[name]
        if group.policies:
            raise NotYet(
                f'group "{name}" has policies, and this version does not enforce access rules',
                facts=["a rule that is not enforced is worse than none"],
                hint="take policies: out of the group",
            )
        image = self._get_image(name, group)
        return [self._draft(name, group, index, image, rooms) for index in range(1, group.count + 1)]

    def _get_image(self, name: str, group: Group) -> Image | None:
        if group.image is None:
            return None
        use = self.stack.images.get(group.image)
        source = use.source if use else group.image
        if "://" in source:
            raise NotYet(
                f'image "{source}" is an address, and this version does not pull images', hint="tinycloud image import FILE --name NAME"
            )
        image = self.world.find_image(source)
        if image is None:
            known = sorted({*self.stack.images, *(n for i in self.world.images for n in i.names)})
            raise NotFound(
                f'group "{name}": there is no image "{source}"',
                facts=[f"images: {', '.join(sorted({n for i in self.world.images for n in i.names})) or 'none'}"],
                hint=make_did_you_mean(source, known) or _how_to_get(source),
            )
        return replace(image, user=use.user) if use and use.user else image

    def _draft(self, name: str, group: Group, index: int, image: Image | None, rooms: Rooms) -> _Draft:
        machine = names.make_machine_name(name, index)
        present = self.world.machine_by_ref.get(f"{self.stack.stack}/{machine}")
        memory = group.memory_max or group.memory
        if present is None:
            host, why = rooms.place(Need(f"{self.stack.stack}/{machine}", memory, group.hypervisor, group.firmware))
        else:
            host, why = self.world.host_by_name[present.host], "where it is"
            old = present.mark.spec.memory_max or present.mark.spec.memory
            rooms.grow(host.name, present.ref, max(0, memory - old) if present.state != "stopped" else memory)
        spec = self._spec(name, group, machine, image, host, present)
        generation = present.mark.generation if present else 1
        return _Draft(host, why, Mark(self.stack.stack, name, index, spec, generation), group, image)

    def _spec(self, name: str, group: Group, machine: str, image: Image | None, host: Host, present: Machine | None) -> MachineSpec:
        old = present.mark.spec if present else None
        return MachineSpec(
            image=image.sha if image else None,
            image_name=group.image or "",
            memory=group.memory,
            memory_max=group.memory_max,
            disk=self._disk_size(name, group, image),
            hypervisor=choose_hypervisor(group.hypervisor, host, old.hypervisor if old else None),
            cpus=CpuSpec(**group.cpus.model_dump()),
            disk_bus=group.disk_bus,
            nics=tuple(self._nics(group, machine, old)),
            volumes=tuple(VolumeSpec(v.name, v.size, v.keep, v.bus) for v in group.volumes),
            boot=group.boot,
            firmware=group.firmware,
            graphics=group.graphics,
            serial=group.serial,
            autostart=group.autostart,
            user=image.user if image else "root",
            level=_level(group, image),
            stop_limit=float(group.stop_timeout),
            needs=tuple(sorted(group.needs)),
            disk_generation=old.disk_generation if old else 1,
        )

    def _disk_size(self, name: str, group: Group, image: Image | None) -> Bytes:
        size = group.disk or (image.size if image else Bytes(0))
        if image and size < image.size:
            raise Refused(
                f'disk of group "{name}" is {size}, its image {image.label} is {image.size}',
                code="wrong-value",
                hint=f"disk: {image.size}, or more",
            )
        return Bytes(-(-size // 512) * 512)

    def _nics(self, group: Group, machine: str, old: MachineSpec | None) -> list[NicSpec]:
        before = {nic.network: nic for nic in old.nics} if old else {}
        out = []
        for nic in group.networks:
            present = before.get(nic.network)
            book = self._books.get(nic.network)
            mac = present.mac if present else assign_mac(self.stack.stack, machine, nic.network, self._macs)
            kept = present.address if present and present.address and book and _inside(present.address, book) else None
            address = kept or (book.assign() if book else None)
            out.append(NicSpec(nic.network, mac, address, nic.model))
        return out

    def _check_names(self, drafts: list[_Draft]) -> None:
        """No domain, ours or foreign, may have a name that this stack is about to use for another machine."""
        foreign = {(f.host, domain) for f in self.world.foreign for domain in f.domains}
        others = {(m.host, m.mark.domain): m.ref for m in self.world.machines}
        for draft in drafts:
            key = (draft.host.name, draft.mark.domain)
            if key in foreign:
                raise Clash(
                    f"host {draft.host.name} has a domain {draft.mark.domain} that is not ours", hint="rename the stack or the group"
                )
            if others.get(key, draft.mark.ref) != draft.mark.ref:
                raise Clash(
                    f"{draft.mark.ref} and {others[key]} would both be domain {draft.mark.domain}", hint="rename the stack or the group"
                )

    # what needs everybody's address

    def _known(self, drafts: list[_Draft]) -> Known:
        subnets = {name: str(subnet or "") for name, subnet in self._subnets.items()}
        bridges = {name: n.bridge or names.make_bridge(self.stack.stack, name) for name, n in self.stack.networks.items()}
        known = Known(self.stack.stack, subnets, bridges, {name: [] for name in self.stack.groups})
        for draft in drafts:
            known.groups[draft.mark.group].append(draft.mark)
        return known

    def _finish(self, draft: _Draft, known: Known) -> Wanted:
        guest = known.guest(draft.group.guest, draft.mark)
        values = known.tree(draft.group.values, draft.mark)
        group = draft.group.model_copy(update={"values": values}) if values else draft.group
        digest = ""
        if draft.image is not None and draft.image.seed:
            nics = [(nic.network, nic.mac) for nic in draft.mark.spec.nics]
            digest = make_digest([canonical(guest), nics, draft.mark.spec.user])
        elif guest.model_fields_set:
            raise NotYet(
                f'group "{draft.mark.group}" has a guest section, and its image reads no seed',
                facts=["preparing an image without cloud-init is not done by this version"],
                hint="take guest: out of the group, or import the image with --seed",
            )
        spec = replace(draft.mark.spec, guest=digest, custom=self._custom(group))
        image_format = draft.image.format if draft.image else ""
        return Wanted(draft.host.name, replace(draft.mark, spec=spec), group, guest, draft.why, image_format)

    def _custom(self, group: Group) -> str:
        if not (group.template or group.values or group.xml):
            return ""
        text = self.loaded.templates.get(group.template or "", "")
        return make_digest([text, canonical(group.values), canonical(group.xml)])[:24]


def _how_to_get(source: str) -> str:
    if source in ("nano", "debian-12"):
        return f"tinycloud image build {source}"
    return f"tinycloud image import FILE --name {source}"


def _inside(address: str, book: AddressBook) -> bool:
    return IPv4Address(address) in book.subnet


def _level(group: Group, image: Image | None) -> str:
    """How far a machine can be seen to come: without a NIC it is only started, without a seed it never reports done."""
    if not group.networks or image is None:
        return "started"
    return "ssh" if group.ready.level == "done" and not image.seed else group.ready.level
