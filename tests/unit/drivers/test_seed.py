"""The NoCloud seed: what a machine is told at its first start."""

from __future__ import annotations

import subprocess
import sys

AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
from tinycloud.drivers.guest.seed import hash_password
start, found = threading.Barrier(8), []
def work():
    start.wait()
    found.append(hash_password("secret", "salt"))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)))
"""


def test_passwords_of_many_machines_are_hashed_at_once() -> None:
    """In a process of its own: the first import of the library is where threads can meet."""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.stderr) == ("8 1\n", "")
