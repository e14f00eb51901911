"""Debian 12 with systemd and real cloud-init: what nano only imitates."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import CACHE, Bench
from tinycloud.drivers.guest.iso import make_iso
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.build import build_image

STACK = """
stack: deb
inputs:
  admin_password: {type: secret}
networks:
  lan: {subnet: 10.66.0.0/24}
groups:
  srv:
    image: debian-12
    memory: 512 MiB
    disk: 3 GiB
    networks: [lan]
    volumes: [{name: data, size: 32 MiB}]
    guest:
      users: [{name: admin, password: "${inputs.admin_password}", groups: [adm], shell: /bin/bash, sudo: true}]
      files:
        - {path: /etc/motd, content: "this is ${machine.name} at ${machine.address}\\n"}
        - {path: /home/admin/note, content: "it's $HOME", owner: "admin:admin", mode: "600"}
      run: ["id admin > /root/ran"]
outputs:
  password: ${inputs.admin_password}
"""


@pytest.fixture(scope="module")
def srv(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    image = build_image(LocalShell(), CACHE, "debian-12")[0]
    path = tmp_path_factory.mktemp("deb") / "deb.yaml"
    path.write_text(STACK)
    bench.run("image", "import", str(image), "--name", "debian-12", "--user", "debian")
    before = bench.snapshot()
    bench.run("up", str(path), "--yes", limit=400)
    yield bench
    bench.run("down", "deb", "--yes")
    assert bench.snapshot() == before


def test_cloud_init_did_what_the_guest_section_says(srv: Bench) -> None:
    said = srv.run(
        "ssh", "deb", "--", "cat /etc/motd; sudo cat /root/ran; sudo stat -c '%U %a' /home/admin/note; sudo cat /home/admin/note"
    ).out
    assert said.splitlines()[0] == "this is srv-1 at 10.66.0.11"
    assert "(admin)" in said
    assert said.endswith("admin 600\nit's $HOME")


def test_the_root_file_system_has_grown_to_the_disk(srv: Bench) -> None:
    size = int(srv.run("ssh", "deb", "--", "df --output=size -B1M / | tail -1").out)
    assert size > 2700


def test_a_data_volume_has_a_name_that_lasts(srv: Bench) -> None:
    assert srv.run("ssh", "deb", "--", "cat /sys/block/$(basename $(readlink /dev/disk/by-id/virtio-data))/size").out == "65536\n"


def test_the_host_name_is_the_machines(srv: Bench) -> None:
    assert srv.run("ssh", "deb", "--", "hostname; hostname -f").out == "srv-1\nsrv-1.deb\n"


def test_the_guest_agent_tells_the_address_too(srv: Bench) -> None:
    def sources() -> set[str]:
        return {item["source"] for item in srv.run("show", "deb/srv-1", "--json").json["addresses"] if item["address"] == "10.66.0.11"}

    assert srv.wait_for(lambda: {"reservation", "lease", "agent"} <= sources())


def test_the_generated_password_is_shown_on_request_alone_and_logs_its_user_in(srv: Bench) -> None:
    assert srv.run("outputs", "deb", "--json").json == {"password": "<secret admin_password>"}
    password = srv.run("outputs", "deb", "--secrets", "--json").json["password"]
    assert re.fullmatch(r"[A-Za-z0-9]{20}", password)
    assert "uid=1000(admin)" in ssh_with_password(srv, password)


def ssh_with_password(srv: Bench, password: str) -> str:
    """Log in as a person would, typing the password; the host key is verified as always."""
    known = "/var/lib/tinycloud/keys/known/deb-srv-1"
    options = f"-o UserKnownHostsFile={known} -o HostKeyAlias=deb-srv-1 -o StrictHostKeyChecking=yes -o PubkeyAuthentication=no"
    argv = srv.host.make_argv(["ssh", "-F", "/dev/null", *options.split(), "admin@10.66.0.11", "id"], folder="/")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    heard, typed, end = "", False, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            heard += os.read(terminal, 4096).decode()
        except OSError:
            break
        if "password:" in heard and not typed:
            os.write(terminal, password.encode() + b"\n")
            typed = True
    os.close(terminal)
    os.waitpid(pid, 0)
    return heard


def test_the_password_stands_nowhere_in_clear(srv: Bench) -> None:
    password = srv.run("outputs", "deb", "--secrets", "--json").json["password"]
    script = f"grep -rlF {password} /var/lib/tinycloud /var/log/libvirt /etc/libvirt /run/libvirt; true"
    found = srv.call(["sh", "-c", script]).out.split()
    assert all(name.startswith("/var/lib/tinycloud/tinycloud.db") for name in found)  # the store, mode 0600, keeps it
    for words in (
        ("show", "deb", "--json"),
        ("show", "deb/srv-1", "--xml"),
        ("show", "deb/srv-1", "--command"),
        ("why", "deb"),
        ("history", "--json"),
        ("world",),
    ):
        assert password not in srv.run(*words).out


def test_a_cd_put_in_is_seen_by_the_guest_changed_and_taken_out(srv: Bench, tmp_path: Path) -> None:
    """On scsi, which a running machine without a drive gets; and a disk beside it."""
    note = "grep -a -o -m1 'note [a-z]*' /dev/sr0"
    for word in ("one", "two"):
        (tmp_path / f"{word}.iso").write_bytes(make_iso({"note": f"note {word}\n".encode()}, word.upper()))
        srv.run("cd", "insert", "deb/srv-1", str(tmp_path / f"{word}.iso"))
        assert srv.wait_for(lambda: "note" in (said := srv.run("ssh", "deb", "--", f"sudo {note}; true").out) and said) == f"note {word}\n"
    assert "in-use" in srv.run("image", "remove", "two", status=4).err
    srv.run("cd", "eject", "deb/srv-1")
    assert srv.run("ssh", "deb", "--", f"sudo {note}; true").out == ""
    srv.run("disk", "attach", "deb/srv-1", "one", "--bus", "scsi")
    disks = srv.wait_for(lambda: "one" in (said := srv.run("ssh", "deb", "--", "lsblk -no SERIAL,RO").out) and said)
    assert ["one", "1"] in [line.split() for line in disks.splitlines()]
    for name in ("one", "cdrom"):
        srv.run("disk", "detach", "deb/srv-1", name)
    for name in ("one", "two"):
        srv.run("image", "remove", name)
