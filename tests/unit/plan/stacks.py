"""Stacks, edits of stacks and things that happen to worlds, for properties."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.builders import OTHER_SHA, a_host, a_world, an_image, load, settle, some_pools
from tinycloud.model import names, world
from tinycloud.model.machine import Live
from tinycloud.model.units import Bytes
from tinycloud.plan import plan_up
from tinycloud.source.complaints import WrongFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.source import Loaded

Doc = dict[str, Any]
GROUPS = ("app", "db", "web", "web-1")
NETWORKS = ("back", "front", "lan")
SUBNETS = ("auto", "10.60.0.0/24", "10.61.0.0/24", "10.61.0.0/26", "10.62.0.0/28", "10.63.0.0/27")
POLICIES = {
    "inside": {"inbound": [{"from": "network"}, {"tcp": 22, "from": "host"}], "outbound": [{"udp": "53-60", "to": {"stack": "neighbour"}}]},
    "open": {"inbound": [{"tcp": [80, "8000-8100"], "log": True}, {"icmp": True, "from": "10.0.0.0/8"}]},
    "shut": {"inbound": [{"tcp": 22, "from": {"policy": "open"}}]},
}
POOLS = ("default", "fast", "san", "thick")
ACCESS: tuple[Any, ...] = ("nat", "isolated", "routed")
NEIGHBOUR = """
stack: neighbour
networks: {front: {subnet: 10.99.0.0/24}}
groups: {web: {count: 2, image: nano, memory: 128 MiB, networks: [front], volumes: [{name: data, size: 1 GiB, keep: true}]}}
"""


def a_shared_world(memory: str = "3 GiB", **host: Any) -> world.World:
    """One host with two images, somebody's own things on it, and another stack that runs."""
    foreign = world.Foreign("local", ("their-vm",), ("default",), ("virbr0",), (("10.98.0.0/16", "interface eth0"),))
    images = (an_image(), an_image("other", OTHER_SHA, size=Bytes(256 * 1024**2)))
    bare = a_world(a_host(memory=memory, more_pools=some_pools(), **host), images=images, foreign=(foreign,))
    return settle(plan_up(load(NEIGHBOUR), bare), bare)


def a_wide_world() -> world.World:
    """The same on three hosts, which differ in how much memory they have."""
    images = a_shared_world().images
    hosts = [a_host(f"h{n}", f"{6 - n} GiB", address=f"198.18.0.{n}", more_pools=some_pools()) for n in (1, 2, 3)]
    foreign = world.Foreign("h1", ("their-vm",), ("default",), ("virbr0",), (("10.98.0.0/16", "interface eth0"),))
    bare = a_world(*hosts, images=tuple(replace(image, host=host.name) for image in images for host in hosts), foreign=(foreign,))
    return settle(plan_up(load(NEIGHBOUR), bare), bare)


def load_doc(doc: Doc) -> Loaded | None:
    """The stack that a document declares (JSON is YAML), None when the file is refused: that is another module's business."""
    try:
        return load(json.dumps(doc))
    except WrongFile:
        return None


def networks() -> st.SearchStrategy[Doc]:
    ours = st.fixed_dictionaries({}, optional={"subnet": st.sampled_from(SUBNETS), "access": st.sampled_from(ACCESS), "mtu": st.just(1400)})
    return ours | st.just({"access": {"bridge": "br0"}})


def volumes() -> st.SearchStrategy[list[Doc]]:
    volume = st.fixed_dictionaries(
        {"name": st.sampled_from(("data", "log", "tmp")), "size": st.sampled_from(("1 GiB", "2 GiB"))},
        optional={"keep": st.booleans(), "bus": st.sampled_from(("virtio", "scsi", "sata")), "pool": st.sampled_from(POOLS)},
    )
    return st.lists(volume, max_size=3, unique_by=lambda it: it["name"])


