"""A host dies, in a lab of three: suspected, fenced, its machines elsewhere, its old copies never again."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.live.conftest import Bench
from tests.live.inside import a_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = """
stack: shop
networks: {front: {subnet: 10.62.0.0/24}}
groups:
  web: {image: nano, on: {zone: b}, recover: restart, disposable: true, memory: 128 MiB, networks: [front], stop_timeout: 1 s, ready: READY}
  db:
    {image: nano, on: {zone: b}, recover: restart, pool: common, volumes: [{name: data, size: 64 MiB}],
     memory: 128 MiB, networks: [front], stop_timeout: 1 s, ready: READY}
  own: {disk: 64 MiB, boot: [network], memory: 64 MiB, on: {host: h3}, recover: restart, stop_timeout: 1 s}
"""
STACK = STACK.replace("READY", "{level: started}")
DEAD = {"shop/db-1": "h3", "shop/own-1": "h3", "shop/web-1": "h3"}


@pytest.fixture(scope="module")
def benches(nano_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Bench, Bench]]:
    """The controller, h2 and h3; all see one folder, and all machines of a stack are on h3."""
    file, folder = tmp_path_factory.mktemp("death") / "shop.yaml", tmp_path_factory.mktemp("common")
    file.write_text(STACK)
    with a_lab("death", 3) as lab, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYCLOUD_HOST_LIMIT", "3")
        here, h2, h3 = (Bench(host) for host in lab.hosts)
        for name in ("h2", "h3"):
            here.run("host", "add", f"root@{name}", "--label", "zone=b")
        for name in ("local", "h2", "h3"):
            here.run("pool", "add", "common", str(folder), "--shared", "--host", name)
        here.run("image", "import", str(nano_file), "--name", "nano")
        here.run("host", "drain", "h2")
        here.run("up", str(file), "--yes", "--spare", "0")
        here.run("host", "drain", "h2", "--off")
        yield here, h2, h3


def set_link(bench: Bench, name: str, state: str) -> None:
    subprocess.run(["ip", "-n", f"tc-{bench.host.lab}", "link", "set", name, state], check=True)


def list_running(bench: Bench) -> list[str]:
    return sorted(bench.virsh("list", "--name").split())


def where(bench: Bench) -> dict[str, str]:
    return {ref: row["host"] for ref, row in bench.ls().items()}


def test_nothing_starts_elsewhere_before_the_host_is_fenced_and_what_can_does_after(
    benches: tuple[Bench, Bench, Bench], tmp_path: Path
) -> None:
    here, h2, h3 = benches
    assert where(here) == DEAD
    assert h3.virsh("list", "--all", "--autostart", "--name").split() == [], "no machine that may be elsewhere starts with its host"
    set_link(here, "h3", "down")

    states = [json.loads(here.run("host", "check", "--looks", "2", "--json").out)[2] for _ in range(2)]
    assert [state["state"] for state in states] == ["silent", "suspected dead"]
    assert "h2 cannot reach it either" in states[1]["text"]
    (tmp_path / "shop.yaml").write_text(STACK)
    here.run("up", str(tmp_path / "shop.yaml"), "--yes", "--spare", "0")
    assert here.run("host", "fence", "h3", status=4).err.count("tinycloud host fence h3 --confirm") == 1
    assert where(here) == DEAD
    assert list_running(h2) == []

    here.run("host", "fence", "h3", "--confirm", "--yes", status=1)  # somebody says so, and it is not true: db's disk is in use
    assert list_running(h2) == ["shop-web-1"]
    assert list_running(h3) == ["shop-db-1", "shop-own-1", "shop-web-1"]
    for domain in list_running(h3):
        h3.virsh("destroy", domain)
    said = json.loads(here.run("host", "fence", "h3", "--yes", "--json", status=1).out.splitlines()[-2])
    rows = {row["machine"]: (row["on"], row["way"], row["reason"]) for row in said["machines"]}
    assert rows == {"shop/db-1": ("h2", "shared", None), "shop/own-1": (None, None, "its disk is on h3 alone")}
    assert list_running(h2) == ["shop-db-1", "shop-web-1"]
    assert where(here) == {"shop/db-1": "h2", "shop/own-1": "h3", "shop/web-1": "h2"}
    assert "shop.db-1.disk-1.qcow2" in h2.virsh("domblklist", "shop-db-1")

    set_link(here, "h3", "up")
    h3.call(["sh", "-c", "kill $(cat /run/libvirtd.pid); while [ -e /run/libvirtd.pid ]; do sleep 0.1; done; libvirtd -d -l"])
    assert "was started on h2 since" in wait_for_hook(h3)
    assert list_running(h3) == []
    unfenced = here.run("host", "unfence", "h3").out
    assert "shop/db-1 runs elsewhere; its old copy is taken away" in unfenced
    assert "shop/web-1 runs elsewhere; its old copy is taken away" in unfenced
    assert h3.virsh("list", "--all", "--name").split() == ["shop-own-1"]
    assert {"shop.db-1.disk-1.qcow2", "shop.db-1.vol-data.qcow2"} <= set(os.listdir(common_of(here)))
    assert list_running(h2) == ["shop-db-1", "shop-web-1"]

    here.run("up", str(tmp_path / "shop.yaml"), "--yes", "--spare", "0")
    assert list_running(h3) == ["shop-own-1"]
    here.run("down", "shop", "--yes", "--volumes")
    assert not list_running(h2) + list_running(h3)


def wait_for_hook(bench: Bench) -> str:
    """libvirt's answer to somebody who starts the old copy by hand, as soon as it answers at all."""
    said = ""
    for _ in range(100):
        said = bench.call(["virsh", "-q", "start", "shop-db-1"]).err
        if "connect" not in said:
            return said
    return said


def common_of(bench: Bench) -> str:
    return next(str(pool["path"]) for pool in bench.run("pool", "list", "--json").json if pool["name"] == "common")
