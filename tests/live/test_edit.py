"""Disks that no machine uses, edited through libguestfs: every layout in one launch, a foreign image from edit to login, a publication."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.alpine import SHADOW_SUM, Alpine, get_alpine
from tests.live.conftest import CACHE, Bench
from tests.live.console import a_console, talk
from tinycloud.drivers.guestfs.appliance import Drive
from tinycloud.drivers.guestfs.disk import parse_stat
from tinycloud.drivers.guestfs.disks import GuestfsDisks
from tinycloud.drivers.shell import LocalShell
from tinycloud.engine.offline import cook
from tinycloud.model.names import make_mac
from tinycloud.model.recipe import Recipe
from tinycloud.templates.guestfiles.insight import Insight, make_insight

pytestmark = pytest.mark.timeout(900)  # the appliance starts three times, a foreign system once; all by emulation
MIB = 1024 * 1024
PASSWD = b"root:x:0:0:root:/root:/bin/bash\n# by hand: do not touch\nbin:x:1:1::/bin:/usr/sbin/nologin\ndev:x:1000:1000:D\xe9v,,,:/home/dev:/bin/sh"
SHADOW = b"root:*:19000:0:99999:7:::\nbin:!:19000::::::\ndev:$6$a$b:19000:1:90:7:30:20000:\n"
GROUP = b"root:x:0:\nbin:x:1:\ndev:x:1000:\nstaff:x:50:dev\n"
RECIPE = Recipe.model_validate(
    {
        "hostname": "edited.example",
        "users": [
            {"name": "anna", "password": "offline", "groups": ["staff"], "ssh_keys": ["ssh-ed25519 AAAA anna"], "sudo": True},
            {"name": "root", "password": "offline-too"},
        ],
        "files": [
            {"path": "/srv/deep/motd", "content": "gr\u00fc\u00dfe 'quoted' \"twice\" \\n $HOME\n", "owner": "anna:staff", "mode": "0640"}
        ],
        "nics": [{"mac": "52:54:00:00:00:01", "name": "lan0", "address": "10.9.8.7/24", "gateway": "10.9.8.1"}],
    }
)
TREE = {
    "/etc/passwd": PASSWD,
    "/etc/shadow": SHADOW,
    "/etc/group": GROUP,
    "/etc/hosts": b"127.0.0.1 localhost\n",
    "/etc/os-release": b"ID=tiny\n",
    "/etc/skel/.profile": b"# hello\n",
    "/sbin/ifup": b"",
}


@dataclass(frozen=True)
class Made:
    """A disk: how large, its partitions for sfdisk (the last one holds the system), and what puts a file system there."""

    name: str
    size: int
    table: str
    commands: tuple[tuple[str, ...], ...]
    root: str
    was: int
    """Bytes of what the root stood in before it took the room behind it."""


def _layouts() -> list[Made]:
    bare, ext4, xfs, btrfs, lvm = (f"/dev/sd{letter}" for letter in "abcde")
    return [
        Made("bare ext4", 96 * MIB, "", (("mkfs", "ext4", bare), ("mount", bare, "/")), bare, 0),
        Made(
            "ext4 behind a boot partition, gpt",
            160 * MIB,
            "label: gpt\nstart=2048, size=16384\nstart=18432, size=163840\n",
            (("mkfs", "ext4", f"{ext4}2"), ("mount", f"{ext4}2", "/")),
            f"{ext4}2",
            80 * MIB,
        ),
        Made("xfs", 400 * MIB, "label: dos\nstart=2048\n", (("mkfs", "xfs", f"{xfs}1"), ("mount", f"{xfs}1", "/")), f"{xfs}1", 0),
        Made(
            "btrfs with the system in a subvolume",
            320 * MIB,
            "label: dos\nstart=2048, size=327680\n",
            (
                *(("mkfs", "btrfs", f"{btrfs}1"), ("mount", f"{btrfs}1", "/"), ("btrfs-subvolume-create", "/@home")),
                *(("btrfs-subvolume-create", "/@"), ("umount-all",), ("mount-options", "subvol=@", f"{btrfs}1", "/")),
            ),
            f"{btrfs}1",
            160 * MIB,
        ),
        Made(
            "ext4 on LVM",
            160 * MIB,
            "label: dos\nstart=2048, size=200000\n",
            (
                *(("pvcreate", f"{lvm}1"), ("vgcreate", "system", f"{lvm}1"), ("lvcreate", "root", "system", "48")),
                *(("mkfs", "ext4", "/dev/system/root"), ("mount", "/dev/system/root", "/")),
            ),
            "/dev/system/root",
            48 * MIB,
        ),
    ]


@dataclass(frozen=True)
class Seen:
    """What a disk holds after its edit, read once it was mounted anew."""

    bodies: dict[str, bytes | None]
    stats: dict[str, tuple[int, int, int]]
    size: int
    notes: list[str]
    root: str
    insight: Insight


LOOK = (*("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/network/interfaces", "/etc/elsewhere"),)
RIGHTS = ("/etc/shadow", "/home/anna", "/home/anna/.profile", "/home/anna/.ssh", "/home/anna/.ssh/authorized_keys", "/srv/deep/motd")
NAMES = ("bare ext4", "ext4 behind a boot partition, gpt", "xfs", "btrfs with the system in a subvolume", "ext4 on LVM")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Disks of every layout: made, filled, edited, mounted anew and read, in one launch."""
    folder = tmp_path_factory.mktemp("disks")
    layouts = _layouts()
    drives = [_make_disk(folder / f"{n}.raw", made) for n, made in enumerate(layouts)]
    with GuestfsDisks(LocalShell(), drives) as disks:
        for made in layouts:
            disks.fish.ask_all(made.commands, limit=300)
            _fill(disks)
        return {made.name: _edit(disks, n, made) for n, made in enumerate(layouts)}


