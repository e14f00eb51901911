"""Machines on an Open vSwitch, on a host whose kernel has one: who is in which VLAN, by real frames. Its packages are unpacked there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.full_kernel import FullHost, a_full_host
from tests.live.inside import a_lab

pytestmark = [
    pytest.mark.timeout(1500),  # a host inside of a guest: minutes where the machine is busy
    pytest.mark.skipif(not os.environ.get("TINYCLOUD_SLOW"), reason="takes minutes: make slow"),
]
PACKAGES = ["openvswitch-switch", "openvswitch-common", "libxdp1"]
START = """
modprobe -a openvswitch 8021q
mkdir -p /run/openvswitch /var/lib/openvswitch
ovsdb-tool create /run/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server --detach --pidfile --log-file=/run/ovsdb.log --remote=punix:/run/openvswitch/db.sock /run/openvswitch/conf.db
ovs-vsctl --no-wait init
/usr/lib/openvswitch-switch/ovs-vswitchd --detach --pidfile --log-file=/run/vswitchd.log
ovs-vsctl add-br ovs0 -- add-port ovs0 out -- set interface out type=internal
ip link set ovs0 up && ip link set out up
for vlan in 42 43; do ip link add link out name out.$vlan type vlan id $vlan && ip addr add 10.9.$vlan.1/24 dev out.$vlan && ip link set out.$vlan up; done
"""
STACK = """
stack: tagged
networks:
  red: {access: {bridge: ovs0}, vlan: 42}
  blue: {access: {bridge: ovs0}, vlan: 43}
  both: {access: {bridge: ovs0}, vlan: {trunk: [43], native: 42}}
groups:
  r: {image: nano, memory: 96 MiB, ready: started, networks: [red], guest: {run: [IN_BOTH]}}
  b: {image: nano, memory: 96 MiB, ready: started, networks: [blue], guest: {run: [IN_BOTH]}}
  t: {image: nano, memory: 96 MiB, ready: started, networks: [both], guest: {run: [IN_BOTH]}}
"""
IN_BOTH = '"for vlan in 42 43; do ip addr add 10.9.$vlan.NUMBER/24 dev eth0; done; echo has addresses > /dev/ttyS0"'


@pytest.fixture(scope="module")
def full(nano_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullHost]:
    """With a bridge ovs0, and a port on which the host is in both VLANs."""
    folder = tmp_path_factory.mktemp("ovs")
    subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=folder, check=True)
    with a_lab("open-vswitch") as lab, a_full_host(lab.hosts[0], disk=16) as host:
        unpack = f"for file in {folder}/*.deb; do dpkg -x $file /run/unpacked; done; cp -a /run/unpacked/usr/. /usr; ldconfig"
        host.sh(f"set -e\n{unpack}\n{START}")
        host.run("image", "import", str(nano_file), "--name", "nano")
        yield host


def reaches(full: FullHost, vlan: int, number: int) -> bool:
    return full.sh(f"busybox ping -q -c 1 -W 2 10.9.{vlan}.{number} >/dev/null && echo yes || echo no") == "yes\n"


def test_a_machine_is_in_its_vlan_and_in_no_other(full: FullHost) -> None:
    text = STACK
    for number in (11, 12, 13):
        text = text.replace("IN_BOTH", IN_BOTH.replace("NUMBER", str(number)), 1)
    full.sh(f"cat > /run/tagged.yaml <<'END'\n{text}\nEND")
    full.run("up", "/run/tagged.yaml", "--yes")
    for name in ("r", "b", "t"):
        log = f"/var/log/libvirt/qemu/tagged-{name}-1.console.log"
        full.sh(f"for i in $(seq 200); do grep -qs 'has addresses' {log} && exit; sleep 0.5; done; cat {log}; exit 1")
    seen = {(vlan, number): reaches(full, vlan, number) for vlan in (42, 43) for number in (11, 12, 13)}
    assert seen == {(42, 11): True, (42, 12): False, (42, 13): True, (43, 11): False, (43, 12): True, (43, 13): False}
    assert "nothing to do" in full.run("plan", "/run/tagged.yaml")
    full.run("down", "tagged", "--yes")
    assert full.sh("ovs-vsctl list-ports ovs0") == "out\n", "the bridge is somebody else's, and as it was"
