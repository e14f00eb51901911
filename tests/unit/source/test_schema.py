"""The published JSON Schema: takes what the program takes, refuses what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.builders import HELLO, load
from tinycloud.model.stack import Group, Stack
from tinycloud.source.complaints import WrongFile
from tinycloud.source.load import parse_yaml
from tinycloud.source.schema import make_schema

ROOT = Path(__file__).parents[3]
SCHEMA = make_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SHOP = """
stack: shop
inputs:
  web_count: {type: integer, default: 2}
  admin_password: {type: secret}
images:
  debian: {source: debian-12}
networks:
  front: {subnet: 10.60.0.0/24, access: nat}
policies:
  web:
    inbound:  [{tcp: [80, 443], from: anywhere}, {tcp: 22, from: network}]
    outbound: [{to: anywhere}]
groups:
  db:
    image: debian
    memory: 1 GiB
    disk: 8 GiB
    networks: [front]
    volumes: [{name: data, size: 20 GiB, keep: true}]
  web:
    count: ${inputs.web_count}
    image: debian
    cpus: 2
    memory: 512 MiB
    networks: [front]
    policies: [web]
    needs: [db]
    guest:
      users: [{name: admin, password: "${inputs.admin_password}", ssh_keys: [ssh-ed25519 AAAA]}]
      files: [{path: /etc/motd, content: "db is ${groups.db.address}\\n"}]
      run: ["systemctl enable --now nginx"]
outputs:
  web: ${groups.web.addresses}
"""
"""The example of the design."""


def group(body: str) -> str:
    return f"stack: a\nnetworks: {{n: {{}}}}\ngroups:\n  web: {{image: nano, {body}}}\n"


def find_errors(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(parse_yaml(text, "f").value)]


def is_taken(text: str, given: dict[str, Any] | None = None) -> bool:
    """True when the program reads the file."""
    try:
        load(text, given)
    except WrongFile:
        return False
    return True


def test_the_schema_is_a_schema_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"] == "urn:tinycloud:1:stack"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_takes_every_example(path: Path) -> None:
    assert find_errors(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        SHOP,
        HELLO,
        group("cpus: {count: 2, max: 4, sockets: 1, cores: 2, threads: 2, model: host-model}"),
        group("networks: [n, {network: n, model: e1000}]"),
        group("ready: {level: ssh, timeout: 90 s}, stop_timeout: 5 min"),
        group("guest: {files: [{path: /a, content: 5}], run: [5, true], users: [{name: a, password: 5}]}"),
        group("xml: [{at: //disk, set: {a: 1, b: x}, text: x, add: <a/>}]"),
        group("values: {anything: [1, {goes: here}]}, template: null"),
        "stack: a\nnetworks: {x: {access: {bridge: br0}}, y: {subnet: auto, mtu: 1400}}\nimages: {d: debian-12}\n",
        "stack: a\npolicies: {p: {inbound: [{udp: '1-2', from: {group: web}}, {icmp: true}, {any: true}]}}\ngroups: {web: {image: x}}\n",
        "stack: a\ninputs: {x: {type: list, default: [1], choices: [[1]], description: d}}\noutputs: {o: 5, p: [a], q: {r: s}}\n",
    ],
)
def test_what_the_program_reads_the_schema_takes(text: str) -> None:
    assert is_taken(text)
    assert find_errors(text) == []


@pytest.mark.parametrize(
    ("kind", "given", "body"),
    [
        ("integer", "2", "count: '${inputs.x}'"),
        ("integer", "2", "cpus: '${inputs.x}'"),
        ("integer", "2", "cpus: {count: '${inputs.x}'}"),
        ("boolean", "true", "serial: '${inputs.x}'"),
        ("size", "1 GiB", "memory: '${inputs.x}'"),
        ("string", "scsi", "disk_bus: '${inputs.x}'"),
        ("string", "ssh", "ready: '${inputs.x}'"),
        ("string", "90 s", "stop_timeout: '${inputs.x}'"),
        ("string", "n", "networks: ['${inputs.x}']"),
        ("list", "n", "networks: '${inputs.x}'"),
        ("list", "network,disk", "boot: '${inputs.x}'"),
        ("list", "nginx", "guest: {packages: '${inputs.x}'}"),
        ("string", "/etc/motd", "guest: {files: [{path: '${inputs.x}', content: x}]}"),
    ],
)
def test_wherever_the_program_reads_a_reference_the_schema_takes_one(kind: str, given: str, body: str) -> None:
    text = f"{group(body)}inputs: {{x: {{type: {kind}}}}}\n"
    assert is_taken(text, {"x": given})
    assert find_errors(text) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("groups: {}\n", "$"),
        ("stack: a\ngroop: {}\n", "$"),
        ("stack: My Shop\n", "$.stack"),
        ("stack: ${inputs.x}\n", "$.stack"),
        ("stack: 5\n", "$.stack"),
        ("stack: a\ngroups: [web]\n", "$.groups"),
        ("stack: a\ngroups: {Web: {image: nano}}\n", "$.groups"),
        ("stack: a\nimages: {D: x}\n", "$.images"),
        ("stack: a\noutputs: {a b: x}\n", "$.outputs"),
        ("stack: a\ninputs: {1x: {}}\n", "$.inputs"),
        ("stack: a\ninputs: {x: {type: int}}\n", "$.inputs.x.type"),
        ("stack: a\ninputs: {x: {type: '${inputs.y}'}, y: {default: string}}\n", "$.inputs.x.type"),
        ("stack: a\nnetworks: {n: {access: natt}}\n", "$.networks.n.access"),
        ("stack: a\nnetworks: {n: {mtu: 10}}\n", "$.networks.n.mtu"),
        ("stack: a\nnetworks: {n: {subnett: auto}}\n", "$.networks.n"),
        (group("imagee: nano"), "$.groups.web"),
        (group("memory: 512"), "$.groups.web.memory"),
        (group("memory: 512 MB/s"), "$.groups.web.memory"),
        (group("count: -1"), "$.groups.web.count"),
        (group("count: two"), "$.groups.web.count"),
        (group("disk_bus: nvme"), "$.groups.web.disk_bus"),
        (group("boot: []"), "$.groups.web.boot"),
        (group("ready: up"), "$.groups.web.ready"),
        (group("cpus: {cout: 2}"), "$.groups.web.cpus"),
        (group("networks: [5]"), "$.groups.web.networks"),
        (group("guest: {user: []}"), "$.groups.web.guest"),
        (group("xml: [{remove: true}]"), "$.groups.web.xml"),
    ],
)
def test_what_is_wrong_by_itself_both_refuse(text: str, path: str) -> None:
    assert not is_taken(text)
    assert path in find_errors(text)


def test_editors_can_explain_every_section_and_most_keys() -> None:
    parts = SCHEMA["$defs"]
    assert all(part.get("description") for part in parts.values())
    assert set(SCHEMA["properties"]) == set(Stack.model_fields)
    assert set(parts["Group"]["properties"]) == set(Group.model_fields)
    assert "from" in parts["Rule"]["properties"]