def _make_disk(path: Path, made: Made) -> Drive:
    with path.open("wb") as file:
        file.truncate(made.size)
    if made.table:
        subprocess.run(["/usr/sbin/sfdisk", "-q", str(path)], input=made.table.encode(), check=True, timeout=60)
    return Drive(str(path), "raw")


def _fill(disks: GuestfsDisks) -> None:
    for path, body in TREE.items():
        disks.fish.ask_all([("mkdir-p", str(Path(path).parent)), ("write", path, body)])
    disks.fish.ask_all([("chmod", "0640", "/etc/shadow"), ("chown", "0", "42", "/etc/shadow"), ("mkdir-p", "/home")])
    # A link that climbs out of the guest ends inside of it.
    disks.fish.ask_all(
        [("ln-sf", "../../../../../etc/elsewhere", "/etc/hostname"), ("write", "/etc/elsewhere", "image\n"), ("umount-all",)]
    )


def _edit(disks: GuestfsDisks, n: int, made: Made) -> Seen:
    disk = disks.open(n, name=made.name, grow=True)
    cook(disk, RECIPE)
    disk.close()
    again = disks.open(n, name=made.name)
    insight = make_insight(again, str(again.root))
    bodies = {path: again.read(path) for path in (*LOOK, *RIGHTS[4:])}
    stats = {path: parse_stat(disks.fish.ask("stat", path).decode()) for path in RIGHTS}
    facts = dict(line.split(": ") for line in disks.fish.ask("statvfs", "/").decode().splitlines())
    again.close()
    return Seen(bodies, stats, int(facts["blocks"]) * int(facts["frsize"]), disk.notes, disk.root.device, insight)


@pytest.mark.parametrize("name", NAMES)
def test_the_root_is_found_and_takes_the_room_behind_it(edited: dict[str, Seen], name: str) -> None:
    seen, made = edited[name], next(made for made in _layouts() if made.name == name)
    assert (seen.root, seen.notes) == (made.root, [])
    assert made.was < seen.size < made.size
    assert (seen.insight.id, seen.insight.network, seen.insight.people) == ("tiny", "ifupdown", ("dev", "anna"))


@pytest.mark.parametrize("name", NAMES)
def test_every_other_account_stays_byte_for_byte(edited: dict[str, Seen], name: str) -> None:
    bodies = edited[name].bodies
    passwd, shadow, group = (bodies[f"/etc/{file}"] or b"" for file in ("passwd", "shadow", "group"))
    assert passwd == PASSWD + b"\nanna:x:1001:1001::/home/anna:/bin/sh\n"
    assert shadow.split(b"\n")[1:3] == SHADOW.split(b"\n")[1:3]
    assert re.fullmatch(rb"root:\$6\$[^:]{16}\$[^:]{86}:19000:0:99999:7:::", shadow.split(b"\n")[0])
    assert re.fullmatch(rb"anna:\$6\$[^:]{16}\$[^:]{86}::0:99999:7:::", shadow.split(b"\n")[3])
    assert group == b"root:x:0:\nbin:x:1:\ndev:x:1000:\nstaff:x:50:dev,anna\nanna:x:1001:\n"
    assert edited[name].stats["/etc/shadow"] == (0o640, 0, 42)


