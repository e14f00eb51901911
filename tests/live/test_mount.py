"""Disks opened outside of machines: by this host's kernel, over NBD, through libguestfs; nothing is left, whatever ends it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.conftest import Bench
from tests.live.inside import a_lab

STACK = """
stack: mnt
networks: {lan: {subnet: 10.68.0.0/24}}
groups: {box: {image: parts, memory: 64 MiB, networks: [], ready: started, stop_timeout: 1 s}}
"""
MIB = 1024**2


@dataclass(frozen=True)
class Hosts:
    """Two hosts of one lab: the first has the disks."""

    first: Bench
    second: Bench
    image: Path


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("mount")
    image = make_image(folder)
    stack = folder / "mnt.yaml"
    stack.write_text(STACK)
    with a_lab("mount", 2) as lab:
        first = Bench(lab.get_host("h1"))
        first.run("image", "import", str(image), "--name", "parts", "--format", "raw", "--prepare", "none")
        first.run("up", str(stack), "--yes")
        first.run("stop", "mnt")
        yield Hosts(first, Bench(lab.get_host("h2")), image)


def make_image(folder: Path) -> Path:
    """A raw disk of two partitions: files of nobody's, and a system with an /etc."""
    for name, path in (("plain", "hello.txt"), ("system", "etc/os-release")):
        file = folder / name / path
        file.parent.mkdir(parents=True)
        file.write_text("ID=small\nNAME=Small\nVERSION_ID=1\n")
    for name in ("bin", "dev", "usr", "var", "proc"):
        (folder / "system" / name).mkdir()
    (folder / "system/etc/fstab").write_text("/dev/sda2 / ext4 defaults 0 0\n")
    image = folder / "parts.raw"
    with image.open("wb") as file_:
        file_.truncate(48 * MIB)
    subprocess.run(["sfdisk", "-q", str(image)], input="label: dos\n1MiB,15MiB,83\n16MiB,31MiB,83\n", text=True, check=True)
    for name, start, size in (("plain", 1, 15), ("system", 16, 31)):
        argv = ["mke2fs", "-q", "-t", "ext4", "-d", str(folder / name), "-E", f"offset={start * MIB}", str(image), f"{size}m"]
        subprocess.run(argv, check=True)
    return image


@pytest.fixture
def clean(hosts: Hosts) -> Iterator[Bench]:
    """The first host; afterwards nothing is mounted, served, looped or left."""
    yield hosts.first
    assert hosts.first.run("image", "opened", "--json").json == []
    assert "tinycloud/opened" not in hosts.first.call(["losetup", "-a"]).out + hosts.first.call(["cat", "/proc/mounts"]).out
    assert hosts.first.call(["ls", "/var/lib/tinycloud/opened"]).out == ""
    processes = hosts.first.call(["ps", "-eo", "comm="]).out
    assert not [name for name in ("guestmount", "qemu-nbd", "qemu-storage", "qemu-system") if name in processes]


