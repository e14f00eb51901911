"""Encrypted: moves, of which nothing can be read on the wire, and libvirt's own protocol; and what is said when certificates are no good."""

from __future__ import annotations

import shutil
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.certificates import Authority
from tests.live.conftest import Bench
from tests.live.inside import a_lab, run_inside
from tinycloud.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = """
stack: duo
networks: {front: {subnet: 10.67.0.0/24}}
groups:
  web: {image: nano, memory: 128 MiB, networks: [front], volumes: [{name: data, size: 32 MiB}]}
"""
MEMORY, DISK = b"kept-in-memory-", b"kept-on-a-disk-"
FILL = f"yes {MEMORY.decode()} | head -c 2000000 > /tmp/kept; yes {DISK.decode()} | head -c 2000000 > /dev/vdb; sync"
ALL: Final = 3  # ETH_P_ALL
FORCED: Final = 33  # SO_RCVBUFFORCE
STATISTICS: Final = 6  # PACKET_STATISTICS


@dataclass(frozen=True)
class Pair:
    here: Bench
    there: Bench
    authority: Authority

    def put_qemus(self, bench: Bench, *addresses: str, name: str = "") -> None:
        """What QEMU of a host shows, in the usual place."""
        certificate, key = self.authority.sign(f"qemu-{name or bench.host.name}", *(addresses or (bench.host.address,)))
        folder = bench.host.folder / "pki/qemu"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.authority.path, folder / "ca-cert.pem")
        for role in ("server", "client"):
            shutil.copy(certificate, folder / f"{role}-cert.pem")
            shutil.copy(key, folder / f"{role}-key.pem")

    def put_libvirts(self, bench: Bench, role: str, signed: tuple[Path, Path], authority: str) -> None:
        folder = bench.host.folder / "pki"
        for part in ("CA", "libvirt/private"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "CA/cacert.pem").write_text(authority)
        shutil.copy(signed[0], folder / f"libvirt/{role}cert.pem")
        shutil.copy(signed[1], folder / f"libvirt/private/{role}key.pem")