def guests() -> st.SearchStrategy[Doc]:
    words = st.sampled_from(("true", "echo ${machine.name}", "echo ${groups.db.count} ${groups.web.names}", "echo ${machine.index}"))
    return st.fixed_dictionaries({}, optional={"run": st.lists(words, max_size=2), "user_data": st.just({"b": 1, "a": {"d": 2, "c": 3}})})


def fields_of_a_group() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "count": st.integers(0, 4),
        "image": st.sampled_from(("nano", "other")),
        "memory": st.sampled_from(("64 MiB", "128 MiB", "256 MiB")),
        "memory_max": st.sampled_from(("256 MiB", "512 MiB")),
        "cpus": st.integers(1, 3) | st.just({"count": 2, "max": 4}),
        "disk": st.sampled_from(("256 MiB", "512 MiB", "1 GiB")),
        "pool": st.sampled_from(POOLS),
        "disk_bus": st.sampled_from(("virtio", "sata")),
        "networks": st.lists(st.sampled_from(NETWORKS), max_size=3),
        "volumes": volumes(),
        "needs": st.lists(st.sampled_from(GROUPS), max_size=2, unique=True),
        "guest": guests(),
        "firmware": st.sampled_from(("bios", "uefi")),
        "hypervisor": st.sampled_from(("auto", "kvm", "qemu")),
        "autostart": st.booleans(),
        "graphics": st.sampled_from(("vnc", "none")),
        "ready": st.sampled_from(("started", "address", "ssh", "done")),
        "values": st.just({"b": 1, "a": 2}),
        "stop_timeout": st.sampled_from(("10 s", "1 min")),
        "policies": st.lists(st.sampled_from(sorted(POLICIES)), max_size=2),
    }


def forwards() -> st.SearchStrategy[list[Doc]]:
    targets = st.sampled_from(("app-1", "db-2:22", "web-1:8080", "web-3"))
    forward = st.fixed_dictionaries(
        {"host_port": st.sampled_from((80, 81, 8080)), "to": targets},
        optional={"from": st.sampled_from(("anywhere", "192.0.2.0/24")), "protocol": st.sampled_from(("tcp", "udp"))},
    )
    return st.lists(forward, max_size=2, unique_by=lambda it: it["host_port"])


def floating() -> st.SearchStrategy[list[Doc]]:
    addresses, targets = st.sampled_from(("198.51.100.10", "198.51.100.11")), st.sampled_from(("app-1", "db-2", "web-1"))
    it = st.fixed_dictionaries({"address": addresses, "to": targets, "interface": st.just("eth0")})
    return st.lists(it, max_size=2, unique_by=lambda it: it["address"])


def _leads(doc: Doc, to: str) -> bool:
    """True when a forward may lead to a machine: it is there, and in a network that the host leads into."""
    name, _, index = to.partition(":")[0].rpartition("-")
    group = doc["groups"].get(name, {})
    access = [doc["networks"].get(network, {}).get("access", "nat") for network in group.get("networks", ())]
    return int(index) <= group.get("count", 0) and any(it in ("nat", "routed") for it in access)


def groups() -> st.SearchStrategy[Doc]:
    fields = fields_of_a_group()
    must = {key: fields.pop(key) for key in ("image", "count", "networks", "memory")}
    return st.fixed_dictionaries(must, optional=fields)


def tidy(doc: Doc) -> Doc:
    """The document without what a file may not say: networks that are not there, circles of needs."""
    doc = copy.deepcopy(doc)
    for name, group in doc["groups"].items():
        group["networks"] = [network for network in group["networks"] if network in doc["networks"]]
        if any("bridge" in doc["networks"][network].get("access", "") for network in group["networks"]):
            group.pop("policies", None)  # refused: nobody knows its address
        if "needs" in group:
            group["needs"] = [other for other in group["needs"] if other < name and other in doc["groups"]]
        for command in group.get("guest", {}).get("run", []) if not {"db", "web"} <= doc["groups"].keys() else []:
            if "groups." in command:
                group["guest"]["run"] = ["true"]
    for section in ("forwards", "floating"):
        doc[section] = [it for it in doc.get(section, []) if _leads(doc, it["to"])]
    return doc


