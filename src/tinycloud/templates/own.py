"""Networks and disks from templates of the user's own: rendered, then held against what was declared, for that is what we rely on."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.errors import WrongInput
from tinycloud.model import names
from tinycloud.model.secret import reveal
from tinycloud.model.sheet import NAMES, OPTIONS, RESERVATIONS, Reservation, Sheet
from tinycloud.model.vlan import Tags
from tinycloud.templates.objects import make_network, make_volume, render_network
from tinycloud.templates.render import render_text
from tinycloud.templates.xml import check_stamp, parse_xml, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.model.plan import NetworkWanted

DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"

_MODES = {"nat": "nat", "route": "routed", None: "isolated"}
"""What ``<forward mode>`` says → our access, where no mark says that libvirt only routes and our own table translates addresses."""


def read_network(root: Any) -> dict[str, Any]:
    """What a network's XML says of what we declare: subnets, access, bridge, mtu, its gateway's MAC, and the digest of its own template."""
    forward, bridge, mtu, mac = (root.find(word) for word in ("forward", "bridge", "mtu", "mac"))
    name = str(bridge.get("name", "")) if bridge is not None else ""
    mode = forward.get("mode", "nat") if forward is not None else None
    mark = root.find(f"metadata/{{{names.NAMESPACE}}}network")
    is_nat = mode == "route" and mark is not None and mark.get("access") == "nat"
    return {
        "subnet": _read_subnet(_find_ip(root, "ipv4")),
        "subnet6": _read_subnet(_find_ip(root, "ipv6")),
        "access": _find_outer(forward, name) if mode == "bridge" else "nat" if is_nat else _MODES.get(mode, "foreign"),
        "bridge": name,
        "vlan": _read_vlan(root.find("vlan")),
        "mtu": int(mtu.get("size", "0")) if mtu is not None else None,
        "custom": str(mark.get("custom", "")) if mark is not None else "",
        "mac": str(mac.get("address", "")).lower() if mac is not None else "",
    }


def _find_outer(forward: Any, bridge: str) -> str:
    interface = forward.find("interface")
    return f"bridge:{bridge}" if interface is None else f"direct:{interface.get('dev')}"


def _read_vlan(vlan: Any) -> str:
    """The tags in words."""
    if vlan is None:
        return ""
    tags = vlan.findall("tag")
    native = next((int(tag.get("id")) for tag in tags if tag.get("nativeMode") == "untagged"), None)
    plain = tuple(int(tag.get("id")) for tag in tags if tag.get("nativeMode") != "untagged")
    return str(Tags(plain, trunk=vlan.get("trunk") == "yes" or len(tags) > 1, native=native))


def has_sheet(root: Any) -> bool:
    """True for a network whose dnsmasq reads our files beside its own configuration."""
    values = _list_options(root)
    return any(value.endswith(NAMES) for value in values) and any(value.endswith(OPTIONS) for value in values)


def reads_reservations(root: Any) -> bool:
    """True for a network whose dnsmasq reads who gets which address from a file of ours; libvirt's XML says it for others."""
    return any(value.endswith(RESERVATIONS) for value in _list_options(root))


def list_reservations(root: Any, sheet: Sheet | None) -> tuple[Reservation, ...]:
    """Of a network by its XML, whose dnsmasq has this sheet."""
    if reads_reservations(root):
        return (sheet and sheet.reservations) or ()
    lines = root.findall("ip/dhcp/host")
    return tuple(Reservation(str(line.get("mac")).lower(), str(line.get("ip")), str(line.get("name"))) for line in lines)


def list_ranges(root: Any, sheet: Sheet | None) -> list[tuple[str, str]]:
    """(first, last) of the addresses that its DHCP gives to whoever asks."""
    ours = [tuple(words.split("-")) for words in (sheet.ranges if sheet else ())]
    own = [(str(it.get("start")), str(it.get("end"))) for it in root.findall("ip/dhcp/range")]
    return [*((low, high) for low, high in ours), *own]


def is_within(address: str, ranges: Iterable[tuple[str, str]]) -> bool:
    return any(ip_address(low) <= ip_address(address) <= ip_address(high) for low, high in ranges)  # type: ignore[operator]


def _list_options(root: Any) -> list[str]:
    return [str(option.get("value")) for option in root.iterfind(f"{{{DNSMASQ}}}options/{{{DNSMASQ}}}option")]


def _find_ip(root: Any, family: str) -> Any:
    return next((ip for ip in root.findall("ip") if ip.get("family", "ipv4") == family), None)


def _read_subnet(ip: Any) -> str:
    if ip is None:
        return ""
    return str(ip_interface(f"{ip.get('address')}/{ip.get('prefix') or ip.get('netmask')}").network)


def render_own_network(wanted: NetworkWanted, templates: Mapping[str, str]) -> str:
    """The XML of a network, by the shipped template or by its own. Raises WrongInput for one that does something else than was declared."""
    if not wanted.template:
        return render_network(wanted)
    what = f'the template of network "{wanted.name}"'
    values = {"network": make_network(wanted), "values": reveal(wanted.values)}
    root = parse_xml(render_text(templates[wanted.template], values, wanted.template), what)
    full = names.make_network_name(wanted.stack, wanted.name), names.make_network_uuid(wanted.stack, wanted.name)
    check_stamp(root, "network", full, what)
    _check_network(root, wanted, what)
    access = _find_access(root)
    for old in root.findall("metadata"):
        root.remove(old)
    _set_mac(root, wanted.mac)
    mark = etree.Element(f"{{{names.NAMESPACE}}}network", {"custom": wanted.custom, **access}, nsmap={"tc": names.NAMESPACE})
    metadata = etree.Element("metadata")
    metadata.append(mark)
    root.insert(2, metadata)
    return to_text(root)


