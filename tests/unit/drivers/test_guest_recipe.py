"""A guest section as a recipe, and the keys that a seed and a recipe both know."""

from __future__ import annotations

from pathlib import Path

from tests.builders import a_world, load
from tinycloud.drivers.guest.keys import Keys
from tinycloud.drivers.guest.recipe import make_recipe
from tinycloud.drivers.guest.seed import make_network_config, make_user_data
from tinycloud.model.plan import Plan
from tinycloud.plan import plan_up

STACK = """
stack: shop
networks:
  back: {subnet: 10.61.0.0/24, access: isolated}
  front: {subnet: 10.60.0.0/25}
groups:
  web:
    image: nano
    networks: [back, front]
    prepare: PREPARE
    guest:
      network: static
      proxy: http://192.0.2.1:3128
      timezone: Europe/Berlin
      locale: de_DE.UTF-8
      ssh_keys: [ssh-ed25519 AAAA mine]
      users: [{name: admin, password: secret, groups: [wheel]}]
      files: [{path: /etc/motd, content: "${machine.address}\\n"}]
      packages: [nginx]
      run: [date]
"""


def plan(prepare: str) -> Plan:
    return plan_up(load(STACK.replace("PREPARE", prepare)), a_world())


def test_a_recipe_says_what_the_seed_says(tmp_path: Path) -> None:
    it, keys = plan("offline"), Keys(tmp_path)
    wanted = it.machines["shop/web-1"]
    recipe = make_recipe(wanted, it.networks, keys)
    assert (recipe.hostname, recipe.timezone, recipe.locale, recipe.proxy) == (
        "web-1",
        "Europe/Berlin",
        "de_DE.UTF-8",
        "http://192.0.2.1:3128",
    )
    assert [(user.name, user.ssh_keys) for user in recipe.users] == [("root", (keys.public, "ssh-ed25519 AAAA mine")), ("admin", ())]
    assert [(file.path, file.mode) for file in recipe.files] == [
        ("/etc/ssh/ssh_host_ed25519_key", "0600"),
        ("/etc/ssh/ssh_host_ed25519_key.pub", "0644"),
        ("/etc/motd", "0644"),
    ]
    assert recipe.files[0].content is not None
    assert recipe.files[0].content.reveal() == keys.make_host_key(wanted.mark.uuid)[0], "the key that the first ssh expects"
    assert recipe.files[2].content is not None
    assert recipe.files[2].content.reveal() == "10.61.0.11\n"
    assert (recipe.packages, [str(command) for command in recipe.run], recipe.cloud_init) == (("nginx",), ["date"], "off")


def test_static_nics_have_one_way_out_and_it_leads_out(tmp_path: Path) -> None:
    it = plan("offline")
    nics = make_recipe(it.machines["shop/web-1"], it.networks, Keys(tmp_path)).nics
    assert [(nic.name, nic.address, nic.gateway, nic.dns) for nic in nics] == [
        ("eth0", "10.61.0.11/24", None, ("10.61.0.1",)),
        ("eth1", "10.60.0.11/25", "10.60.0.1", ("10.60.0.1",)),
    ]


def test_a_seed_knows_the_same_keys(tmp_path: Path) -> None:
    it = plan("cloud-init")
    wanted = it.machines["shop/web-1"]
    data = make_user_data(wanted, Keys(tmp_path))
    assert (data["timezone"], data["locale"], data["apt"]) == ("Europe/Berlin", "de_DE.UTF-8", {"proxy": "http://192.0.2.1:3128"})
    nics = make_network_config(wanted, it.networks)["ethernets"]
    assert nics["nic1"]["addresses"] == ["10.60.0.11/25"]
    assert nics["nic1"]["gateway4"] == "10.60.0.1"
    assert "dhcp4" not in nics["nic0"]
    assert "gateway4" not in nics["nic0"]


def test_a_declared_login_user_is_one_user(tmp_path: Path) -> None:
    it = plan_up(load(STACK.replace("PREPARE", "offline").replace("name: admin", "name: root")), a_world())
    (root,) = make_recipe(it.machines["shop/web-1"], it.networks, Keys(tmp_path)).users
    assert root.password is not None
    assert root.ssh_keys[-1] == "ssh-ed25519 AAAA mine"
