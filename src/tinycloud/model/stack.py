"""The stack file as values: what a person declares. Field descriptions become the JSON Schema and the reference page."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from tinycloud.model.disk_keys import Cdrom, DiskOptions, Volume
from tinycloud.model.keys import Bus, Name, Part, Size, Time, Words, plain, wrap
from tinycloud.model.network_keys import Addresses, Dhcp, Macs, Subnet6, Vlan
from tinycloud.model.nic_keys import BandwidthKey  # noqa: TC001 - pydantic reads annotations
from tinycloud.model.outside_keys import FloatingTo, ForwardTo  # noqa: TC001 - pydantic reads annotations
from tinycloud.model.placing_keys import OnKey, Recover, SpreadKey  # noqa: TC001 - pydantic reads annotations
from tinycloud.model.show import show
from tinycloud.model.units import Bytes, Duration


def _parse_subnet(value: object) -> IPv4Network | None:
    if value == "auto":
        return None
    if not isinstance(value, str) or "/" not in value:
        raise ValueError(f'found {show(value)}, expected a subnet such as 10.60.0.0/24, or "auto"')
    try:
        subnet = IPv4Network(value)
    except ValueError as err:
        raise ValueError(f"found {show(value)}, expected a subnet such as 10.60.0.0/24 ({err})") from err
    if not 8 <= subnet.prefixlen <= 30:
        raise ValueError(f"found a /{subnet.prefixlen}, expected /8 to /30")
    if any(subnet.overlaps(other) for other in _NOT_FOR_MACHINES):
        raise ValueError(f"found {show(value)}, expected addresses that machines may have")
    return subnet


def _parse_access(value: object) -> str:
    if value in ("nat", "isolated", "routed"):
        return str(value)
    if isinstance(value, dict) and set(value) == {"bridge"} and re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", str(value["bridge"])):
        return f"bridge:{value['bridge']}"
    if isinstance(value, dict) and set(value) == {"direct"} and re.fullmatch(r"[^/\s]{1,15}", str(value["direct"])):
        return f"direct:{value['direct']}"
    raise ValueError(f"found {show(value)}, expected nat, isolated, routed, {{bridge: NAME}} or {{direct: INTERFACE}}")


_NOT_FOR_MACHINES = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
"""This host, loopback, link-local, multicast and reserved: https://www.rfc-editor.org/rfc/rfc6890."""

_ACCESS_SCHEMA = {
    "anyOf": [
        {"enum": ["nat", "isolated", "routed"]},
        {"type": "object", "properties": {"bridge": {"type": "string"}}, "required": ["bridge"], "additionalProperties": False},
        {"type": "object", "properties": {"direct": {"type": "string"}}, "required": ["direct"], "additionalProperties": False},
    ]
}
HOSTNAME = r"^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$"
"""One label, or several with dots between: RFC 1123, and the underscore that people use all the same."""

Subnet = Annotated[IPv4Network | None, *plain(_parse_subnet, {"type": "string", "examples": ["10.60.0.0/24", "auto"]})]

Access = Annotated[str, *plain(_parse_access, _ACCESS_SCHEMA)]
Word = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$")]

Level = Literal["started", "address", "ssh", "done"]


class Input(Part):
    """A value that is asked for when the stack is made."""

    type: Literal["string", "integer", "number", "boolean", "size", "list", "secret"] = Field(
        "string", description="a secret is never printed in plans, logs and errors"
    )
    default: Any = Field(None, description="used when no value is given; a secret without one is generated and kept")
    description: StrictStr = Field("", description="for the reader of the file")
    choices: tuple[Any, ...] = Field((), description="the only values allowed")
    length: StrictInt = Field(20, ge=8, le=128, description="of a generated secret, in characters")


IMAGE_ENDINGS = (".qcow2", ".img", ".raw", ".vmdk", ".vdi", ".vhd", ".vhdx", ".ova", ".xz", ".gz", ".zst", ".bz2")
"""What names of image files end with, packed or not."""


class ImageUse(Part):
    """Which image a name of this stack stands for."""

    source: StrictStr = Field(
        description="an image of the store (its name, or 6 digits of its sha256), a name of the catalogue, an https:// address, "
        "or a file beside the stack file; what is not in the store is brought there by up"
    )
    sha256: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="the SHA-256 of the file that source means; an address needs it"
    )
    user: StrictStr | None = Field(None, description="who logs in by ssh; default: what the image says")

    @property
    def is_address(self) -> bool:
        return "://" in self.source

    @property
    def is_file(self) -> bool:
        """True for what can only be a file: names of images have neither slashes nor such endings."""
        return not self.is_address and ("/" in self.source or self.source.lower().endswith(IMAGE_ENDINGS))