@pytest.fixture(scope="module")
def pair(nano_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two hosts without any certificate, and a machine on the first that has something to hide."""
    folder = tmp_path_factory.mktemp("tls")
    with a_lab("tls", 2) as lab:
        here, there = (Bench(host) for host in lab.hosts)
        here.run("host", "add", "root@h2")
        here.run("image", "import", str(nano_file), "--name", "nano")
        (folder / "duo.yaml").write_text(STACK)
        here.run("up", str(folder / "duo.yaml"), "--yes")
        if here.ls()["duo/web-1"]["host"] != "local":
            here.run("migrate", "duo/web-1", "local", "--yes")
        here.run("exec", "duo/web-1", "--", "sh", "-c", FILL)
        yield Pair(here, there, Authority.make(folder / "pki"))


@dataclass(frozen=True)
class Overheard:
    """What somebody on the wire gets of a move."""

    bytes: int
    lost: int
    memory: bool
    disk: bool


def move_and_listen(bench: Bench, target: str) -> Overheard:
    def piece() -> Overheard:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as wire:
            wire.setsockopt(socket.SOL_SOCKET, FORCED, 1 << 30)
            wire.bind(("eth0", 0))
            with Cloud() as cloud:
                cloud.migrate("duo/web-1", target)
            _, lost = struct.unpack("II", wire.getsockopt(263, STATISTICS, 8))  # SOL_PACKET
            return listen(wire, lost)

    return run_inside(bench.host, piece)


def listen(wire: socket.socket, lost: int) -> Overheard:
    """All frames that are waiting."""
    wire.setblocking(False)
    total, found = 0, {MEMORY: False, DISK: False}
    while True:
        try:
            frame = wire.recv(1 << 18)
        except BlockingIOError:
            return Overheard(total, lost, found[MEMORY], found[DISK])
        total += len(frame)
        for word in found:
            found[word] = found[word] or word in frame


def test_without_certificates_both_hosts_say_so_and_nothing_is_touched(pair: Pair) -> None:
    said = pair.here.run("migrate", "duo/web-1", "h2", "--tls", "--yes", status=4).err
    assert "tls         h2: no ca-cert.pem, server-cert.pem, server-key.pem in /etc/pki/qemu" in said
    assert "tls         local: no ca-cert.pem, client-cert.pem, client-key.pem in /etc/pki/qemu" in said
    assert "duo-web-1" not in pair.there.virsh("list", "--all", "--name")


def test_a_move_in_the_clear_is_read_by_whoever_listens(pair: Pair) -> None:
    heard = move_and_listen(pair.here, "h2")
    assert (heard.memory, heard.disk, heard.lost) == (True, True, 0)
    assert heard.bytes > 4_000_000


def listen_with_tls(pair: Pair) -> None:
    """libvirtd of the second host anew: it listens, and lets no machine go in the clear."""
    pair.put_libvirts(pair.there, "server", pair.authority.sign("h2"), pair.authority.text)
    change = "sed -i 's/listen_tls = 0/listen_tls = 1/' /etc/libvirt/libvirtd.conf; echo 'migrate_tls_force = 1' >> /etc/libvirt/qemu.conf"
    pair.there.call(["sh", "-c", f"{change}; kill $(cat /run/libvirtd.pid)"])
    pair.there.wait_for(lambda: pair.there.call(["test", "-e", "/run/libvirtd.pid"]).status != 0)
    assert pair.there.call(["libvirtd", "-d", "--listen"]).status == 0
    pair.there.wait_for(lambda: pair.there.call(["virsh", "-q", "uri"]).status == 0)


def wait_for_word(pair: Pair, words: str) -> None:
    """Until the second host is out of reach for that reason; a busy machine may first say that it took too long."""

    def ask() -> bool:
        (row,) = [row for row in pair.here.run("host", "list", "--json").json if row["name"] == "h2"]
        return words in (row["unreachable"] or "it answers")

    pair.here.wait_for(ask)


def test_libvirt_is_reached_by_tls_where_each_side_believes_the_other(pair: Pair, tmp_path: Path) -> None:
    here, trust = pair.here, pair.authority
    here.run("host", "set", "h2", "--uri", "qemu+tls://h2/system")
    wait_for_word(pair, "does not answer at h2:16514; connection refused")
    listen_with_tls(pair)
    wait_for_word(pair, "no certificate of an authority here")
    pair.put_libvirts(here, "client", trust.sign("old", days=-1), trust.text)
    wait_for_word(pair, "clientcert.pem has expired")
    stranger = Authority.make(tmp_path / "stranger", "another")
    pair.put_libvirts(here, "client", stranger.sign("me"), stranger.text)
    wait_for_word(pair, "h2:16514, is not signed by the authority in /etc/pki/CA/cacert.pem")
    pair.put_libvirts(here, "client", stranger.sign("me"), stranger.text + trust.text)
    wait_for_word(pair, "does not let our certificate in")
    pair.put_libvirts(here, "client", trust.sign("me"), trust.text)
    here.run("host", "set", "h2", "--uri", "qemu+tls://198.18.0.2/system")
    wait_for_word(pair, "is not for 198.18.0.2")
    here.run("host", "set", "h2", "--uri", "qemu+tls://h2/system")
    wait_for_word(pair, "it answers")
    assert here.ls()["duo/web-1"]["state"] == "ready"


def test_a_move_from_a_host_that_wants_it_is_encrypted_and_comes_over_libvirts_tls(pair: Pair) -> None:
    here = pair.here
    pair.put_qemus(pair.there)
    pair.put_qemus(here, "198.18.0.9", name="stray")
    assert "local: its server-cert.pem is not for 198.18.0.1" in here.run("migrate", "duo/web-1", "local", "--yes", status=4).err
    pair.put_qemus(here)
    heard = move_and_listen(here, "local")
    assert (heard.memory, heard.disk, heard.lost) == (False, False, 0)
    assert heard.bytes > 4_000_000, "it did go over this wire"
    row = here.ls()["duo/web-1"]
    assert (row["host"], row["state"]) == ("local", "ready")
    kept = here.run("exec", "duo/web-1", "--", "sh", "-c", "head -c 15 /tmp/kept; head -c 15 /dev/vdb").out
    assert kept.strip().encode() == MEMORY + DISK
