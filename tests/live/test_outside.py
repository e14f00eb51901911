"""From outside in: forwarded ports and floating addresses lead to real guests, from everywhere, and change while they run.

Somebody outside is a network namespace behind an interface ``out0`` of the lab host, with two addresses. Each guest says its name and
who asked.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.conftest import Bench

CLIENT, FRIEND, GATE, FLOATING = "203.0.113.5", "203.0.113.6", "203.0.113.1", "203.0.113.10"
CLIENT6, GATE6, FLOATING6 = "2001:db8::5", "2001:db8::1", "2001:db8::10"
STACK = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24, subnet6: 'fd00:60::/64'}}
policies:
  web: {inbound: [{tcp: 80, from: FRIEND}, {tcp: 22, from: host}, {tcp: 80, from: {group: web}}]}
groups:
  web:
    count: 2
    image: nano
    memory: 128 MiB
    networks: [front]
    policies: []
    guest:
      files:
        - path: /www/cgi-bin/who
          mode: "0755"
          content: "#!/bin/sh\\necho\\necho $(hostname) sees $REMOTE_ADDR\\n"
      run: ["busybox httpd -h /www"]
"""
WAYS = """
forwards:
  - {host_port: 8080, to: web-1:80}
  - {host_port: 8081, to: web-1:80, from: 203.0.113.6}
  - {host_port: 8082, to: web-2:80}
floating: [{address: 203.0.113.10, to: web-1}, {address: '2001:db8::10', to: web-1}]
"""
ASK = """
import socket, sys
address, port, source = sys.argv[1:]
try:
    with socket.create_connection((address, int(port)), 3, (source, 0) if source else None) as line:
        line.sendall(b"GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n")
        print(*b"".join(iter(lambda: line.recv(4096), b"")).decode().split()[-3:])
except OSError as err:
    print(type(err).__name__)
"""
TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 60, (sys.argv[3], 0)) as line:
    line.sendall(b"GET /cgi-bin/who HTTP/1.0\\r\\n")
    print("begun", flush=True)
    sys.stdin.readline()
    line.sendall(b"\\r\\n")
    print(*b"".join(iter(lambda: line.recv(4096), b"")).decode().split()[-3:], flush=True)
"""
SERVE = """
import socket
with socket.create_server(("", 80)) as server:
    print("ready", flush=True)
    for _ in range(2):
        line, (address, _) = server.accept()
        line.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\n{address}".encode())
        line.recv(4096)
        line.close()
