"""Three hosts, one cloud: added over ssh, a machine on one of them reached through it, and one whose link is cut."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.conftest import Bench
from tests.live.inside import a_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = """
stack: far
networks: {front: {subnet: 10.61.0.0/24}}
groups:
  web: {image: nano, memory: 128 MiB, networks: [front], on: {rack: b}}
  db: {image: nano, memory: 128 MiB, networks: [front], on: {host: h3}, ready: {level: started}}
"""
LIMIT = "3"
"""Seconds that a host is waited for."""


@pytest.fixture(scope="module")
def here(nano_file: Path) -> Iterator[Bench]:
    """The controller, which is a host, with two more."""
    with a_lab("hosts", 3) as lab:
        bench = Bench(lab.hosts[0])
        bench.run("host", "add", "root@h2", "--label", "rack=b")
        bench.run("host", "add", "h3")  # the user is in ssh's own configuration
        bench.run("image", "import", str(nano_file), "--name", "nano")
        yield bench


@pytest.fixture(scope="module")
def far(here: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a stack that is up, ``web`` on h2 and ``db`` on h3."""
    path = tmp_path_factory.mktemp("far") / "far.yaml"
    path.write_text(STACK)
    here.run("up", str(path), "--yes")
    return path


@contextmanager
def cut(bench: Bench, name: str) -> Iterator[None]:
    """The host's wire is out."""
    switch = f"tc-{bench.host.lab}"
    subprocess.run(["ip", "-n", switch, "link", "set", name, "down"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "-n", switch, "link", "set", name, "up"], check=True)


def pick(world: dict[str, Any], name: str) -> dict[str, Any]:
    """What a host has, without its name and what changes by itself."""
    (facts,) = [it for it in world["hosts"] if it["name"] == name]
    found = {key: [it for it in world.get(key, []) if it["host"] == name] for key in ("machines", "networks", "images", "foreign")}
    found["facts"] = [{key: facts.get(key) for key in ("cpus", "memory", "hypervisors", "firewall", "overlays")}]
    found["pools"] = [{key: facts["pool"][key] for key in ("name", "path", "capacity")}]
    text = json.dumps(found, sort_keys=True)
    told: dict[str, Any] = json.loads(
        text.replace(f'"host": "{name}"', '"host": "it"').replace(f" of {name}", "").replace(f" on {name}", "")
    )
    return told


def test_hosts_are_listed_with_what_was_found(here: Bench) -> None:
    rows = {row["name"]: row for row in here.run("host", "list", "--json").json}
    assert {name: (row["state"], row["address"]) for name, row in rows.items()} == {
        "local": ("ready", "198.18.0.1"),
        "h2": ("ready", "198.18.0.2"),
        "h3": ("ready", "198.18.0.3"),
    }
    assert rows["h2"]["labels"] == {"rack": "b"}
    assert 0 < rows["h2"]["memory"]["free"] < rows["h2"]["memory"]["total"]


def test_a_look_at_another_host_is_one_session(here: Bench) -> None:
    said = here.run("-v", "host", "list").err.splitlines()
    assert sum(line.startswith("+ ssh root@h2 ") for line in said) == 1, said


def test_a_server_is_a_host_once_whatever_it_is_called(here: Bench) -> None:
    said = here.run("host", "add", "root@198.18.0.2", "--name", "twin", status=4).err
    assert 'it is the same machine as the host "h2"' in said
    assert here.run("host", "list", "--json").out.count('"name": "twin"') == 0


def test_a_server_that_does_not_answer_is_no_host(here: Bench) -> None:
    said = here.run("host", "add", "root@198.18.0.77", status=1).err
    assert 'host "h-198-18-0-77" (root@198.18.0.77) does not answer by ssh' in said
    assert "hint: " in said


def test_a_machine_on_another_host_is_reached_through_it(here: Bench, far: Path, tmp_path: Path) -> None:
    assert here.ls("far")["far/web-1"]["host"] == "h2"
    assert "via" not in here.call(["ip", "route", "get", "10.61.0.11"]).out, "the controller has no way into the network but the host"
    assert here.run("ssh", "far/web-1", "--", "hostname").out == "web-1\n"
    assert here.run("exec", "far/web-1", "--", "echo", "a  b", "$HOME").out == "a  b $HOME\n"
    (tmp_path / "body").write_bytes(bytes(range(256)) * 999)
    here.run("cp", str(tmp_path / "body"), "far/web-1:/tmp/body")
    here.run("cp", "far/web-1:/tmp/body", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "body").read_bytes()
    (tmp_path / "config").write_text(here.run("ssh-config", "far/web-1").out)
    assert here.call(["ssh", "-F", str(tmp_path / "config"), "web-1.far", "hostname"]).out == "web-1\n"


def test_a_host_is_read_from_afar_as_it_reads_itself(here: Bench, far: Path) -> None:
    whole = here.run("world", "--json").json
    alone = Bench(replace(here.host, number=2)).run("world", "--json").json
    assert [it["name"] for it in alone["hosts"]] == ["local"]
    assert whole["machines"]
    assert pick(whole, "h2") == pick(alone, "local")


def test_its_serial_line_and_its_screen_come_through_the_host(here: Bench, far: Path) -> None:
    assert here.run("console", "far/web-1", "--lines", "5").out.strip()
    showing = here.start("vnc", "far/web-1")
    try:
        address, _, port = showing.stdout.readline().strip().rpartition(":")  # type: ignore[union-attr]
        said = here.call(["timeout", "20", "bash", "-c", f"head -c 12 < /dev/tcp/{address}/{port}"]).out
    finally:
        subprocess.run(["pkill", "-INT", "-P", str(showing.pid)], check=False)
        showing.terminate()
        showing.communicate(timeout=60)
    assert said.startswith("RFB 003")


def test_a_host_that_is_not_empty_does_not_go(here: Bench, far: Path) -> None:
    said = here.run("host", "remove", "h2", status=4).err
    assert "machines: far/web-1" in said


def test_a_host_whose_link_is_cut_delays_nobody_for_long(here: Bench, far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYCLOUD_HOST_LIMIT", LIMIT)
    with cut(here, "h3"):
        began = time.monotonic()
        done = here.run("ls")
        assert time.monotonic() - began < 60, "the machine may be busy; the limit is 3 s"
        states = {line.split()[1]: line.split()[3] for line in done.out.splitlines()[1:]}
        assert states == {"web-1": "ready", "db-1": "unreachable"}
        assert "unreachable: h3: " in done.err
        again = time.monotonic()
        (row,) = [row for row in here.run("host", "list", "--json").json if row["name"] == "h3"]
        assert time.monotonic() - again < 60
        assert (row["state"], row["machines"], row["running"]) == ("unreachable", 1, 0)
        said = here.run("ssh", "far/db-1", "--", "true", status=1).err
        assert "far/db-1 is on h3, which does not answer" in said
        assert here.run("ssh", "far/web-1", "--", "hostname").out == "web-1\n"
        assert "h3 does not answer" in here.run("why", "far/db-1").out
    here.wait_for(lambda: here.ls("far")["far/db-1"]["state"] in ("running", "ready"), limit=120)


def test_an_empty_host_goes_and_so_does_this_machine(here: Bench, far: Path) -> None:
    here.run("down", "far", "--yes")
    here.run("host", "remove", "h3")
    here.run("host", "remove", "local")
    assert [row["name"] for row in here.run("host", "list", "--json").json] == ["h2"]
    assert "only host" in here.run("host", "remove", "h2", status=4).err
