"""A user who is not root but may use sudo; and one who may not."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, Bench, Result

USER = "nobody"
STACK = """
stack: mine
networks: {lan: {subnet: 10.70.0.0/24}}
groups: {box: {image: nano, memory: 128 MiB, networks: [lan]}}
"""

OPEN = Path("/run/tinycloud-test")
"""Where everybody may read what may lie in root's own folders: this checkout, the interpreter, its packages."""

_FOLDERS = {"root": ROOT, "python": Path(sys.base_prefix), "packages": Path(sysconfig.get_path("purelib"))}
_PYTHON = OPEN / "python" / Path(sys.executable).resolve().relative_to(sys.base_prefix)
PROGRAM = (f"PYTHONPATH={OPEN}/root/src:{OPEN}/packages", str(_PYTHON), "-m", "tinycloud")


class Person:
    """Runs commands as an unprivileged user inside the lab host, with a home of its own."""

    def __init__(self, bench: Bench, home: Path) -> None:
        self.bench = bench
        self.home = home

    def run(self, *words: str, status: int = 0) -> Result:
        env = ["env", "-C", "/", f"HOME={self.home}", f"USER={USER}", "XDG_STATE_HOME=", "XDG_CACHE_HOME=", "PATH=/usr/bin:/bin"]
        argv = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", *env, *PROGRAM, *words]
        done = self.bench.call(argv)
        assert done.status == status, f"{words}: {done.status}\n{done.out}\n{done.err}"
        return done


@pytest.fixture(scope="module")
def person(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """libvirt lets only root in; sudoers lets the user do all, inside this lab host alone."""
    home = tmp_path_factory.mktemp("home")
    for folder in (home, *home.parents):
        if folder != Path("/"):
            folder.chmod(0o755) if "pytest" in str(folder) else None
    for name, path in _FOLDERS.items():
        bench.call(["sh", "-c", f"mkdir -p {OPEN}/{name} && mount --rbind {path} {OPEN}/{name}"])
    bench.call(["chown", f"{USER}:nogroup", str(home)])
    bench.call(["sh", "-c", "mkdir -p /run/sudoers.d && mount --bind /run/sudoers.d /etc/sudoers.d"])
    bench.call(["chmod", "0700", "/run/libvirt/libvirt-sock"])
    return Person(bench, home)


def allow(bench: Bench, *, sudo: bool) -> None:
    line = f"{USER} ALL=(ALL) NOPASSWD: ALL" if sudo else ""
    bench.call(["sh", "-c", f"echo '{line}' > /run/sudoers.d/test; chmod 0440 /run/sudoers.d/test"])


def test_without_sudo_and_group_it_says_which_right_is_missing(person: Person) -> None:
    allow(person.bench, sudo=False)
    said = person.run("ls", status=4).err
    assert "libvirt" in said
    assert "tinycloud doctor" in said


def test_with_sudo_everything_works_and_belongs_to_the_user(person: Person) -> None:
    allow(person.bench, sudo=True)
    file = person.home / "mine.yaml"
    file.write_text(STACK)
    person.run("up", str(file), "--yes")
    assert person.run("exec", "mine", "--", "hostname").out == "box-1\n"
    assert "serial   box-1 login:" in person.run("why", "mine").out
    state = person.home / ".local/state/tinycloud"
    assert (state.stat().st_mode & 0o777, (state / "tinycloud.db").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (state / "keys/id_ed25519").stat().st_mode & 0o777 == 0o600
    assert "sudo works without a password" in person.run("doctor").out
    person.run("down", "mine", "--yes")
    assert person.bench.snapshot()["domains"] == []


def test_a_user_of_libvirt_without_sudo_imports_through_libvirt(person: Person, bench: Bench) -> None:
    allow(bench, sudo=False)
    bench.call(["chmod", "0777", "/run/libvirt/libvirt-sock"])
    disk = person.home / "disk.raw"
    bench.call(["truncate", "-s", "3M", str(disk)])
    try:
        assert "image hole " in person.run("image", "import", str(disk), "--name", "hole").out
        assert "image hole " in person.run("image", "import", str(disk), "--name", "hole").out
        person.run("image", "remove", "hole")
    finally:
        bench.call(["chmod", "0700", "/run/libvirt/libvirt-sock"])
