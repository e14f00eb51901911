"""The world, read from the hosts: what carries our mark, what is foreign and in the way."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.engine import seen
from tinycloud.engine.ask import ask_all, be_silent
from tinycloud.engine.begin import begin
from tinycloud.engine.read_links import find_wire, list_links, list_routes, make_links, read_overlays
from tinycloud.engine.read_pools import read_pools
from tinycloud.engine.room import find_pool
from tinycloud.errors import LibvirtFailed, TinycloudError
from tinycloud.model import names, world
from tinycloud.model.pool import MAIN_PATH
from tinycloud.model.sheet import Sheet
from tinycloud.model.units import Bytes
from tinycloud.templates.own import has_sheet, list_reservations, read_network
from tinycloud.templates.xml import read_live, read_mark, read_processor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tinycloud.drivers.ground import Ground
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.records import DomainRecord, HostRecord, NetworkRecord, VolumeRecord


def read_world(hosts: Iterable[Host]) -> world.World:
    """Everything on all hosts, each host read by a thread of its own; one that does not answer is there as it was last seen."""
    targets = list(hosts)
    found = _on_all(targets, _read_host if len(targets) == 1 else _read_one_of_many)
    if len(found) > 1:
        for host, part in found:
            if part.hosts and not part.hosts[0].unreachable:
                seen.save(host, part)
    whole = world.merge_worlds(part for _, part in found)
    return replace(whole, processor=_find_processor({host.name: host for host, _ in found}, whole)) if len(found) > 1 else whole


def _find_processor(hosts: dict[str, Host], found: world.World) -> str:
    """What the processors of all hosts with KVM have in common; those that do not answer count as they were last seen."""
    with_kvm = [host for host in found.hosts if host.cpu]
    asked = next((hosts[host.name] for host in with_kvm if not host.unreachable), None)
    if len(with_kvm) < 2 or asked is None:
        return ""
    [(_, answer)] = ask_all([asked], lambda host: host.find_common([it.cpu for it in with_kvm]), alone=False)
    return read_processor(answer) if isinstance(answer, str) and answer else ""


def remember(hosts: Iterable[Host]) -> None:
    """Keep what these hosts have now; one that does not answer stays as it was seen."""
    for host, part in ask_all(hosts, _read_one_of_many, alone=False):
        if not isinstance(part, TinycloudError):
            seen.save(host, part)


def read_machines(hosts: Iterable[Host]) -> world.World:
    """Only machines and foreign domains: what listing needs, in a few calls a host. Of hosts, those that do not answer."""
    found = _on_all(hosts, _read_domains)
    if len(found) > 1:
        for host, part in found:
            if not part.hosts:
                seen.save_machines(host, part)
    return world.merge_worlds(part for _, part in found)


def read_networks(hosts: Iterable[Host]) -> world.World:
    """Networks and machines, without disks and pools."""

    def read(host: Host) -> world.World:
        ours, _ = _split_networks(host, host.networks.list_all(), host.networks.read_sheets)
        return replace(_read_domains(host), networks=tuple(ours))

    return world.merge_worlds(part for _, part in _on_all(hosts, read))


def _on_all(hosts: Iterable[Host], read: Callable[[Host], world.World]) -> list[tuple[Host, world.World]]:
    return [(host, _recall(host, it) if isinstance(it, TinycloudError) else it) for host, it in ask_all(hosts, read)]


def _recall(host: Host, err: TinycloudError) -> world.World:
    """A host whose libvirt is down, or that lacks a tool, cannot be worked with either."""
    reason = host.silence.reason if host.silence else be_silent(host, say(err))
    return seen.recall(host, reason)


def say(err: TinycloudError) -> str:
    """An error on one line."""
    return "; ".join([err.message, *err.facts[:1]])


def _read_one_of_many(host: Host) -> world.World:
    """The same with its processor, which matters where machines may move."""
    processor = begin(host, host.read_processor)
    models = {name: begin(host, partial(host.list_models, name)) for name in ("kvm", "qemu")}
    (it,) = (found := _read_host(host)).hosts
    has_kvm = "kvm" in it.hypervisors
    it = replace(it, cpu=processor() if has_kvm else "", cpu_models=models["kvm" if has_kvm else "qemu"]())
    return replace(found, hosts=(it,))


def _read_host(host: Host) -> world.World:
    look = begin(host, lambda: host.read_ground(MAIN_PATH))
    asked = (
        begin(host, lambda: _read_domains(host)),
        begin(host, host.networks.list_all),
        begin(host, lambda: _read_stock(host, look)),
        begin(host, host.secrets.list_volumes),
        begin(host, host.read_facts),
    )
    domains, records, stock, ground = asked[0](), asked[1](), asked[2](), look()
    networks, foreign_networks = _split_networks(host, records, ground.read_sheets)
    links = list_links(ground)
    ours = {network.bridge for network in networks if not network.access.startswith("bridge:")}
    foreign = world.Foreign(
        host.name,
        domains.foreign[0].domains,
        networks=tuple(sorted(n.name for n in foreign_networks)),
        **make_links(host, links, list_routes(ground), ours),
    )
    orphans = _list_orphans(host, asked[3](), {volume.name for volume in stock.volumes})
    marks = ground.firewall.find_marks() if domains.machines or networks else frozenset()  # nobody asks where nothing is ours
    overlays = read_overlays(ground, links)
    facts = replace(_make_facts(host, asked[4](), stock), firewall=marks, wire=find_wire(host, links), overlays=overlays)
    return world.World(
        hosts=(facts,),
        machines=domains.machines,
        networks=tuple(networks),
        volumes=stock.volumes,
        images=stock.images,
        foreign=(foreign,),
        broken=domains.broken,
        orphans=tuple(orphans),
    )


@dataclass(frozen=True, slots=True)
class _Stock:
    """What the pools of a host hold."""

    pool: world.Pool | None
    others: tuple[world.Pool, ...]
    volumes: tuple[world.Volume, ...]
    images: tuple[world.Image, ...]


def _read_stock(host: Host, look: Callable[[], Ground]) -> _Stock:
    measured = begin(host, lambda: find_pool(host, look=lambda: look().runner))
    records = {record.name: record for record in host.volumes.list_all()}
    cards = look().cards
    images = begin(host, lambda: _read_images(host, records, cards))
    pool, others = read_pools(host, records, measured, cards)
    volumes = [*_list_volumes(host, records), *(volume for _, found in others for volume in found)]
    return _Stock(pool, tuple(other for other, _ in others), tuple(volumes), tuple(images()))


def _list_orphans(host: Host, secrets: Mapping[str, str], present: set[str]) -> Iterator[world.Orphan]:
    for uuid, path in sorted(secrets.items()):
        name = path.rpartition("/")[2]
        if names.make_secret_uuid(name) == uuid and name not in present:
            yield world.Orphan(host.name, name)


def _read_domains(host: Host) -> world.World:
    machines, foreign, broken = [], [], []
    for record in host.domains.list_all():
        try:
            machine = read_machine(host.name, record)
        except ValueError as err:
            broken.append(f"{host.name}: domain {record.name}: {err}")
            continue
        if machine is None:
            foreign.append(record.name)
        else:
            machines.append(machine)
    machines.sort(key=lambda m: (m.mark.stack, m.mark.group, m.mark.index))
    return world.World(machines=tuple(machines), foreign=(world.Foreign(host.name, domains=tuple(sorted(foreign))),), broken=tuple(broken))


def read_machine(host: str, record: DomainRecord) -> world.Machine | None:
    """The machine a domain is, None for a foreign domain. Raises ValueError for a mark that cannot be read."""
    if names.NAMESPACE not in record.xml:
        return None
    root = etree.fromstring(record.xml)
    mark = read_mark(root)
    if mark is None or mark.uuid != record.uuid:
        return None  # a copy of our XML under another UUID is somebody else's machine
    return world.Machine(host, mark, record.state, record.reason, read_live(root))


def _split_networks(
    host: Host, records: list[NetworkRecord], read_sheets: Callable[[], dict[str, Sheet]]
) -> tuple[list[world.Network], list[NetworkRecord]]:
    ours, foreign = [], []
    sheets: dict[str, Sheet] | None = None
    for record in records:
        owner = find_owner(record)
        if owner:
            sheets = read_sheets() if sheets is None else sheets
            ours.append(_read_network(host.name, *owner, record, sheets))
        else:
            foreign.append(record)
    return ours, foreign


def find_owner(record: NetworkRecord) -> tuple[str, str] | None:
    """(stack, network) when the UUID is the one derived from the name; a name may split in several places."""
    words = record.name.split("-")
    for n in range(1, len(words)):
        stack, network = "-".join(words[:n]), "-".join(words[n:])
        if names.make_network_uuid(stack, network) == record.uuid:
            return stack, network
    return None


def _read_network(host: str, stack: str, name: str, record: NetworkRecord, sheets: dict[str, Sheet]) -> world.Network:
    root = etree.fromstring(record.xml)
    sheet = sheets.get(record.name, Sheet())
    return world.Network(
        host=host,
        stack=stack,
        name=name,
        **read_network(root),
        active=record.active,
        reservations=list_reservations(root, sheet),
        sheet=replace(sheet, reservations=None) if has_sheet(root) else None,
    )


def _list_volumes(host: Host, records: dict[str, VolumeRecord]) -> list[world.Volume]:
    """What is in the main pool and neither an image nor a card."""
    return [
        world.Volume(host.name, name, Bytes(record.capacity), Bytes(record.allocation))
        for name, record in sorted(records.items())
        if names.find_volume_name(name) or names.find_free_volume(name)
    ]


def _read_images(host: Host, records: dict[str, VolumeRecord], cards: Mapping[str, str] = MappingProxyType({})) -> list[world.Image]:
    with_card = [(sha, record) for name, record in records.items() if (sha := _image_with_card(name, records))]
    asked = [begin(host, partial(_find_image, host, sha, record, cards.get(names.image_card_name(sha)))) for sha, record in with_card]
    images = [image for answer in asked if (image := answer())]
    return sorted(images, key=lambda image: image.names)


def _image_with_card(name: str, records: dict[str, VolumeRecord]) -> str | None:
    sha = names.find_image_sha(name)
    return sha if sha and names.image_card_name(sha) in records else None


def read_images(host: Host) -> list[world.Image]:
    return _read_images(host, {record.name: record for record in host.volumes.list_all()})


def _find_image(host: Host, sha: str, record: VolumeRecord, told: str | None) -> world.Image | None:
    """The image of a card; None for one that is half written, or goes while we look."""
    try:
        return _read_image(host, sha, record, told or host.volumes.download_bytes(names.image_card_name(sha)))
    except (ValueError, KeyError, TypeError):
        return None
    except LibvirtFailed:
        if host.volumes.find(names.image_card_name(sha)) is None:
            return None
        raise


def _read_image(host: Host, sha: str, record: VolumeRecord, text: str | bytes) -> world.Image:
    card = json.loads(text)
    return world.Image(
        host=host.name,
        sha=sha,
        names=tuple(card.get("names", ())),
        format=card["format"],
        size=Bytes(card["size"]),
        stored=Bytes(record.allocation),
        user=card.get("user", "root"),
        prepare=card.get("prepare", "cloud-init"),
        **{key: card.get(key, "") for key in ("firmware", "disk_bus", "os", "base", "recipe", "source")},
        created=card.get("created", 0.0),
        sent=bool(card.get("sent")),
    )


def _make_facts(host: Host, facts: HostRecord, stock: _Stock) -> world.Host:
    return world.Host(
        name=host.name,
        arch=facts.arch,
        cpus=facts.cpus,
        memory=Bytes(facts.memory),
        memory_free=Bytes(facts.memory_free),
        hypervisors=facts.hypervisors,
        pool=stock.pool,
        uefi=facts.uefi,
        more_pools=stock.others,
        entry=host.entry,
    )