"""


@pytest.fixture(scope="module")
def outside(bench: Bench) -> Iterator[None]:
    lines = [
        "ip netns add out",
        "ip link add out0 type veth peer name eth0 netns out",
        f"ip addr add {GATE}/24 dev out0",
        f"ip addr add {GATE6}/64 dev out0 nodad",
        "ip link set out0 up",
        "ip -n out link set lo up",
        f"ip -n out addr add {CLIENT}/24 dev eth0",
        f"ip -n out addr add {FRIEND}/24 dev eth0",
        f"ip -n out addr add {CLIENT6}/64 dev eth0 nodad",
        "ip -n out link set eth0 up",
    ]
    done = bench.call(["sh", "-ec", "\n".join(lines)])
    assert done.status == 0, done.err
    yield
    bench.call(["ip", "netns", "del", "out"])


@contextmanager
def running(bench: Bench, script: str, *words: str, place: str = "out") -> Iterator[subprocess.Popen[str]]:
    argv = bench.host.make_argv(["ip", "netns", "exec", place, sys.executable, "-c", script, *words])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def read(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def ask(bench: Bench, address: str, port: int, source: str = "", *, outside: bool = True) -> str:
    """``web-1 sees 203.0.113.5``, or what kept it from being said."""
    place = ["ip", "netns", "exec", "out"] if outside else []
    return plain(bench.call([*place, sys.executable, "-c", ASK, address, str(port), source]).out)


def plain(said: str) -> str:
    """Without the brackets in which an address of IPv6 stands, and as which one of IPv4 is seen."""
    return said.strip().replace("[", "").replace("]", "").replace("::ffff:", "")


def ask_inside(bench: Bench, machine: str, address: str, port: int = 80) -> str:
    line = f"printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} {port} | tail -1"
    return plain(bench.call([sys.executable, "-m", "tinycloud", "exec", f"shop/{machine}", "--", "sh", "-c", line]).out)


@pytest.mark.usefixtures("outside")
def test_what_leads_in_from_outside_works_from_everywhere_and_changes_while_machines_run(
    bench: Bench, tidy: dict[str, list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text((STACK + WAYS).replace("FRIEND", FRIEND))
    bench.run("up", str(file), "--yes")
    see_everybody_come_in(bench)
    with running(bench, SERVE) as server:
        assert read(server) == "ready"
        assert [ask_inside(bench, name, CLIENT) for name in ("web-1", "web-2")] == [FLOATING, GATE], "a machine goes out by its own address"
    see_changes(bench, file)
    bench.run("down", "shop", "--yes")
    left = bench.call(["ip", "-br", "addr"]).out
    assert FLOATING not in left
    assert FLOATING6 not in left


def see_everybody_come_in(bench: Bench) -> None:
    assert ask(bench, GATE, 8080) == f"web-1 sees {CLIENT}"
    assert ask(bench, FLOATING, 80) == f"web-1 sees {CLIENT}"
    bench.wait_for(lambda: ask(bench, GATE6, 8080) == f"web-1 sees {CLIENT6}")  # its address of IPv6 comes seconds after the other
    assert ask(bench, FLOATING6, 80) == f"web-1 sees {CLIENT6}"
    assert (ask(bench, GATE, 8081), ask(bench, GATE, 8081, FRIEND)) == ("ConnectionRefusedError", f"web-1 sees {FRIEND}")
    assert ask(bench, GATE, 8080, outside=False).startswith("web-1 sees "), "the host by its own address"
    assert ask(bench, "127.0.0.1", 8080, outside=False) == "web-1 sees 10.60.0.1", "the host as localhost"
    assert ask(bench, FLOATING, 80, outside=False).startswith("web-1 sees ")
    assert ask_inside(bench, "web-2", GATE, 8080) == ask_inside(bench, "web-2", FLOATING) == "web-1 sees 10.60.0.1"
    ports = {row["host_port"]: row["machine"] for row in bench.run("forward", "list", "--json").json}
    assert ports == {8080: "shop/web-1", 8081: "shop/web-1", 8082: "shop/web-2"}


def see_changes(bench: Bench, file: Path) -> None:
    """The address moves, a port goes, policies come; two talk to web-2 all the while, one of whom may do so to the end."""
    with running(bench, TALK, GATE, "8082", FRIEND) as talk, running(bench, TALK, GATE, "8082", CLIENT) as other:
        assert read(talk) == read(other) == "begun"
        text = file.read_text().replace("{address: 203.0.113.10, to: web-1}", "{address: 203.0.113.10, to: web-2}")
        file.write_text(
            text.replace("policies: []", "policies: [web]").replace("  - {host_port: 8081, to: web-1:80, from: 203.0.113.6}\n", "")
        )
        said = bench.run("plan", str(file), status=3).out
        assert "no more floating address 203.0.113.10 on out0" in said
        assert "restart" not in said
        bench.run("up", str(file), "--yes")
        assert (ask(bench, FLOATING, 80, FRIEND), ask(bench, FLOATING, 80)) == (f"web-2 sees {FRIEND}", "TimeoutError")
        assert (ask(bench, GATE, 8080, FRIEND), ask(bench, GATE, 8080)) == (f"web-1 sees {FRIEND}", "TimeoutError")
        assert ask(bench, FLOATING6, 80) == "TimeoutError", "no rule is for addresses of IPv6"
        assert ask(bench, GATE, 8081, FRIEND) == "ConnectionRefusedError"
        assert ask_inside(bench, "web-1", FLOATING) == "web-2 sees 10.60.0.1", "another one of a network with policies"
        assert "leads to shop/web-2" in bench.run("why", "--from", CLIENT, "--to", FLOATING, "--port", "tcp/80").out
        for it in (other, talk):
            assert it.stdin is not None
            it.stdin.write("\n")
            it.stdin.flush()
        assert plain(read(talk)) == f"web-2 sees {FRIEND}", "the connection is as it was"
        assert other.stdout is not None
        assert not select.select([other.stdout], [], [], 0)[0], "no rule lets it in any more"
