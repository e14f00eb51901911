"""What a NIC carries is limited both ways while its machine runs, on a host whose kernel has libvirt's schedulers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.full_kernel import FullHost, a_full_host
from tests.live.inside import a_lab

pytestmark = [
    pytest.mark.timeout(1500),  # a host inside of a guest: minutes where the machine is busy
    pytest.mark.skipif(not os.environ.get("TINYCLOUD_SLOW"), reason="takes minutes: make slow"),
]
STACK = """
stack: slow
networks: {lan: {subnet: 10.65.0.0/24, access: isolated}}
groups:
  box:
    image: nano
    memory: 128 MiB
    networks: [{network: lan, bandwidth: {in: {average: 100 KiB, burst: 16 KiB}, out: {average: 100 KiB, burst: 64 KiB}}}]
    guest:
      run:
        - "(tail -f /dev/null | nc -l -p 5000) >/dev/null 2>&1 &"
        - "(tail -f /dev/null | nc -l -p 5002) >/dev/null 2>&1 &"
        - "(while true; do head -c 524288 /dev/zero | nc -l -p 5001; done) >/dev/null 2>&1 &"
"""
MEASURE = """
import socket, sys, time
def connect(port):
    while True:
        try:
            return socket.create_connection(("10.65.0.11", port), timeout=120)
        except OSError:
            time.sleep(0.2)
line = connect(int(sys.argv[1]))
line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
begin = time.monotonic()
line.sendall(bytes(524288 + 65536 * 2))
there = time.monotonic() - begin
line = connect(5001)
begin, seen = time.monotonic(), 0
while seen < 524288 and (piece := line.recv(65536)):
    seen += len(piece)
print(seen, there, time.monotonic() - begin)
"""


@pytest.fixture(scope="module")
def full(nano_file: Path) -> Iterator[FullHost]:
    with a_lab("bandwidth") as lab, a_full_host(lab.hosts[0], disk=1) as host:
        host.run("image", "import", str(nano_file), "--name", "nano")
        host.sh(f"cat > /run/measure.py <<'END'\n{MEASURE}\nEND")
        yield host


def up(full: FullHost, text: str) -> str:
    full.sh(f"cat > /run/slow.yaml <<'END'\n{text}\nEND")
    return full.run("up", "/run/slow.yaml", "--yes")


def measure(full: FullHost, port: int) -> tuple[float, float]:
    """How many seconds half a MiB takes to the guest, which listens at ``port`` once, and from it."""
    seen, there, back = full.sh(f"python3 /run/measure.py {port}").split()
    assert int(seen) == 524288
    return float(there), float(back)


def test_a_nic_carries_as_much_as_it_may_and_all_it_can_when_the_limit_goes(full: FullHost) -> None:
    up(full, STACK)
    limited = measure(full, 5000)
    assert min(limited) > 2.0, "5 s at 100 KiB a second, with slack for what may burst"
    text = STACK.partition("bandwidth: ")[0].removesuffix(", ") + "}]" + STACK.partition("64 KiB}}}]")[2]
    assert "restart" not in up(full, text)
    free = measure(full, 5002)
    assert free[0] * 2 < limited[0]
    assert free[1] * 2 < limited[1]
    full.run("down", "slow", "--yes")
