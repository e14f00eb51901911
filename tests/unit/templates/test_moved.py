"""The XML of machines that move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import etree

from tests.builders import a_world, load
from tinycloud.plan import plan_up
from tinycloud.templates.domain import render_domain
from tinycloud.templates.moved import list_targets, make_arrival, read_traits
from tinycloud.templates.xml import read_mark

STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
groups: {web: {image: nano, memory: 128 MiB, networks: [front], volumes: [{name: data, size: 1 GiB}], cpus: {count: 1, model: qemu64}}}
"""


def render() -> str:
    plan = plan_up(load(STACK), a_world())
    return render_domain(plan.machines["shop/web-1"], "x86_64", "/pool", {})


def with_device(device: str) -> str:
    return render().replace("<memballoon", f"{device}<memballoon")


def test_a_machine_comes_with_its_new_mark_and_finds_its_files_where_they_are_there() -> None:
    root = etree.fromstring(render())
    mark = read_mark(root)
    assert mark is not None
    paths = {f"/pool/{mark.disk_volume}": f"/other/{mark.disk_volume}"}
    made = etree.fromstring(make_arrival(render(), replace(mark, generation=7), paths))
    arrived = read_mark(made)
    assert arrived is not None
    assert (arrived.generation, arrived.spec) == (7, mark.spec)
    files = [source.get("file") for source in made.findall("devices/disk/source")]
    assert files == [f"/other/{mark.disk_volume}", f"/pool/{mark.data_volume('data')}", f"/pool/{mark.seed_volume}"]


def test_what_is_below_a_disk_is_looked_for_anew_where_it_is() -> None:
    below = "<backingStore type='file'><format type='qcow2'/><source file='/pool/image'/></backingStore>"
    xml = render().replace("<target dev='vda'", f"{below}<target dev='vda'").replace('<target dev="vda"', f'{below}<target dev="vda"')
    mark = read_mark(etree.fromstring(xml))
    assert mark is not None
    assert "backingStore" in xml
    assert "backingStore" not in make_arrival(xml, mark, {})


def test_the_xml_of_another_machine_is_never_taken_for_it() -> None:
    mark = read_mark(etree.fromstring(render()))
    assert mark is not None
    with pytest.raises(ValueError, match="not the XML of"):
        make_arrival(render(), replace(mark, index=9), {})


def test_disks_that_are_copied_are_named_by_their_targets() -> None:
    mark = read_mark(etree.fromstring(render()))
    assert mark is not None
    assert list_targets(render(), {f"/pool/{mark.data_volume('data')}": "", f"/pool/{mark.disk_volume}": ""}) == ["vda", "vdb"]


def test_traits_say_what_a_machine_was_started_with() -> None:
    traits = read_traits(render())
    assert (traits.type, traits.cpu_mode, traits.tied, traits.machine) == ("q35", "custom", (), True)
    assert "qemu64" in traits.cpu
    assert len(traits.sources) == 3


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("<hostdev mode='subsystem' type='pci'/>", "a device of the host (hostdev)"),
        ("<filesystem type='mount'/>", "a folder of the host (filesystem)"),
        ("<interface type='direct'><source dev='eth0' mode='bridge'/></interface>", "a NIC on the host's card eth0 (direct)"),
        ("<interface type='vdpa'/>", "a NIC of the host (vdpa)"),
        ("<serial type='dev'/>", "a serial device of the host (dev)"),
        ("<tpm model='tpm-tis'/>", "a TPM (tpm)"),
    ],
)
def test_devices_of_the_host_tie_a_machine_to_it(device: str, words: str) -> None:
    assert read_traits(with_device(device)).tied == (words,)