Record = Annotated[
    tuple[StrictStr, ...],
    BeforeValidator(lambda v: v if isinstance(v, list) else [v], json_schema_input_type=str | list[str]),
]


class Network(Part):
    """A layer-2 network with a subnet."""

    subnet: Subnet = Field(None, description='IPv4 subnet; "auto", the default, takes a free /24')
    subnet6: Subnet6 | None = Field(
        None,
        description='IPv6 subnet, a /64 from which machines make addresses by their MAC; "auto" takes one of fd00::/8; default: no IPv6',
    )
    access: Access = Field(
        "nat",
        description="nat: out through the host; isolated: nowhere; routed: the site knows the way; "
        "{bridge: NAME}: a bridge of the host, Linux's or Open vSwitch's; {direct: INTERFACE}: straight on one of its interfaces (macvtap)",
    )
    mtu: StrictInt | None = Field(None, ge=576, le=65521, description="largest packet, in bytes; default: the kernel's, 1500")
    dhcp: Dhcp = Field(Dhcp(), description="ranges for other guests, and what else DHCP tells")
    records: dict[Annotated[StrictStr, Field(pattern=HOSTNAME)], Record] = Field(
        {}, description="more names that its name server knows: addresses, or the machine or group that is meant, or a list of them"
    )
    template: StrictStr | None = Field(None, description="a libvirt XML template (Jinja2) of the network instead of the shipped one")
    values: dict[StrictStr, Any] = Field({}, description="handed to the template as values.NAME")

    vlan: Vlan | None = Field(
        None, description="with access: {bridge: NAME} of an Open vSwitch: a number, or {trunk: [NUMBER …], native: NUMBER}"
    )
    external: StrictBool = Field(
        False,
        description="true: a network that libvirt has already, used and never changed; of the other keys it takes name alone",
    )
    name: Annotated[StrictStr, Field(pattern=r"^[^/\s]{1,64}$")] | None = Field(
        None, description="what libvirt calls the external network; default: as it is called here"
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        told = sorted(self.model_fields_set - {"external", "name"})
        if self.external and told:
            raise ValueError(f"found external and {told[0]}, expected one of them: an external network is as it is")
        if self.name and not self.external:
            raise ValueError("found name without external: true, expected both")
        if self.external:
            self.__dict__["access"] = "external"  # whoever asks how it is entered and left is told that nobody here knows
        return self

    @property
    def outer(self) -> str | None:
        """Whose the network is when it is not ours, in words: addresses in it are not ours to give."""
        if self.external:
            return "a network that libvirt has already"
        kind, _, name = self.access.partition(":")
        return {"bridge": f"bridge {name} of the host", "direct": f"interface {name} of the host"}.get(kind)

    @property
    def bridge(self) -> str | None:
        """The host's own bridge that the network is, None for others."""
        return self.device if self.access.startswith("bridge:") else None

    @property
    def device(self) -> str | None:
        """The host's own bridge or interface that the network is, None for others."""
        return self.access.partition(":")[2] or None


Ports = Annotated[
    tuple[StrictInt | Annotated[StrictStr, Field(pattern=r"^\d{1,5}-\d{1,5}$")], ...],
    BeforeValidator(lambda v: v if isinstance(v, list) else [v], json_schema_input_type=int | str | list[int | str]),
]


_PEER = "anywhere (the default), network, host, a CIDR, {group: NAME}, {policy: NAME} or {stack: NAME}"


class Rule(Part):
    """One line of a policy: what, and from or to whom. Several protocols in one line are as many rules; none is every protocol."""

    tcp: Ports | None = Field(None, description="a port, a range such as 8000-8100, or a list of them")
    udp: Ports | None = Field(None, description="the same for UDP")
    icmp: StrictBool = Field(False, description="ping and its kin, of IPv4 and IPv6")
    any: StrictBool = Field(False, description="every protocol, as when none is named")
    peer_from: StrictStr | dict[Name, Name] | None = Field(None, alias="from", description=f"inbound, who: {_PEER}")
    peer_to: StrictStr | dict[Name, Name] | None = Field(None, alias="to", description=f"outbound, whom: {_PEER}")
    log: StrictBool = Field(False, description="new connections are noted in the host's kernel log, at most 5 a second")


class Policy(Part):
    """A named list of access rules. A machine may have several; they add up."""

    inbound: tuple[Rule, ...] = Field((), description="who may reach the machine; nobody else may")
    outbound: tuple[Rule, ...] = Field((), description="whom the machine may reach; without any, whomever its networks lead to")


class Cpus(Part):
    """Virtual CPUs and how they look to the guest. ``sockets`` x ``cores`` x ``threads`` is at least ``count``."""

    count: StrictInt = Field(1, ge=1, le=4096, description="how many it starts with")
    max: StrictInt | None = Field(None, ge=1, le=4096, description="how far count may grow while the machine runs")
    sockets: StrictInt | None = Field(None, ge=1, le=4096, description="default: as many as are needed")
    cores: StrictInt = Field(1, ge=1, le=4096, description="of each socket")
    threads: StrictInt = Field(1, ge=1, le=4096, description="of each core")
    model: StrictStr | None = Field(
        None,
        description="a CPU model of libvirt, host-model, host-passthrough or maximum; default: host-model under kvm, maximum under qemu; "
        "in a cloud of several hosts one that all of them can show",
    )


class Nic(Part):
    """A machine's place in a network."""

    network: Name = Field(description="a name from networks:")
    model: StrictStr = Field("virtio", pattern=r"^[a-z0-9_-]+$", description="the card that the guest sees: virtio, e1000e, rtl8139 …")
    address: Addresses | None = Field(
        None, description="an address of the network's subnet; for a group of several machines a list, one for each; default: a free one"
    )
    mac: Macs | None = Field(None, description="a MAC address, or a list, one for each machine; default: one derived from the names")
    default_route: StrictBool | None = Field(
        None, description="true: the guest goes out here; default: through the first of its networks that leads out"
    )
    spoofing: Literal["stopped", "allowed"] = Field(
        "stopped", description="allowed: what it sends may carry addresses of others, as a router's or a vendor appliance's does"
    )
    bandwidth: BandwidthKey = None


class User(Part):
    """An account in the guest."""

    name: StrictStr = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="the login name")
    password: Words | None = Field(None, description="reaches the guest as a salted SHA-512 hash")
    ssh_keys: tuple[StrictStr, ...] = Field((), description="public keys, or files that hold them")
    groups: tuple[StrictStr, ...] = Field((), description="groups besides the user's own")
    shell: StrictStr = Field("", description="default: the guest's own choice")
    sudo: StrictBool = Field(False, description="all rights without a password")