def docs(stack: str = "shop") -> st.SearchStrategy[Doc]:
    body = {
        "stack": st.just(stack),
        "policies": st.just(POLICIES),
        "networks": st.dictionaries(st.sampled_from(NETWORKS), networks(), min_size=1, max_size=3),
        "groups": st.dictionaries(st.sampled_from(GROUPS), groups(), min_size=1, max_size=3),
        "forwards": forwards(),
        "floating": floating(),
    }
    return st.fixed_dictionaries(body).map(tidy)


@st.composite
def edits(draw: st.DrawFn, doc: Doc) -> Doc:
    """The document after somebody's editor: one thing in it is other, new or gone."""
    doc = copy.deepcopy(doc)
    what = draw(st.sampled_from(("field", "field", "field", "group", "network", "network", "ways", "less")))
    if what == "field" and doc["groups"]:
        name = draw(st.sampled_from(sorted(doc["groups"])))
        key = draw(st.sampled_from(sorted(fields_of_a_group())))
        doc["groups"][name][key] = draw(fields_of_a_group()[key])
    elif what == "group":
        doc["groups"][draw(st.sampled_from(GROUPS))] = draw(groups())
    elif what == "network":
        doc["networks"][draw(st.sampled_from(NETWORKS))] = draw(networks())
    elif what == "ways":
        doc["forwards"], doc["floating"] = draw(forwards()), draw(floating())
    else:
        section = draw(st.sampled_from(("groups", "networks")))
        if doc[section]:
            del doc[section][draw(st.sampled_from(sorted(doc[section])))]
    return tidy(doc)


def _change_a_machine(now: world.World, place: int, **changes: Any) -> world.World:
    mine = [n for n, machine in enumerate(now.machines) if machine.mark.stack != "neighbour"]
    if not mine:
        return now
    machines = list(now.machines)
    at = mine[place % len(mine)]
    machines[at] = replace(machines[at], **changes)
    return replace(now, machines=tuple(machines))


def _lose_a_disk(now: world.World, place: int) -> world.World:
    """Somebody removed the file of a machine that is off."""
    off = [volume for m in now.machines if m.is_off and m.mark.stack != "neighbour" for volume in m.mark.volumes]
    off = [volume for volume in off if volume in now.volume_by_name and now.volume_by_name[volume].pool != "san"]
    gone = off[place % len(off)] if off else None
    return replace(now, volumes=tuple(volume for volume in now.volumes if volume.name != gone))


def _leave_a_disk(now: world.World, place: int) -> world.World:
    """An interrupted execution left a file."""
    left = world.Volume(now.hosts[0].name, names.disk_name("shop", f"db-{place}", 7), Bytes(1), Bytes(1))
    return now if left.name in now.volume_by_name else replace(now, volumes=(*now.volumes, left))


def _stop_networks(now: world.World, _place: int) -> world.World:
    """The host was started anew, and nothing was told to start with it."""
    networks = tuple(n if n.stack == "neighbour" else replace(n, active=False) for n in now.networks)
    off = tuple(m if m.mark.stack == "neighbour" else replace(m, state="stopped", live=Live()) for m in now.machines)
    return replace(now, networks=networks, machines=off)


HAPPENINGS: tuple[Callable[[world.World, int], world.World], ...] = (
    lambda now, place: now,
    lambda now, place: _change_a_machine(now, place, state="stopped", reason="power cut", live=Live()),
    lambda now, place: _change_a_machine(now, place, state="crashed", live=Live()),
    lambda now, place: _change_a_machine(now, place, state="paused", reason="by a person"),
    lambda now, place: _change_a_machine(now, place, live=Live(1.0, "")),
    _lose_a_disk,
    _leave_a_disk,
    _stop_networks,
)


def happenings() -> st.SearchStrategy[Callable[[world.World], world.World]]:
    """What people and failures do to a world between two plans."""
    return st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 9)).map(lambda it: lambda now: it[0](now, it[1]))
