"""The NICs of a running machine: unplugged and plugged in, with the seed that tells its guest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.engine.steps.plugged import detach_disk, find_disks, find_free_target, find_key, let_go, plug_in
from tinycloud.engine.steps.volume import pool_path
from tinycloud.errors import Failed, LibvirtFailed
from tinycloud.templates.domain import render_domain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.drivers.host import Host
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


@dataclass(frozen=True, slots=True)
class PluggedNic:
    """A NIC of a machine as libvirt has it."""

    mac: str
    xml: str
    source: tuple[str, ...] = ()
    """What tells where it leads: the kind, and the network, bridge or device."""
    model: str = ""
    tap: str = ""

    def is_card(self, other: PluggedNic) -> bool:
        """True when the guest and the network could not tell them apart."""
        return (self.mac, self.source, self.model) == (other.mac, other.source, other.model)


def read_nics(xml: str) -> dict[str, PluggedNic]:
    """The NICs of a domain's XML, by MAC."""
    found = (_read(nic) for nic in etree.fromstring(xml).findall("devices/interface") if nic.find("mac") is not None)
    return {nic.mac: nic for nic in found}


def _read(nic: Any) -> PluggedNic:
    source, model, target = nic.find("source"), nic.find("model"), nic.find("target")
    words = [source.get(word) for word in ("network", "bridge", "dev") if source.get(word)] if source is not None else []
    return PluggedNic(
        mac=nic.find("mac").get("address", "").lower(),
        xml=str(etree.tostring(nic, encoding="unicode")),
        source=(nic.get("type", ""), *words[:1]),
        model=model.get("type", "") if model is not None else "",
        tap=target.get("dev", "") if target is not None else "",
    )


def find_nics(host: Host, domain: str) -> dict[str, PluggedNic]:
    """The NICs of a running machine, by MAC."""
    return read_nics(host.domains.get_xml(domain))


def make_nics(run: Run, step: Step) -> dict[str, PluggedNic]:
    """The NICs of a machine as its definition has them: by its template, with its patches."""
    host = run.host(step)
    return read_nics(render_domain(run.machine(step), host.read_facts().arch, pool_path(host), run.templates))


def _bare(xml: str) -> str:
    """A NIC's XML without what one that ran was given, and without a place in the boot order, which somebody else may have by now."""
    nic = etree.fromstring(xml)
    for tag in ("boot", "alias", "address"):
        for old in nic.findall(tag):
            nic.remove(old)
    if (source := nic.find("source")) is not None and nic.get("type") == "network":
        etree.strip_attributes(source, "portid", "bridge")
    return str(etree.tostring(nic, encoding="unicode"))


def unplug_nics(host: Host, domain: str, macs: Iterable[str], stay: Mapping[str, PluggedNic]) -> None:
    """Have the guest let NICs go. One that is by now as it is to ``stay`` is left alone."""
    for mac in macs:
        present = find_nics(host, domain).get(mac)
        if present is not None and not (mac in stay and present.is_card(stay[mac])):
            let_go(host, domain, lambda mac=mac: find_nics(host, domain).get(mac), f"NIC {mac}")  # type: ignore[misc]


def plug_nics(host: Host, domain: str, nics: Iterable[PluggedNic]) -> None:
    """Plug in those that are not there."""
    for nic in nics:
        if nic.mac not in find_nics(host, domain):
            try:
                host.domains.attach(domain, _bare(nic.xml))
            except LibvirtFailed as err:
                raise _explain(domain, nic, err) from err


def _explain(domain: str, nic: PluggedNic, err: LibvirtFailed) -> Exception:
    """libvirt's refusal in words that say what to do, where it is one that people meet."""
    if any("No more available PCI slots" in fact for fact in err.facts):
        message = f"{domain} has no free place for another {nic.model} NIC while it runs"
        return Failed(message, code="no-slot", hint=f"tinycloud stop {domain.replace('-', '/', 1)}; it is plugged in by the next up")
    return err


def look_at_nics(run: Run, step: Step, disks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The XML of those that a step unplugs, by MAC, and the seed as it was, as a template would be told of it."""
    macs, seed = step.args.get("unplug", ()), step.args.get("seed")
    present = find_nics(run.host(step), step.args["domain"]) if macs else {}
    old = {**disks[seed[1]], "file": f"{pool_path(run.host(step))}/{seed[0]}"} if seed else None
    return {"xml": {mac: present[mac].xml for mac in macs if mac in present}, "seed": old}


def change_nics(run: Run, step: Step, disks: Mapping[str, Mapping[str, Any]]) -> None:
    """What a step says of seed and NICs. The seed first: a guest that notices a new NIC may look there what to do with it."""
    host, domain, args = run.host(step), step.args["domain"], step.args
    if seed := args.get("seed"):
        _exchange_seed(host, domain, seed[0], disks[seed[1]])
    if args.get("unplug") or args.get("plug"):
        made = make_nics(run, step)
        wanted = {mac: made[mac] for mac in args["plug"] if mac in made}
        unplug_nics(host, domain, args["unplug"], wanted)
        plug_nics(host, domain, wanted.values())
    _limit(host, domain, {mac: after for mac, (_, after) in args.get("bandwidth", {}).items()})


def _limit(host: Host, domain: str, limits: Mapping[str, Mapping[str, int]]) -> None:
    """Limit the NICs of a running machine that are there."""
    present = find_nics(host, domain) if limits else {}
    for mac, words in limits.items():
        if mac in present:
            host.domains.set_nic_limits(domain, mac, words)


def undo_nics(run: Run, step: Step, before: Mapping[str, Any]) -> None:
    """Put seed and NICs back; ``before`` is what :func:`look_at_nics` said."""
    host, domain, args = run.host(step), step.args["domain"], step.args
    xmls = before["xml"]
    unplugged = read_nics(f"<domain><devices>{''.join(xmls.values())}</devices></domain>")
    unplug_nics(host, domain, args.get("plug", ()), unplugged)
    plug_nics(host, domain, unplugged.values())
    _limit(host, domain, {mac: was for mac, (was, _) in args.get("bandwidth", {}).items()})
    if seed := args.get("seed"):
        _exchange_seed(host, domain, seed[1], before["seed"])


def _exchange_seed(host: Host, domain: str, old: str, disk: Mapping[str, Any]) -> None:
    """Put the seed ``disk``, as a template is told of it, where the file ``old`` of the pool is."""
    before, key = f"{pool_path(host)}/{old}", find_key(disk)
    present = find_disks(host, domain)
    if disk["device"] == "cdrom":
        if before in present:
            host.domains.set_medium(domain, present[before].target, (key, disk["format"]), force=True)
        return
    detach_disk(host, domain, before, "its seed")
    present = find_disks(host, domain)
    if key not in present:
        taken = {item.target for item in present.values()}
        free = find_free_target(disk["target"], taken) if disk["target"] in taken else disk["target"]
        plug_in(host, domain, {**disk, "target": free})