def test_the_kernel_mounts_a_raw_image_by_its_partitions(clean: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    clean.run("image", "mount", "parts", str(folder), "--loop")
    assert "ID=small" in clean.call(["cat", f"{folder}/etc/os-release"]).out
    assert clean.call(["touch", f"{folder}/new"]).status != 0
    assert "already" in clean.run("image", "mount", "parts", str(folder), "--loop", status=4).err
    clean.run("image", "unmount", str(folder))
    assert not folder.exists()
    clean.run("image", "mount", "parts", str(folder), "--loop", "--partition", "1")
    assert clean.call(["ls", str(folder)]).out.split() == ["hello.txt", "lost+found"]
    clean.run("image", "unmount", str(folder))
    assert 'no partition "7"' in clean.run("image", "mount", "parts", str(folder), "--loop", "--partition", "7", status=2).err
    assert "never written" in clean.run("image", "mount", "parts", str(folder), "--write", status=4).err


def test_what_the_kernel_wrote_is_kept_and_locks_the_machine_out(clean: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    clean.run("image", "mount", "mnt/box-1/disk", str(folder), "--loop", "--write")
    assert clean.call(["sh", "-c", f"echo kept > {folder}/etc/note"]).status == 0
    assert "lock" in clean.run("start", "mnt/box-1", status=1).err
    clean.run("image", "unmount", str(folder))
    clean.run("image", "mount", "mnt/box-1/disk", str(folder), "--loop")
    assert clean.call(["cat", f"{folder}/etc/note"]).out == "kept\n"
    clean.call(["pkill", "-9", "-f", "qemu-storage-daemon.*tinycloud/opened"])
    clean.run("image", "unmount", str(folder))


def test_a_folder_that_somebody_works_in_is_not_unmounted(clean: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    clean.run("image", "mount", "parts", str(folder), "--loop")
    reader = subprocess.Popen(clean.host.make_argv(["sh", "-c", 'cd "$0" && exec sleep 600', str(folder)]))
    try:
        clean.wait_for(lambda: clean.call(["pgrep", "-x", "sleep"]).out)
        assert "busy" in clean.run("image", "unmount", str(folder), status=4).err
    finally:
        clean.call(["pkill", "-x", "sleep"])
        reader.wait(30)
    clean.run("image", "unmount", str(folder))


def test_a_disk_is_served_on_a_socket_and_on_loopback(clean: Bench, hosts: Hosts, tmp_path: Path) -> None:
    served = clean.run("image", "serve", "mnt/box-1/disk", "--background", "--json").json
    assert "virtual size: 48 MiB" in clean.call(["qemu-img", "info", served["uri"]]).out
    assert clean.call(["qemu-io", "-f", "raw", "-c", "write 0 512", served["uri"]]).status != 0, "it is read-only"
    assert "already" in clean.run("image", "serve", "mnt/box-1/disk", status=4).err
    clean.run("image", "unserve", "mnt/box-1/disk")
    clean.run("image", "serve", "parts", "--address", "127.0.0.1", "--port", "10810", "--background")
    same = clean.call(["qemu-img", "compare", "-f", "raw", "-F", "raw", "nbd://127.0.0.1:10810", str(hosts.image)])
    assert same.status == 0, same.err
    clean.run("image", "unserve", "parts")
    assert "needs-tls" in clean.run("image", "serve", "parts", "--address", clean.host.address, status=4).err


def test_a_server_in_the_foreground_ends_with_ctrl_c(clean: Bench, tmp_path: Path) -> None:
    socket = tmp_path / "disk.socket"
    child = clean.start("image", "serve", "mnt/box-1/disk", "--write", "--socket", str(socket))
    clean.wait_for(socket.exists)
    assert clean.call(["qemu-io", "-f", "raw", "-c", "write -P 7 47M 512", f"nbd+unix:///?socket={socket}"]).status == 0
    clean.call(["pkill", "-INT", "-f", "tinycloud image serve"])
    _, err = child.communicate(timeout=60)
    assert "not served any more" in err
    assert child.returncode == 0
    assert not socket.exists()


def make_certificates(folder: Path, server: str) -> tuple[Path, Path]:
    """Folders of a server and of a client, whose certificates one authority signed."""
    for name in ("ca", "server", "client"):
        (folder / name).mkdir(parents=True)
    authority = ["-CA", f"{folder}/ca/ca.pem", "-CAkey", f"{folder}/ca/key.pem"]
    key = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*key, "-subj", "/CN=test authority", "-keyout", f"{folder}/ca/key.pem", "-out", f"{folder}/ca/ca.pem"], check=True)
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        more = [
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            f"extendedKeyUsage={usage}",
            "-addext",
            f"subjectAltName=IP:{server}",
        ]
        out = ["-keyout", f"{folder}/{name}/{name}-key.pem", "-out", f"{folder}/{name}/{name}-cert.pem"]
        subprocess.run([*key, *authority, "-subj", f"/CN={name}", *more, *out], check=True)
        (folder / name / "ca-cert.pem").write_text((folder / "ca/ca.pem").read_text())
    return folder / "server", folder / "client"


def test_other_hosts_are_served_through_tls_alone(clean: Bench, hosts: Hosts, tmp_path: Path) -> None:
    address = clean.host.address
    server, client = make_certificates(tmp_path / "pki", address)
    served = clean.run("image", "serve", "parts", "--address", address, "--tls", str(server), "--background", "--json").json
    assert served["uri"] == f"nbds://{address}:10809"
    tls = ["--object", f"tls-creds-x509,id=tls0,endpoint=client,dir={client}", "--image-opts"]
    target = f"driver=nbd,server.type=inet,server.host={address},server.port=10809"
    seen = hosts.second.call(["qemu-img", "info", *tls, f"{target},tls-creds=tls0"])
    assert "virtual size: 48 MiB" in seen.out, seen.err
    assert hosts.second.call(["qemu-img", "info", "--image-opts", target]).status != 0, "without a certificate nobody gets in"
    clean.run("image", "unserve", "parts")
    assert "ca-cert.pem" in clean.run("image", "serve", "parts", "--tls", str(tmp_path), status=2).err


def test_libguestfs_mounts_keeps_what_is_written_and_survives_a_kill(clean: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    child = clean.start("image", "mount", "mnt/box-1/disk", str(folder))
    clean.wait_for(lambda: "guestmount" in clean.call(["ps", "-eo", "comm="]).out)
    clean.call(["pkill", "-9", "-f", "tinycloud image mount"])
    child.communicate(timeout=60)
    clean.run("image", "unmount", str(folder))
    clean.run("image", "mount", "mnt/box-1/disk", str(folder), "--write")
    assert "ID=small" in clean.call(["cat", f"{folder}/etc/os-release"]).out
    assert clean.call(["sh", "-c", f"echo twice > {folder}/etc/note"]).status == 0
    clean.run("image", "unmount", str(folder))
    shell = clean.call([*clean_argv(), "image", "shell", "mnt/box-1/disk"], input="cat /etc/note\n")
    assert shell.out == "twice\n\n", shell.err


def clean_argv() -> list[str]:
    import sys

    return [sys.executable, "-m", "tinycloud"]
