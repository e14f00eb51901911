"""Passphrases: kept, needed, forgotten; and volumes that are encrypted with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.things import POOL_PATH, UUID, a_domain, make_pool
from tinycloud.drivers.libvirt.secrets import NO_SECRET
from tinycloud.engine.passphrase import ensure_passphrase, forget_passphrase
from tinycloud.errors import LibvirtFailed, TinycloudError
from tinycloud.model.names import make_secret_uuid
from tinycloud.templates.objects import render_volume

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host

NAME = "vault.qcow2"
PATH = f"{POOL_PATH}/{NAME}"


def make_vault(host: Host) -> str:
    make_pool(host)
    uuid = ensure_passphrase(host, NAME, PATH, b"open sesame")
    host.volumes.create_encrypted(NAME, 1024**2, b"open sesame")
    return uuid


def test_a_passphrase_is_kept_once_and_forgotten_once(host: Host) -> None:
    for value in (b"one", b"one", b"another"):
        assert ensure_passphrase(host, NAME, PATH, value) == make_secret_uuid(NAME)
    assert host.secrets.list_all() == [make_secret_uuid(NAME)]
    assert host.secrets.list_volumes() == {make_secret_uuid(NAME): PATH}
    forget_passphrase(host, NAME)
    forget_passphrase(host, NAME)
    assert host.secrets.list_all() == []
    assert host.secrets.list_volumes() == {}


def test_a_volume_says_that_it_is_encrypted(host: Host) -> None:
    make_vault(host)
    host.volumes.create(render_volume("plain.qcow2", 1024**2, format="qcow2"), "plain.qcow2")
    host.volumes.refresh()
    found = {name: record.encrypted for name in (NAME, "plain.qcow2") if (record := host.volumes.find(name))}
    assert found == {NAME: True, "plain.qcow2": False}


def test_an_encrypted_overlay_stands_on_a_plain_image_and_a_name_is_taken_once(host: Host) -> None:
    make_vault(host)
    host.volumes.create(render_volume("base", 2 * 1024**2, format="raw"), "base")
    host.volumes.create_encrypted("over.qcow2", 4 * 1024**2, b"open sesame", (f"{POOL_PATH}/base", "raw"))
    found = host.volumes.find("over.qcow2")
    assert found is not None
    assert (found.backing, found.capacity, found.format) == (f"{POOL_PATH}/base", 4 * 1024**2, "qcow2")
    with pytest.raises(TinycloudError):
        host.volumes.create_encrypted(NAME, 1024**2, b"another")
    assert sorted(host.volumes.list_names()) == ["base", "over.qcow2", NAME]


def test_a_domain_starts_only_while_the_host_keeps_the_passphrase(host: Host) -> None:
    uuid = make_vault(host)
    host.domains.define(a_domain(uuid=UUID, devices=an_encrypted_disk(uuid)))
    forget_passphrase(host, NAME)
    with pytest.raises(LibvirtFailed) as failure:
        host.domains.start("a-1")
    assert (failure.value.number, host.domains.get_state("a-1")) == (NO_SECRET, "stopped")
    ensure_passphrase(host, NAME, PATH, b"open sesame")
    host.domains.start("a-1")
    assert host.domains.get_state("a-1") == "running"


def an_encrypted_disk(secret: str) -> str:
    return f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{PATH}'>
        <encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
    """
