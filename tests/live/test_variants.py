"""Firmware, disk buses, topology, templates and patches, bridges of the host: what the XML says, a guest boots."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Bench

pytestmark = pytest.mark.usefixtures("tidy", "_gone")


@pytest.fixture
def _gone(bench: Bench, tidy: object) -> Iterator[None]:
    """What a test that fails leaves is not the next one's trouble."""
    yield
    bench.call([sys.executable, "-m", "tinycloud", "down", "var", "--yes"])


def up(bench: Bench, tmp_path: Path, group: str, networks: str = "lan: {subnet: 10.68.0.0/24}", ready: str = "{timeout: 60 s}") -> None:
    file = tmp_path / "var.yaml"
    file.write_text(
        f"stack: var\nnetworks: {{{networks}}}\ngroups:\n  box:\n    image: nano\n    memory: 160 MiB\n    networks: [lan]\n    ready: {ready}\n{group}"
    )
    bench.run("up", str(file), "--yes")
    assert bench.ls()["var/box-1"]["state"] == "ready"
    assert '"changed": false' in bench.run("up", str(file), "--yes").out


def down(bench: Bench) -> None:
    bench.run("down", "var", "--yes")


def test_uefi_boots_and_leaves_no_nvram(bench: Bench, tmp_path: Path) -> None:
    up(bench, tmp_path, "    firmware: uefi\n")
    assert bench.run("ssh", "var", "--", "test -d /sys/firmware/efi && echo uefi").out == "uefi\n"
    assert bench.call(["ls", "/var/lib/libvirt/qemu/nvram"]).out.split() != []
    down(bench)
    assert bench.call(["ls", "/var/lib/libvirt/qemu/nvram"]).out.split() == []


@pytest.mark.parametrize(("bus", "disk"), [("scsi", "sda"), ("ide", "sda")])
def test_other_buses_boot_and_bring_their_seed(bench: Bench, tmp_path: Path, bus: str, disk: str) -> None:
    up(bench, tmp_path, f"    disk_bus: {bus}\n")
    assert f"/dev/{disk}2 / ext4" in bench.run("ssh", "var", "--", "cat /proc/mounts").out
    down(bench)


def test_topology_no_screen_and_more_cpus(bench: Bench, tmp_path: Path) -> None:
    up(bench, tmp_path, "    cpus: {count: 2, sockets: 2, cores: 1, threads: 1}\n    graphics: none\n")
    assert bench.run("ssh", "var", "--", "cat /sys/devices/system/cpu/cpu*/topology/physical_package_id").out == "0\n1\n"
    assert "var/box-1 has no screen" in bench.run("vnc", "var", status=4).err
    down(bench)


def test_a_template_of_ones_own_with_values_and_patches(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.xml.j2").write_text(
        "{% extends 'domain/qemu.xml.j2' %}{% block devices %}<watchdog model='{{ values.dog }}' action='reset'/>{% endblock %}"
    )
    patches = '{at: "devices/rng", remove: true}, {at: ".", add: "<description>by hand</description>"}'
    patches += ', {at: "devices/interface/model", set: {type: e1000e}}'
    more = f"    template: mine.xml.j2\n    values: {{dog: i6300esb}}\n    xml: [{patches}]\n"
    more += "    disk_template: disk.xml.j2\n    volumes: [{name: data, size: 8 MiB, template: disk.xml.j2}]\n"
    (tmp_path / "disk.xml.j2").write_text(
        '{% extends "volume.xml.j2" %}{% block permissions %}<mode>0640</mode>{% endblock %}'
        "{% block target %}<features><lazy_refcounts/></features>{% endblock %}"
    )
    (tmp_path / "net.xml.j2").write_text(
        '{% extends "network.xml.j2" %}{% block dhcp %}<bootp file="{{ values.boot }}"/>{% endblock %}'
        "{% block more %}<dns><host ip='10.68.0.9'><hostname>printer</hostname></host></dns>{% endblock %}"
    )
    lan = "lan: {subnet: 10.68.0.0/24, template: net.xml.j2, values: {boot: pxelinux.0}}"
    up(bench, tmp_path, more, networks=lan, ready="started")  # its kernel has no driver for that NIC
    network = bench.run("show", "var/lan", "--xml").out
    assert "<bootp file='pxelinux.0'/>" in network
    assert "<hostname>printer</hostname>" in network
    for disk in ("disk", "data"):
        volume = bench.run("show", f"var/box-1/{disk}", "--xml").out
        assert "<lazy_refcounts/>" in volume
        assert "<mode>0640</mode>" in volume
    (tmp_path / "net.xml.j2").write_text('{% extends "network.xml.j2" %}')
    assert "! network  lan  template or values" in bench.run("plan", str(tmp_path / "var.yaml"), status=3).out
    xml = bench.run("show", "var", "--xml").out
    assert "<watchdog model='i6300esb' action='reset'>" in xml
    assert "<description>by hand</description>" in xml
    assert "<rng" not in xml
    assert "<model type='e1000e'/>" in xml
    down(bench)


def test_a_bridge_of_the_host_is_used_and_left_as_it_was(bench: Bench, tmp_path: Path) -> None:
    """Nobody reserves addresses there: a DHCP server of the test's own answers, and ARP tells the address."""
    bench.call(["sh", "-c", "ip link add br-own type bridge && ip addr add 10.69.0.1/24 dev br-own && ip link set br-own up"])
    dhcp = ["dnsmasq", "--conf-file=/dev/null", "--bind-interfaces", "--interface=br-own", "--except-interface=lo", "--port=0"]
    bench.call([*dhcp, "--dhcp-range=10.69.0.50,10.69.0.60", "--dhcp-leasefile=/run/own.leases", "--pid-file=/run/own.pid"])
    try:
        up(bench, tmp_path, "", networks="lan: {access: {bridge: br-own}}")
        address = bench.run("ssh", "var", "--", "ip -4 addr show eth0 | grep -o '10[.]69[.]0[.][0-9]*' | head -1").out.strip()
        assert address.startswith("10.69.0.5")
        assert {item["source"] for item in bench.run("show", "var/box-1", "--json").json["addresses"]} == {"arp"}
        down(bench)
        assert "br-own" in bench.call(["ip", "-br", "link"]).out
    finally:
        bench.call(["sh", "-c", "kill $(cat /run/own.pid); ip link del br-own; rm -f /run/own.*"])


def test_isolated_machines_reach_each_other_but_nothing_else(bench: Bench, tmp_path: Path) -> None:
    up(bench, tmp_path, "    count: 2\n", networks="lan: {access: isolated, subnet: 10.68.0.0/24}")
    assert bench.run("ssh", "var/box-1", "--", "ping -c1 -w5 box-2 >/dev/null && echo yes").out == "yes\n"
    assert bench.run("ssh", "var/box-1", "--", "ip route | grep -c default || true").out == "0\n"
    down(bench)
