"""The cloud's keys: made once, readable by nobody else, host keys derived so that the first ssh is verified."""

from __future__ import annotations

import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tinycloud.drivers.guest.keys import Keys, make_private_text

UUID = "dc581645-2150-5e57-9bb9-bfc90941a7db"
OTHER = "11111111-2222-4333-8444-555555555555"
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs openssh-client")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def read_modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.iterdir()) if path.is_file() or path == folder}


def test_nothing_is_made_before_it_is_needed(keys: Keys, tmp_path: Path) -> None:
    assert not (tmp_path / "keys").exists()
    assert keys.public.startswith("ssh-ed25519 AAAA")
    assert keys.public.endswith(" tinycloud")


def test_every_file_is_for_its_owner_alone(keys: Keys, tmp_path: Path) -> None:
    assert keys.public
    keys.make_host_key(UUID)
    assert read_modes(tmp_path / "keys") == {"keys": "0o700", "master": "0o600", "id_ed25519": "0o600", "id_ed25519.pub": "0o600"}


def test_a_cloud_that_is_opened_again_has_the_same_keys(keys: Keys, tmp_path: Path) -> None:
    again = Keys(tmp_path / "keys")
    assert keys.public == again.public
    assert keys.make_host_key(UUID) == again.make_host_key(UUID)
    assert keys.fingerprint("hunter2") == again.fingerprint("hunter2")


def test_another_cloud_has_other_keys(keys: Keys, tmp_path: Path) -> None:
    other = Keys(tmp_path / "other")
    assert keys.public != other.public
    assert keys.make_host_key(UUID) != other.make_host_key(UUID)
    assert keys.fingerprint("hunter2") != other.fingerprint("hunter2"), "nobody can try words without the master key"


def test_each_machine_has_a_host_key_of_its_own(keys: Keys) -> None:
    assert keys.make_host_key(UUID) != keys.make_host_key(OTHER)


def test_a_host_key_depends_on_nothing_but_master_and_uuid(tmp_path: Path) -> None:
    """A change of the derivation would lock everybody out of the machines that run."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/master").write_text("00" * 32)
    assert (
        Keys(tmp_path / "keys").make_host_key(UUID)[1] == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDJPymCz6Hh37EGfdUoBoarEBCV+wXIZiawZOgvseN3o"
    )
    assert Keys(tmp_path / "keys").fingerprint("hunter2") == "ce087b7369e8fc00b30751c8"


@needs_ssh_keygen
def test_openssh_reads_the_keys_that_we_write(keys: Keys, tmp_path: Path) -> None:
    private, public = keys.make_host_key(UUID)
    path = tmp_path / "host"
    path.write_text(private)
    path.chmod(0o600)
    done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split()[:2] == public.split()
    done = subprocess.run(["ssh-keygen", "-y", "-f", keys.identity], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split()[:2] == keys.public.split()[:2]


@pytest.mark.parametrize("seed", [bytes(32), b"\xff" * 32, bytes(range(32))], ids=["zeros", "ones", "steps"])
def test_a_private_key_is_text_as_openssh_wraps_it_and_the_same_every_time(seed: bytes) -> None:
    text = make_private_text(seed)
    assert text == make_private_text(seed)
    head, *lines, foot, end = text.split("\n")
    assert (head, foot, end) == ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----", "")
    assert max(map(len, lines)) == 70


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: (Keys(folder).public, Keys(folder).fingerprint("x")), range(16)))
    assert len(found) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["id_ed25519", "id_ed25519.pub", "master"], "no draft is left"


def test_a_known_hosts_file_names_one_machine_and_its_key(keys: Keys, tmp_path: Path) -> None:
    path = keys.ensure_known(UUID, "shop-web-1")
    assert path == tmp_path / "keys/known/shop-web-1"
    assert path.read_text() == f"shop-web-1 {keys.make_host_key(UUID)[1]}\n"
    assert oct(stat.S_IMODE(path.parent.stat().st_mode)) == "0o700"
    assert keys.ensure_known(UUID, "shop-web-1") == path
    keys.forget_known("shop-web-1")
    keys.forget_known("shop-web-1")
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_write_left_goes_with_the_machine(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.ensure_known(UUID, "shop-web-1")
    (tmp_path / "known/.shop-web-1.77.abcd").write_text("half")
    (tmp_path / "known/.shop-web-10.77.abcd").write_text("somebody else's")
    keys.forget_known("shop-web-1")
    assert [path.name for path in (tmp_path / "known").iterdir()] == [".shop-web-10.77.abcd"]
