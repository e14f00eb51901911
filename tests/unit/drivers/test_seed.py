"""The NoCloud seed: what a machine is told at its first start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import sha512_crypt

from tests.builders import a_world, load
from tests.unit.drivers.test_iso import read_iso
from tinycloud.drivers.guest.keys import Keys
from tinycloud.drivers.guest.seed import hash_password, make_seed, make_user_data
from tinycloud.model.plan import Wanted
from tinycloud.plan import plan_up

STACK = """
stack: shop
inputs: {{password: {{type: secret, default: hunter2}}}}
networks: {{front: {{subnet: 10.60.0.0/24}}, back: {{access: {{bridge: br0}}}}}}
groups:
  web:
    image: nano
    networks: [front, back]
    guest: {guest}
"""
KEY = "ssh-ed25519 AAAAC3Nz eve@example.org"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def a_machine(guest: str = "{}") -> Wanted:
    """shop/web-1 as the planner hands it over."""
    return plan_up(load(STACK.format(guest=guest)), a_world()).machines["shop/web-1"]


def tell(keys: Keys, guest: str = "{}") -> dict[str, Any]:
    """The #cloud-config of a machine with that guest section."""
    return make_user_data(a_machine(guest), keys)


def test_a_seed_is_three_files_that_cloud_init_knows(keys: Keys) -> None:
    label, files = read_iso(make_seed(a_machine("{run: [date]}"), keys))
    assert label == "cidata"
    assert sorted(files) == ["meta-data", "network-config", "user-data", "vendor-data"]
    assert b'"when": ["boot-new-instance", "boot"]' in files["vendor-data"], "a NIC may come after the first start"
    assert files["user-data"].startswith(b"#cloud-config\n{")
    assert json.loads(files["user-data"].partition(b"\n")[2])["runcmd"] == ["date"]


def test_the_same_declaration_gives_the_same_seed(keys: Keys) -> None:
    guest = '{users: [{name: eve, password: "${inputs.password}"}]}'
    assert make_seed(a_machine(guest), keys) == make_seed(a_machine(guest), keys)


def test_a_new_guest_section_is_a_new_instance(keys: Keys) -> None:
    def read_meta(guest: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(read_iso(make_seed(a_machine(guest), keys))[1]["meta-data"])
        return found

    one, two = read_meta("{run: [date]}"), read_meta("{run: [uptime]}")
    assert one["local-hostname"] == two["local-hostname"] == "web-1"
    assert one["instance-id"].startswith("shop-web-1-")
    assert one["instance-id"] != two["instance-id"]


def test_every_nic_is_known_by_its_mac_and_asks_dhcp(keys: Keys) -> None:
    machine = a_machine()
    config = json.loads(read_iso(make_seed(machine, keys))[1]["network-config"])
    macs = [nic.mac for nic in machine.mark.spec.nics]
    assert config == {
        "version": 2,
        "ethernets": {
            "nic0": {"match": {"macaddress": macs[0]}, "set-name": "eth0", "dhcp4": True},
            "nic1": {"match": {"macaddress": macs[1]}, "set-name": "eth1", "dhcp4": True},
        },
    }


def test_a_guest_without_a_section_is_told_who_it_is_and_who_may_come_in(keys: Keys) -> None:
    private, public = keys.make_host_key(a_machine().mark.uuid)
    assert tell(keys) == {
        "hostname": "web-1",
        "fqdn": "web-1.shop",
        "manage_etc_hosts": "localhost",
        "ssh_keys": {"ed25519_private": private, "ed25519_public": f"{public} web-1"},
        "ssh_authorized_keys": [keys.public],
        "disable_root": False,
    }


def test_our_own_key_is_never_lost_to_others(keys: Keys) -> None:
    assert tell(keys, f'{{ssh_keys: ["{KEY}"]}}')["ssh_authorized_keys"] == [keys.public, KEY]


def test_an_account_comes_with_its_hash_and_never_its_password(keys: Keys) -> None:
    guest = f'{{users: [{{name: eve, password: "${{inputs.password}}", ssh_keys: ["{KEY}"], groups: [adm, wheel], shell: /bin/sh, sudo: true}}]}}'
    told = tell(keys, guest)
    default, eve = told["users"]
    assert (default, told["ssh_pwauth"]) == ("default", True)
    assert sha512_crypt.verify("hunter2", eve.pop("hashed_passwd"))
    assert eve == {
        "name": "eve",
        "lock_passwd": False,
        "ssh_authorized_keys": [KEY],
        "groups": "adm, wheel",
        "shell": "/bin/sh",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
    }
    assert "hunter2" not in json.dumps(told)


def test_an_account_without_a_password_cannot_log_in_by_one(keys: Keys) -> None:
    told = tell(keys, "{users: [{name: eve}]}")
    assert told["users"] == ["default", {"name": "eve", "lock_passwd": True}]
    assert told["ssh_pwauth"] is False


def test_packages_are_installed_from_lists_that_are_fresh(keys: Keys) -> None:
    told = tell(keys, "{packages: [nginx, curl]}")
    assert (told["package_update"], told["packages"]) == (True, ["nginx", "curl"])


def test_a_file_of_a_user_waits_until_the_user_is_there(keys: Keys) -> None:
    guest = '{files: [{path: /a, content: x, mode: "600"}, {path: /b, content: "", owner: "eve:eve", mode: "0755"}]}'
    assert tell(keys, guest)["write_files"] == [
        {"path": "/a", "content": "x", "permissions": "0600", "owner": "root:root"},
        {"path": "/b", "content": "", "permissions": "0755", "owner": "eve:eve", "defer": True},
    ]


def test_secrets_reach_the_guest_in_the_clear_and_nobody_else(keys: Keys) -> None:
    machine = a_machine('{run: ["login ${inputs.password}"], user_data: {list: [{a: "${inputs.password}"}]}}')
    told = make_user_data(machine, keys)
    assert (told["runcmd"], told["list"]) == (["login hunter2"], [{"a": "hunter2"}])
    assert "hunter2" not in f"{machine!r} {machine.mark.spec.as_dict()}"


def test_keys_of_ones_own_come_last_and_win(keys: Keys) -> None:
    told = tell(keys, "{user_data: {hostname: mine, timezone: UTC, disable_root: true}}")
    assert (told["hostname"], told["timezone"], told["disable_root"]) == ("mine", "UTC", True)


def test_a_hash_is_what_crypt_makes_and_the_same_every_time() -> None:
    made = hash_password("hunter2", "eve/fp")
    assert made.startswith("$6$")
    assert made == hash_password("hunter2", "eve/fp")
    assert made != hash_password("hunter2", "adam/fp"), "two users with one password do not show it"
    assert sha512_crypt.verify("hunter2", made)
    assert not sha512_crypt.verify("hunter3", made)


AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
from tinycloud.drivers.guest.seed import hash_password
start, found = threading.Barrier(8), []
def work():
    start.wait()
    found.append(hash_password("secret", "salt"))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)))
"""


def test_passwords_of_many_machines_are_hashed_at_once() -> None:
    """In a process of its own: the first import of the library is where threads can meet."""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.stderr) == ("8 1\n", "")