class GuestFile(Part):
    """A file in the guest."""

    path: StrictStr = Field(pattern=r"^/", description="where it stands in the guest")
    content: Words | None = Field(None, description="the text of the file; references are replaced")
    source: StrictStr | None = Field(
        None, description="a file beside the stack file, at most 1 MiB of text, instead of content; taken as it is"
    )
    mode: StrictStr = Field("0644", pattern=r"^0?[0-7]{3,4}$", description="access rights, octal, in quotes")
    owner: StrictStr = Field("root:root", description="USER:GROUP")


class Guest(Part):
    """What is set up inside the guest at its first start, and once more when it changes."""

    users: tuple[User, ...] = Field((), description="accounts besides the image's own user")
    ssh_keys: tuple[StrictStr, ...] = Field(
        (), description="who else may log in as the image's own user: public keys, or files that hold them"
    )
    packages: tuple[StrictStr, ...] = Field(
        (), description="installed with the guest's package manager, after its lists are fetched; nano has none, and passes over them"
    )
    files: tuple[GuestFile, ...] = Field((), description="files to write")
    run: tuple[Words, ...] = Field((), description="shell commands, in order; one that fails makes the machine not ready")
    network: Literal["dhcp", "static"] = Field(
        "dhcp", description="static: the addresses that our DHCP reserves are written into the guest, which then asks nobody"
    )
    proxy: StrictStr | None = Field(
        None, pattern=r"^https?://[^\s\"';]+$", description="where the package manager fetches through: http://192.0.2.1:3128"
    )
    timezone: StrictStr | None = Field(
        None, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", description="Europe/Berlin; needs the guest's zone files"
    )
    locale: StrictStr | None = Field(None, pattern=r"^[A-Za-z]{1,8}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?$", description="de_DE.UTF-8")
    user_data: dict[StrictStr, Any] = Field({}, description="more keys of cloud-init's #cloud-config, passed on as they are")


class Ready(Part):
    """When a machine counts as ready, and how long that may take."""

    level: Level = Field(
        "done", description="started: it runs; address: one is known; ssh: a server answers; done: set-up ended without error"
    )
    timeout: Time = Field(Duration(300), description="then up fails, with the facts")


class Patch(Part):
    """One change to the rendered libvirt XML, at every element that the XPath finds."""

    at: StrictStr = Field(description="an XPath that finds elements of the domain XML")
    set: dict[StrictStr, StrictStr | StrictInt] | None = Field(None, description="attributes to set")
    text: StrictStr | None = Field(None, description="the element's new text")
    add: StrictStr | None = Field(None, description="XML to add inside")
    replace: StrictStr | None = Field(None, description="XML to put in its place")
    remove: StrictBool = Field(False, description="take the element out")


