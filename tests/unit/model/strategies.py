"""Arbitrary machines and worlds, for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from tinycloud.model import world
from tinycloud.model.machine import CpuSpec, Live, MachineSpec, Mark, NicSpec, VolumeSpec
from tinycloud.model.names import NAME
from tinycloud.model.sheet import Reservation
from tinycloud.model.units import Bytes

names = st.from_regex(NAME, fullmatch=True)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
sizes = st.integers(0, 2**62).map(Bytes)
numbers = st.integers(1, 4096)
moments = st.floats(0, 1e12, allow_nan=False)
hex64 = st.text("0123456789abcdef", min_size=64, max_size=64)

cpus = st.builds(CpuSpec, numbers, st.none() | numbers, st.none() | numbers, numbers, numbers, st.none() | words)
nics = st.builds(NicSpec, names, words, st.none() | words, words)
volumes = st.builds(VolumeSpec, names, sizes, st.booleans(), st.sampled_from(["virtio", "scsi", "sata"]))
specs = st.builds(
    MachineSpec,
    image=st.none() | hex64,
    image_name=words,
    memory=sizes,
    disk=sizes,
    hypervisor=st.sampled_from(["kvm", "qemu"]),
    cpus=cpus,
    memory_max=st.none() | sizes,
    disk_bus=st.sampled_from(["virtio", "ide"]),
    nics=st.lists(nics, max_size=3).map(tuple),
    volumes=st.lists(volumes, max_size=3).map(tuple),
    boot=st.lists(st.sampled_from(["disk", "network"]), max_size=2).map(tuple),
    firmware=st.sampled_from(["bios", "uefi"]),
    graphics=st.sampled_from(["vnc", "none"]),
    serial=st.booleans(),
    autostart=st.booleans(),
    custom=words,
    guest=words,
    user=words,
    level=st.sampled_from(["started", "done"]),
    stop_limit=moments,
    needs=st.lists(names, max_size=2).map(tuple),
    disk_generation=numbers,
)
marks = st.builds(Mark, names, names, numbers, specs, numbers)

pools = st.builds(world.Pool, names, words, sizes, sizes)
hosts = st.builds(world.Host, names, words, numbers, sizes, sizes, st.lists(words, max_size=2).map(tuple), st.none() | pools, st.booleans())
machines = st.builds(world.Machine, names, marks, words, words, st.builds(Live, moments, words))
reservations = st.builds(Reservation, words, words, words)
networks = st.builds(
    world.Network,
    host=names,
    stack=names,
    name=names,
    subnet=words,
    access=words,
    bridge=words,
    mtu=st.none() | numbers,
    active=st.booleans(),
    reservations=st.lists(reservations, max_size=3).map(tuple),
)
images = st.builds(world.Image, names, hex64, st.lists(words, max_size=2).map(tuple), words, sizes, sizes, *[words] * 8, moments)
foreign = st.builds(
    world.Foreign,
    host=names,
    domains=st.lists(words, max_size=2).map(tuple),
    networks=st.lists(words, max_size=2).map(tuple),
    bridges=st.lists(words, max_size=2).map(tuple),
    subnets=st.lists(st.tuples(words, words), max_size=2).map(tuple),
)
worlds = st.builds(
    world.World,
    hosts=st.lists(hosts, max_size=2).map(tuple),
    machines=st.lists(machines, max_size=2).map(tuple),
    networks=st.lists(networks, max_size=2).map(tuple),
    volumes=st.lists(st.builds(world.Volume, names, words, sizes, sizes), max_size=2).map(tuple),
    images=st.lists(images, max_size=2).map(tuple),
    foreign=st.lists(foreign, max_size=2).map(tuple),
    broken=st.lists(words, max_size=2).map(tuple),
    orphans=st.lists(st.builds(world.Orphan, names, words), max_size=1).map(tuple),
)
