"""A stack and a machine in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import fake_cloud, write_stack
from tinycloud.cli.cards import show_machine, show_stack
from tinycloud.cloud import Cloud

SHOP = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}}
inputs: {s: {type: secret}}
groups:
  web:
    image: nano
    memory: 128 MiB
    memory_max: 256 MiB
    networks: [front]
    volumes: [{name: data, size: 1 GiB, keep: true}, {name: more, size: 2 GiB, bus: scsi}]
    guest: {run: ["echo ${inputs.s}"]}
outputs: {address: "${groups.web.address}", password: "${inputs.s}"}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    cloud = fake_cloud(tmp_path)
    cloud.up(write_stack(tmp_path, SHOP), {"s": "hunter2"})
    return cloud


def test_a_stack_is_its_machines_and_its_outputs(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    show_stack(cloud.stack("shop"), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "stack shop: 1 machines",
        "  web-1            ready    10.60.0.11",
        "  address = 10.60.0.11",
        "  password = <secret s>",
    ]


def test_a_program_gets_a_stack_without_its_secrets(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    show_stack(cloud.stack("shop"), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"] == {"address": "10.60.0.11", "password": "<secret s>"}
    assert [machine["ref"] for machine in told["machines"]] == ["shop/web-1"]


def test_a_machine_is_shown_with_every_name_that_its_parts_have(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    machine = cloud.machine("shop/web-1")
    show_machine(machine, as_json=False)
    ref, *lines = capsys.readouterr().out.splitlines()
    assert ref == "shop/web-1"
    facts = [(line[2:13].strip(), line[14:]) for line in lines]
    shown = dict(facts)
    assert shown["state"] == "ready"
    assert shown["domain"] == f"shop-web-1  {machine.facts.mark.uuid}"
    assert shown["memory"] == "128 MiB, up to 256 MiB"
    assert shown["disk"] == "128 MiB  shop.web-1.disk-1.qcow2"
    assert shown["seed"] == machine.facts.mark.seed_volume
    assert [value for name, value in facts if name == "volume"] == [
        "data  1 GiB, keep  /dev/disk/by-id/virtio-data",
        "more  2 GiB  on scsi",
    ]
    assert ("nic", f"front  {machine.spec.nics[0].mac}  {machine.facts.mark.tap(machine.spec.nics[0])}") in facts
    assert ("address", "10.60.0.11  (reservation)") in facts
    assert "hunter2" not in str(facts)


def test_a_program_gets_a_machine_with_volumes_and_addresses(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    machine = cloud.machine("shop/web-1")
    show_machine(machine, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["volumes"] == list(machine.facts.mark.volumes)
    assert told["addresses"][0] == {"address": "10.60.0.11", "mac": machine.spec.nics[0].mac, "source": "reservation"}