@pytest.mark.parametrize("name", NAMES)
def test_a_home_with_keys_belongs_to_its_user(edited: dict[str, Seen], name: str) -> None:
    seen = edited[name]
    assert seen.bodies["/home/anna/.ssh/authorized_keys"] == b"ssh-ed25519 AAAA anna\n"
    assert {path: stat for path, stat in seen.stats.items() if "anna" in path} == {
        "/home/anna": (0o700, 1001, 1001),
        "/home/anna/.profile": (0o644, 1001, 1001),
        "/home/anna/.ssh": (0o700, 1001, 1001),
        "/home/anna/.ssh/authorized_keys": (0o600, 1001, 1001),
    }


@pytest.mark.parametrize("name", NAMES)
def test_names_cards_and_files_are_as_the_recipe_says(edited: dict[str, Seen], name: str) -> None:
    bodies = edited[name].bodies
    assert bodies["/etc/hosts"] == b"127.0.0.1 localhost\n127.0.1.1\tedited.example edited\n"
    assert bodies["/etc/hostname"] == bodies["/etc/elsewhere"] == b"edited\n", "the link was followed inside the guest"
    assert b"address 10.9.8.7\n    netmask 255.255.255.0\n    gateway 10.9.8.1\n" in (bodies["/etc/network/interfaces"] or b"")
    assert bodies["/srv/deep/motd"] == "gr\u00fc\u00dfe 'quoted' \"twice\" \\n $HOME\n".encode()
    assert edited[name].stats["/srv/deep/motd"] == (0o640, 1001, 50)


# a foreign image, from edit to login

ALPINE = """
hostname: alpine-box
users: [{{name: anna, password: by-the-recipe, groups: [wheel], sudo: true}}]
nics: [{{mac: "{mac}", name: lan0, address: 10.77.0.9/24, gateway: 10.77.0.1, dns: [10.77.0.1]}}]
files: [{{path: /etc/motd, content: "edited offline\\n"}}]
proxy: http://169.254.2.2:3142        # this host, as the appliance sees it
packages: [curl]                      # which is there: what is shown is that apk asked the proxy
run:
  - sed -i 's/^#ttyS0/ttyS0/' /etc/inittab
  - sed -i 's/^rc_sys=.*/rc_sys=""/' /etc/rc.conf        # it was made for a container, and skips half of its start there
  - cd /etc/runlevels && rm -f sysinit/setup-dns sysinit/dmesg */quicksand-guest-agent boot/hwclock boot/syslog boot/sysctl
"""

STACK = """
stack: ed
networks: {{lan: {{subnet: 10.77.0.0/24, access: isolated}}}}
groups:
  box:
    image: alpine-box
    memory: 256 MiB
    cpus: 2
    networks: [{{network: lan, address: 10.77.0.9}}]
    ready: started
    xml: {boot}
"""


_PROXY = """
import http.server, os, sys, threading
class Refuser(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        self.send_error(502)
    do_CONNECT = do_GET
    def log_message(self, *words): pass
server = http.server.HTTPServer(("127.0.0.1", 3142), Refuser)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print("ready", flush=True)
server.serve_forever()
"""


@contextmanager
def a_proxy(bench: Bench) -> Iterator[Callable[[], str]]:
    """A proxy in the lab host that writes down what it is asked for, and has nothing."""
    argv = bench.host.make_argv([sys.executable, "-c", _PROXY], folder="/")
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    heard: list[str] = []
    try:
        assert child.stdout.readline() == "ready\n"
        yield lambda: "".join(heard)
    finally:
        child.stdin.close()
        heard.append(child.stdout.read())
        child.stdout.close()
        child.wait(30)


@pytest.fixture(scope="module")
def alpine() -> Alpine:
    return get_alpine(CACHE)


