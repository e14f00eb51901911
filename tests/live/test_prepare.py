"""Machines whose disks are edited before they start: a group in one launch, a kill in its middle, what comes up afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from passlib.hash import sha512_crypt

from tests.live.conftest import Bench
from tests.live.inside import run_inside
from tinycloud.cloud import Cloud
from tinycloud.engine.events import Event

STACK = """
stack: prep
networks: {lan: {subnet: 10.69.0.0/24}}
groups:
  box:
    count: 3
    image: nano
    memory: 128 MiB
    networks: [lan]
    prepare: offline
    ready: {timeout: 3 min}
    guest:
      network: static
      users: [{name: admin, password: offline-too}]
      files: [{path: /home/admin/motd, content: "${machine.name} at ${machine.address}\\n", owner: admin, mode: "0640"}]
      run: ["echo run >> /etc/ran"]
"""


def kill_in_the_middle(event: Event) -> None:
    """End this process while the second machine's disk is edited."""
    if event.action == "disk.prepare" and event.text.startswith("box-2"):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("tidy")
def test_a_group_is_prepared_in_one_launch_also_after_a_kill_in_its_middle(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "prep.yaml"
    file.write_text(STACK)

    def piece() -> None:
        pid = os.fork()
        if pid == 0:
            with Cloud() as cloud:
                cloud.up(file, listener=lambda event: kill_in_the_middle(event) if "starting" not in event.text else None)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    run_inside(bench.host, piece)
    bench.wait_for(lambda: "guestfish" not in bench.call(["ps", "-eo", "comm="]).out)
    said = bench.run("resume", "prep", "--json").out
    assert said.count('"done"') > 3
    assert said.count("box-1 starting the appliance") == 1
    assert {row["state"] for row in bench.ls("prep").values()} == {"ready"}
    for number in (1, 2, 3):
        ref = f"prep/box-{number}"
        name, motd, ran, hashed, address, owner = bench.run("exec", ref, "--", "sh", "-c", LOOK).out.splitlines()
        assert (name, motd, ran) == (f"box-{number}", f"box-{number} at 10.69.0.1{number}", "run"), "each disk was edited once"
        assert sha512_crypt.verify("offline-too", hashed)
        assert address == f"inet 10.69.0.1{number}/24 scope global eth0", "nobody gave it a lease"
        assert owner == "admin 640"
    assert bench.run("plan", str(file), status=0).out.count("to add") == 0
    bench.run("down", "prep", "--yes")


LOOK = """\
hostname
cat /home/admin/motd /etc/ran
awk -F: '$1 == "admin" { print $2 }' /etc/shadow
ip addr show eth0 | grep -o 'inet .*'
stat -c '%U %a' /home/admin/motd
"""