def _set_mac(root: Any, mac: str) -> None:
    """The gateway's, the same on every host; whatever a template says of it, or says nothing."""
    for old in root.findall("mac"):
        root.remove(old)
    bridge = root.find("bridge")
    if mac and bridge is not None:
        bridge.addnext(etree.Element("mac", address=mac))


def _find_access(root: Any) -> dict[str, str]:
    """What the shipped template says in its mark, which is written anew; nothing for a template that lets libvirt translate addresses."""
    mark = root.find(f"metadata/{{{names.NAMESPACE}}}network")
    return {"access": mark.get("access")} if mark is not None and mark.get("access") else {}


def _check_network(root: Any, wanted: NetworkWanted, what: str) -> None:
    try:
        found = read_network(root)
    except ValueError as err:
        raise WrongInput(
            f"{what}: {err}", code="template", hint="write <ip address='{{ network.gateway }}' prefix='{{ network.prefix }}'>"
        ) from err
    bridge = wanted.access.removeprefix("bridge:") if wanted.access.startswith("bridge:") else wanted.bridge
    expected = {
        "subnet": wanted.subnet,
        "subnet6": wanted.subnet6,
        "access": wanted.access,
        "bridge": "" if wanted.access.startswith("direct:") else bridge,
        "vlan": str(wanted.vlan or ""),
        "mtu": wanted.mtu,
    }
    for word, value in expected.items():
        if found[word] != value:
            raise WrongInput(
                f"{what} says {word} {found[word] or 'none'}, the file says {value or 'none'}", code="template", hint=_HINTS[word]
            )
    if not wanted.subnet:
        return
    if root.find("ip/dhcp") is None:
        raise WrongInput(f"{what} has no <dhcp>, by which machines get their addresses", code="template", hint=_HINTS["subnet"])
    _check_reservations(root, wanted, what)


def _check_reservations(root: Any, wanted: NetworkWanted, what: str) -> None:
    by_file = reads_reservations(root)
    ours = {wanted.mac} if by_file else {wanted.mac, *(mac for mac, _address, _name in wanted.reservations)}
    macs = [str(host.get("mac") or host.get("name")).lower() for host in root.findall("ip/dhcp/host")]
    others = [mac for mac in macs if mac not in ours]
    if others:
        why = "which stands in the file that its dnsmasq reads" if by_file else "which is no machine of the stack"
        raise WrongInput(f"{what} reserves an address for {others[0]}, {why}", code="template", hint=_EXTEND)
    if by_file and wanted.mac not in macs and root.find("ip/dhcp/range") is None:
        hint = "write <host mac='{{ network.mac }}' ip='{{ network.gateway }}'/>"
        raise WrongInput(f"{what} reserves nothing for its gateway, without which libvirt starts no DHCP", code="template", hint=hint)


_EXTEND = '{% extends "network.xml.j2" %}, and fill its blocks'
_HINTS = {
    "subnet6": "write <ip family='ipv6' address='{{ network.gateway6 }}' prefix='{{ network.prefix6 }}'/>",
    "subnet": f"<ip> and <dhcp> as the shipped template has them: {_EXTEND}",
    "access": f"<forward> as the shipped template has it: {_EXTEND}",
    "bridge": "write <bridge name='{{ network.bridge }}'/>",
    "vlan": "<vlan> and <virtualport> as the shipped template has them: " + _EXTEND,
    "mtu": "mtu: in the file, and <mtu size='{{ network.mtu }}'/> in the template",
}


def render_own_volume(text: str, template: str, volume: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """The XML of a disk that is a file, from a template of its own.

    ``volume`` is what :func:`make_volume` takes. Raises WrongInput for a template that makes another file, another size, another
    format, or that puts the disk on something else than its image.
    """
    name, told = str(volume["name"]), make_volume(**volume)
    what = f"the template of volume {name}"
    root = parse_xml(render_text(text, {"volume": told, "values": reveal(values)}, template), what)
    check_stamp(root, "volume", (name, None), what)
    shape, below = root.find("target/format"), root.find("backingStore/format")
    found = {
        "type": root.get("type", "file"),
        "capacity": _read_size(root.find("capacity")),
        "format": shape.get("type") if shape is not None else None,
        "backingStore": root.findtext("backingStore/path"),
        "format of what is below": below.get("type") if below is not None else None,
    }
    expected = ("file", told["size"], told["format"], told["backing"], told["backing_format"])
    for (word, is_said), should in zip(found.items(), expected, strict=True):
        if is_said != should:
            hint = '{% extends "volume.xml.j2" %}, and fill its blocks'
            raise WrongInput(f"{what}: {word} is {is_said or 'none'}, expected {should or 'none'}", code="template", hint=hint)
    for path in ("target/encryption", "target/path", "key", "source", "backingStore/backingStore"):
        if root.find(path) is not None:
            raise WrongInput(f"{what} has <{path.rpartition('/')[2]}>, which is not accepted", code="template")
    return to_text(root)


def _read_size(element: Any) -> int | None:
    text = (element.text or "").strip() if element is not None else ""
    plain = text.isdecimal() and element.get("unit", "B").lower() in ("b", "byte", "bytes")
    return int(text) if plain else None