def test_a_foreign_image_is_edited_and_a_person_logs_in_with_the_new_password(bench: Bench, alpine: Alpine, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(ALPINE.format(mac=make_mac("ed", "box-1", "lan")))
    (tmp_path / "ed.yaml").write_text(STACK.format(boot=alpine.boot))
    bench.run("image", "import", str(alpine.disk), "--name", "alpine", "--prepare", "none")
    with a_proxy(bench) as asked:
        made = bench.run("image", "edit", "alpine", str(tmp_path / "recipe.yaml"), "--as", "alpine-box", "--json").json
    assert "dl-cdn.alpinelinux.org" in asked()
    assert (made["present"], made["base"]) == (False, bench.run("image", "show", "alpine", "--json").json["sha256"])
    again = bench.run("image", "edit", "alpine", str(tmp_path / "recipe.yaml"), "--as", "alpine-too", "--json").json
    assert (again["present"], again["sha256"]) == (True, made["sha256"])
    bench.run("up", str(tmp_path / "ed.yaml"), "--yes")
    with a_console(bench, "ed/box-1") as terminal:
        talk(terminal, "\r", "alpine-box login:", limit=200)
        talk(terminal, "anna\r", "Password:")
        talk(terminal, "by-the-recipe\r", "edited offline")
        assert "10.77.0.9/24" in talk(terminal, "ip -4 addr show lan0; echo e''nd\r", "end")
        assert "1 packets received" in talk(terminal, "sudo -n ping -c 1 -W 20 10.77.0.1; echo e''nd\r", "end")
        accounts = talk(terminal, "sudo -n grep -v anna /etc/shadow | md5sum; echo e''nd\r", "end")
    assert SHADOW_SUM in accounts, "every other account is as it was"
    bench.run("down", "ed", "--yes")
    for name in ("alpine-box", "alpine"):
        bench.run("image", "remove", name)


# a machine that becomes an image

PUBLISHED = """
stack: {stack}
networks: {{lan: {{subnet: 10.78.0.0/24, access: isolated}}}}
groups: {{box: {{image: {image}, memory: 128 MiB, networks: [lan]}}}}
"""
OWN = ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key", "/var/lib/dhcp/dhclient.leases", "/var/log/messages", "/root/.ash_history")


SECRET = "own-SECRET"


def _count_in_image(bench: Bench, sha: str, word: str) -> int:
    """How often a word stands anywhere on the disk of an image."""
    script = 'qemu-img convert -f qcow2 -O raw "$1" /tmp/all.raw; grep -ac "$2" /tmp/all.raw; rm /tmp/all.raw'
    return int(bench.call(["sh", "-c", script, "sh", f"/var/lib/libvirt/images/tinycloud/image-{sha}", word]).out)


def test_a_published_machine_is_an_image_that_knows_nothing_of_it(bench: Bench, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(PUBLISHED.format(stack="first", image="nano"))
    second.write_text(PUBLISHED.format(stack="second", image="golden"))
    bench.run("up", str(first), "--yes")
    plant = "".join(f"mkdir -p $(dirname {path}); echo own > {path}; " for path in (*OWN, "/srv/work"))
    plant += f"echo {SECRET}-KEY > {OWN[1]}; "
    bench.run("ssh", "first/box-1", "--", f"{plant} sync")
    assert "is running" in bench.run("publish", "first/box-1", "--as", "golden", status=4).err
    bench.run("stop", "first/box-1", "--force")
    made = bench.run("publish", "first/box-1", "--as", "golden", "--json").json
    assert made["base"] == bench.run("image", "show", "nano", "--json").json["sha256"]
    assert _count_in_image(bench, made["sha256"], SECRET) == 0, "not in free blocks either"
    bench.run("down", "first", "--yes")
    bench.run("up", str(second), "--yes")
    said = bench.run(
        "ssh", "second/box-1", "--", f"cat /srv/work; cat {OWN[0]} | wc -c; ls {' '.join(OWN[1:])} 2>/dev/null; cat {OWN[3]}; hostname"
    ).out
    assert "own" in said.splitlines()[0]
    assert [line for line in said.splitlines()[1:] if line in OWN or line == "own"] in ([], [OWN[3]]), "a log stays, empty"
    assert said.splitlines()[-1] == "box-1"
    bench.run("down", "second", "--yes")
    bench.run("image", "remove", "golden")
