"""Three hosts: machines are placed as their groups wish, a host is emptied and hosts are evened out under traffic that goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.live.conftest import Bench
from tests.live.inside import a_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERY = 0.2
STACK = """
stack: shop
networks: {front: {subnet: 10.64.0.0/24}}
groups:
  web: {count: 3, image: nano, memory: 128 MiB, networks: [front], spread: {over: host, must: true}}
  db: {image: nano, memory: 128 MiB, networks: [front], on: {rack: b}}
  cache: {image: nano, memory: 128 MiB, networks: [front], together: [db]}
"""
FREE = STACK.replace(", spread: {over: host, must: true}", "").replace("on: {rack: b}", "recover: never")


@pytest.fixture(scope="module")
def bench(nano_file: Path) -> Iterator[Bench]:
    """A controller that is a host, with the nano image, and two more hosts."""
    with a_lab("balance", 3) as lab:
        made = Bench(lab.hosts[0])
        made.run("host", "add", "root@h2", "--label", "rack=b")
        made.run("host", "add", "root@h3", "--label", "rack=c")
        made.run("image", "import", str(nano_file), "--name", "nano")
        yield made


def find_hosts(bench: Bench) -> dict[str, str]:
    return {ref.partition("/")[2]: machine["host"] for ref, machine in bench.ls("shop").items()}


def test_machines_are_where_they_wish_and_one_more_is_refused_by_every_host(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(STACK)
    bench.run("up", str(file), "--yes")
    hosts = find_hosts(bench)
    assert {hosts[f"web-{n}"] for n in (1, 2, 3)} == {"local", "h2", "h3"}
    assert hosts["db-1"] == hosts["cache-1"] == "h2"
    assert bench.run("plan", str(file)).status == 0
    assert bench.run("capacity", "shop/web", "--json").json["now"] == 0
    assert bench.run("capacity", "shop/cache", "--json").json["hosts"][0]["now"] > 0
    file.write_text(STACK.replace("count: 3", "count: 4"))
    said = bench.run("up", str(file), "--yes", status=4).err
    assert [f"  {name:5}  spread: a machine of web is on it" in said for name in ("h2", "h3", "local")] == [True] * 3
    file.write_text(STACK)
    stuck = bench.run("host", "drain", "h2", "--evacuate", "--yes", "--plain", status=3).out
    assert "shop/web-2 should go" in stuck or "shop/web-1 should go" in stuck or "shop/web-3 should go" in stuck
    assert find_hosts(bench) == hosts, "who may go nowhere stays, and runs"
    bench.run("host", "drain", "h2", "--off")


def test_a_host_is_emptied_and_hosts_are_evened_out_while_packets_go_on(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(FREE)
    bench.run("up", str(file), "--yes")
    address = bench.ls("shop")["shop/web-1"]["address"]
    begin = f"ping -q -i {EVERY} {address} >/tmp/ping 2>&1 & echo $! >/tmp/pid"  # a session of ssh ends where its machine moves
    bench.run("exec", "shop/web-3", "--", "sh", "-c", begin)
    drained = bench.run("host", "drain", "h2", "--evacuate", "--yes", "--json")
    assert "h2" not in find_hosts(bench).values()
    moved = len(drained.out.splitlines()[-1].split('"machine"')) - 1
    assert moved >= 2, "db and cache, at least"
    bench.run("host", "drain", "h2", "--off")
    with bench.watching("--every", "0.3"):
        bench.wait_for(lambda: all(row["load"] for row in bench.run("host", "list", "--json").json))
        kept = bench.run("balance", "--price", "0", "--json", status=3).json["measured"]
    assert [(it["by"], it["machines"]) for it in kept] == [("watch", 5)], "what pings is known without waiting for it"
    proposed = bench.run("balance", "--price", "0", "--sample", "1", "--json", status=3).json
    assert proposed["score"][1] < proposed["score"][0]
    bench.run("balance", "--price", "0", "--sample", "1", "--apply", "--yes", "--plain")
    hosts = find_hosts(bench)
    assert set(hosts.values()) == {"local", "h2", "h3"}
    assert hosts["db-1"] == hosts["cache-1"], "together before, between and after"
    said = bench.run("exec", "shop/web-3", "--", "sh", "-c", "kill -INT $(cat /tmp/pid); sleep 1; cat /tmp/ping").out
    sent, received = map(int, re.findall(r"(\d+) packets", said)[:2])
    moves = 2 + moved + len(proposed["moves"])
    assert sent > 50
    assert sent - received <= moves * 1.5 / EVERY, f"each move costs its downtime and a second at most:\n{said[-200:]}"
    bench.run("down", "shop", "--yes")
