"""Templates of networks and disks through a whole up: used, shown, their change noticed and priced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.builders import a_host, a_world, an_image, load, some_pools, write_stack
from tinycloud.errors import NeedsReplace, NotFound, NotYet, WrongInput
from tinycloud.model.plan import Plan
from tinycloud.plan import plan_up
from tinycloud.source.complaints import WrongFile

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.cloud import Cloud

STACK = """\
stack: own
networks:
  lan: {subnet: 10.60.0.0/24, template: lan.xml.j2, values: {zone: a, at: "${networks.lan.gateway}"}}
groups:
  box:
    image: nano
    memory: 128 MiB
    networks: [lan]
    disk_template: root.xml.j2
    values: {mode: "0640"}
    volumes: [{name: data, size: 1 GiB, template: data.xml.j2}]
"""
LAN = '{% extends "network.xml.j2" %}{% block more %}<!-- {{ values.zone }} {{ values.at }} -->{% endblock %}'
ROOT = '{% extends "volume.xml.j2" %}{% block permissions %}<mode>0644</mode>{% endblock %}'
DATA = '{% extends "volume.xml.j2" %}{% block permissions %}<mode>{{ values.mode }}</mode>{% endblock %}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name, text in (("lan", LAN), ("root", ROOT), ("data", DATA)):
        (tmp_path / f"{name}.xml.j2").write_text(text)
    return write_stack(tmp_path, STACK)


def look(cloud: Cloud, file: Path, *replace: str) -> Plan:
    return cloud.plan(file, replace=replace)


def test_networks_and_disks_are_made_by_their_templates_and_shown(cloud: Cloud, file: Path) -> None:
    cloud.up(file)
    assert "<!-- a 10.60.0.1 -->" in cloud.xml("own/lan")
    assert "<mode>0640</mode>" in cloud.xml("own/box-1/data")
    assert "<mode>0644</mode>" in cloud.xml("own/box-1/disk")
    assert "<domain" in cloud.xml("own")
    assert look(cloud, file).changes == ()
    with pytest.raises(NotFound):
        cloud.xml("own/lam")


def test_disks_with_a_template_are_not_made_as_copies_of_each_other(cloud: Cloud, file: Path) -> None:
    made: list[str] = []
    fake = cloud.parts.first_host.volumes
    cast(Any, fake).create_overlays = lambda names, size, backing: made.extend(names) or []
    file.write_text(STACK.replace("    image: nano", "    image: nano\n    count: 3"))
    cloud.up(file)
    assert made == []
    file.write_text(file.read_text().replace("    disk_template: root.xml.j2\n", ""))
    cloud.up(file, replace=["box"])
    assert made == [f"own.box-{n}.disk-2.qcow2" for n in (1, 2, 3)]


def test_a_changed_template_of_a_network_costs_its_machines_a_restart_and_is_asked_for(cloud: Cloud, file: Path) -> None:
    cloud.up(file)
    file.write_text(STACK.replace("zone: a", "zone: b"))
    (refused,) = look(cloud, file).refused
    assert (refused.name, refused.text) == ("lan", "template or values")
    with pytest.raises(NeedsReplace):
        cloud.up(file)
    assert "<!-- a " in cloud.xml("own/lan")
    cloud.up(file, replace=["lan"])
    assert "<!-- b " in cloud.xml("own/lan")
    assert look(cloud, file).changes == ()


def test_a_network_goes_back_to_the_shipped_template(cloud: Cloud, file: Path) -> None:
    cloud.up(file)
    file.write_text(STACK.replace(', template: lan.xml.j2, values: {zone: a, at: "${networks.lan.gateway}"}', ""))
    cloud.up(file, replace=["lan"])
    assert "<!--" not in cloud.xml("own/lan")


def test_a_root_disk_is_made_anew_by_its_changed_template(cloud: Cloud, file: Path) -> None:
    cloud.up(file)
    (file.parent / "root.xml.j2").write_text(ROOT.replace("0644", "0600"))
    (refused,) = look(cloud, file).refused
    assert (refused.name, refused.text) == ("box-1", "template of its disk")
    cloud.up(file, replace=["box-1"])
    assert "<mode>0600</mode>" in cloud.xml("own/box-1/disk")


def test_a_data_volume_stays_as_it_was_made_and_that_is_said_once(cloud: Cloud, file: Path) -> None:
    cloud.up(file)
    (file.parent / "data.xml.j2").write_text(DATA.replace("values.mode", "'0660'"))
    (change,) = look(cloud, file).changes
    assert (change.name, change.text) == ("box-1", "volume data template (it stays as it was made)")
    cloud.up(file)
    assert "<mode>0640</mode>" in cloud.xml("own/box-1/data")
    assert look(cloud, file).changes == ()


def test_values_that_a_disks_template_does_not_use_are_none_of_its_business(cloud: Cloud, file: Path) -> None:
    cloud.up(file)
    file.write_text(STACK.replace('mode: "0640"', 'mode: "0640", other: 1'))
    (change,) = look(cloud, file).changes
    assert "template of its disk" not in change.text


def test_a_template_that_takes_another_name_makes_nothing(cloud: Cloud, file: Path) -> None:
    (file.parent / "lan.xml.j2").write_text("<network><name>default</name></network>")
    with pytest.raises(WrongInput, match="sets <name> to 'default', expected 'own-lan'"):
        cloud.up(file)
    world = cloud.world()
    assert (world.machines, world.networks) == ((), ())


def test_encrypted_disks_have_no_template() -> None:
    text = "stack: a\ngroups:\n  web: {image: nano, disk_encrypt: true, disk_template: x, volumes: [{name: d, size: 1 GiB, encrypt: true, template: x}]}\n"
    with pytest.raises(WrongFile) as caught:
        load(text)
    said = [one.message for one in (caught.value, *caught.value.others) if one.kind == "wrong-value"]
    assert said == [
        'group "web" has disk_template and disk_encrypt, expected one of them',
        'volume "d" of group "web" has template and encrypt, expected one of them',
    ]


def test_a_network_has_no_machine_to_ask() -> None:
    with pytest.raises(WrongFile, match="means one machine; a network belongs to the stack"):
        load('stack: a\nnetworks: {lan: {values: {x: "${machine.name}"}}}\n')


def test_disks_that_are_no_files_have_no_template(tmp_path: Path) -> None:
    (tmp_path / "d.xml.j2").write_text(DATA)
    text = "stack: a\ngroups:\n  web: {image: nano, volumes: [{name: d, size: 1 GiB, pool: thick, template: d.xml.j2}]}\n"
    loaded = load(text, file=str(tmp_path / "stack.yaml"))
    with pytest.raises(NotYet, match="the disks of pool thick are no files"):
        plan_up(loaded, a_world(a_host(more_pools=some_pools()), images=(an_image(),)))