class Group(Part):
    """``count`` equal machines."""

    count: StrictInt = Field(1, ge=0, le=100_000, description="how many; they are called NAME-1, NAME-2 …")
    image: StrictStr | None = Field(None, description="a name from images:, or of an image in the store; none: an empty disk")
    memory: Size = Field(Bytes(512 * 1024**2), description="what each machine has")
    memory_max: Size | None = Field(None, description="how far memory may grow while the machine runs")
    cpus: Annotated[Cpus, BeforeValidator(wrap("count", int), json_schema_input_type=int | Cpus)] = Field(
        Cpus(), description="a number, or more about them"
    )
    disk: Size | None = Field(None, description="size of the root disk; default: the image's own")
    disk_bus: Bus = Field("virtio", description="of the root disk and of the seed")
    disk_encrypt: StrictBool = Field(False, description="what the machine writes to its root disk is LUKS; the image below it is not")
    disk_template: StrictStr | None = Field(
        None, description="a libvirt XML template (Jinja2) of the root disk's volume instead of the shipped one"
    )
    pool: Name | None = Field(
        None, description='where the host keeps the root disk, and volumes that name no pool of their own; default: the pool "default"'
    )
    disk_options: DiskOptions = Field(DiskOptions(), description="how the root disk is handed to the guest")
    cdrom: Annotated[Cdrom, BeforeValidator(wrap("image", str), json_schema_input_type=str | Cdrom)] | None = Field(
        None, description="a CD drive: the image in it, or more about it; {} is an empty one"
    )
    networks: tuple[Annotated[Nic, BeforeValidator(wrap("network", str), json_schema_input_type=str | Nic)], ...] = Field(
        (), description="a NIC in each, in this order"
    )
    policies: tuple[Name, ...] = Field((), description="names from policies:; without any, a machine is open inside its networks")
    volumes: tuple[Volume, ...] = Field((), description="data disks; each machine of the group has its own")
    needs: tuple[Name, ...] = Field((), description="groups that are ready before this one starts")
    boot: tuple[Literal["disk", "network", "cdrom"], ...] = Field(("disk",), min_length=1, description="what it starts from, in order")
    firmware: Literal["bios", "uefi"] = Field("bios", description="uefi is without secure boot")
    graphics: Literal["vnc", "none"] = Field("vnc", description="vnc listens on 127.0.0.1 of the host")
    serial: StrictBool = Field(True, description="a serial line, for console and for the log that why reads")
    hypervisor: Literal["auto", "kvm", "qemu"] = Field("auto", description="auto: kvm where the processor can, else qemu's emulation")
    template: StrictStr | None = Field(None, description="a libvirt XML template (Jinja2) instead of the shipped one")
    values: dict[StrictStr, Any] = Field({}, description="handed to the templates as values.NAME")
    xml: tuple[Patch, ...] = Field((), description="changes to the rendered libvirt XML")
    prepare: Literal["auto", "cloud-init", "offline", "none"] = Field(
        "auto",
        description="cloud-init reads the guest section at the first start, offline edits it into the disk before; auto: as the image says",
    )
    guest: Guest = Field(Guest(), description="what is set up inside; not with prepare: none")
    ready: Annotated[Ready, BeforeValidator(wrap("level", str), json_schema_input_type=Level | Ready)] = Field(
        Ready(), description="a level, or level and timeout"
    )
    autostart: StrictBool = Field(True, description="started again when the host starts")
    stop_timeout: Time = Field(Duration(60), description="how long a clean shutdown may take before the power is cut")
    on: OnKey = {}
    spread: SpreadKey = None
    together: tuple[Name, ...] = Field(
        (), description="groups with which it shares one host, all machines of all of them; its own name: all machines of the group"
    )
    recover: Recover = "never"
    disposable: StrictBool = Field(
        False, description="nothing on its disks is missed: recover may make it anew where its disks cannot be had"
    )


class Stack(Part):
    """One file, everything it declares."""

    stack: Name = Field(description="the name of the stack")
    description: StrictStr = Field("", description="for the reader of the file")
    inputs: dict[Word, Input] = Field({}, description="values that are asked for: --set NAME=VALUE, --inputs FILE")
    images: dict[Name, Annotated[ImageUse, BeforeValidator(wrap("source", str), json_schema_input_type=str | ImageUse)]] = Field(
        {}, description="this stack's own names for images"
    )
    networks: dict[Name, Network] = Field({}, description="networks, by name")
    policies: dict[Name, Policy] = Field({}, description="lists of access rules, by name")
    groups: dict[Name, Group] = Field({}, description="machines, by the name of their group")
    forwards: tuple[ForwardTo, ...] = Field((), description="ports of the host that lead to machines")
    floating: tuple[FloatingTo, ...] = Field((), description="addresses of the host that lead to machines")
    outputs: dict[Word, Any] = Field({}, description="what tinycloud outputs tells: values and references")
