"""Opened disks: what is told to the tools, what partitions there are, cards that survive a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinycloud.drivers.opened import Card, Cards, Disk, Place, guestmount, nbd
from tinycloud.drivers.opened.card import make_id
from tinycloud.drivers.opened.loop import Part, parse_parts
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused, ToolFailed

DISK = Disk("shop/web-1/disk", "/pool/shop.web-1.disk-1.qcow2", "qcow2")


@pytest.mark.parametrize(
    ("partition", "words"), [("", ["-i"]), ("2", ["-m", "/dev/sda2"]), ("0", ["-m", "/dev/sda"]), ("/dev/vg/root", ["-m", "/dev/vg/root"])]
)
def test_a_partition_is_a_number_or_a_name_of_lvm(partition: str, words: list[str]) -> None:
    assert guestmount.make_words(DISK, partition, write=False) == ["--format=qcow2", "-a", DISK.path, *words, "--ro"]


def test_readers_share_a_disk_and_a_writer_has_it_alone() -> None:
    reading = nbd.make_argv(DISK, "unix:/run/s", "/pid", write=False)
    assert {"--read-only", "--shared=0", "--socket=/run/s", "--format=qcow2"} <= set(reading)
    writing = nbd.make_argv(DISK, "tcp:127.0.0.1:10809", "/pid", write=True)
    assert {"--shared=1", "--bind=127.0.0.1", "--port=10809"} <= set(writing)
    assert "--read-only" not in writing


def test_with_tls_clients_show_a_certificate_too() -> None:
    argv = nbd.make_argv(DISK, "tcp:::1:10809", "/pid", write=False, tls="/pki")
    assert "tls-creds-x509,id=tls0,endpoint=server,dir=/pki,verify-peer=yes" in argv
    assert "--bind=::1" in argv


@pytest.mark.parametrize(
    ("where", "tls", "uri"),
    [
        ("unix:/run/s", False, "nbd+unix:///?socket=/run/s"),
        ("tcp:127.0.0.1:10809", False, "nbd://127.0.0.1:10809"),
        ("tcp:::1:10809", False, "nbd://[::1]:10809"),
        ("tcp:198.51.100.1:1", True, "nbds://198.51.100.1:1"),
    ],
)
def test_clients_are_told_a_uri(where: str, tls: bool, uri: str) -> None:
    assert nbd.make_uri(where, tls=tls) == uri


def test_partitions_are_offsets_and_extended_ones_only_hold_others() -> None:
    rows = [("raw1", 2048, 100, "83"), ("raw2", 4096, 900, "5"), ("raw5", 6144, 200, "83")]
    table = {"partitions": [{"node": f"/x/{node}", "start": start, "size": size, "type": kind} for node, start, size, kind in rows]}
    found = parse_parts(json.dumps({"partitiontable": table}))
    assert found == [Part(1, 2048 * 512, 100 * 512), Part(5, 6144 * 512, 200 * 512)]
    assert parse_parts('{"partitiontable": {"label": "gpt", "sectorsize": 4096}}') == [Part(0, 0)]


def test_a_card_is_found_again_and_drafts_of_a_kill_go_with_it(tmp_path: Path) -> None:
    cards = Cards(tmp_path / "opened")
    card = Card(make_id("mount", "/mnt"), "loop", DISK.ref, DISK.path, "/mnt", write=True, made_folder=True)
    assert cards.list() == []
    cards.put(card)
    (tmp_path / "opened" / f".{card.id}.1.ab").write_text("{")
    assert Cards(tmp_path / "opened").list() == [card]
    cards.remove(card.id)
    assert list((tmp_path / "opened").iterdir()) == []


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="asks for root rights")


@needs_root
def test_processes_are_found_by_their_folder_and_ended(tmp_path: Path) -> None:
    place = Place(LocalShell(), str(tmp_path / "abcdef"))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", place.folder]) as child:
        assert place.list_processes() == [child.pid]
        child_gone = Place(LocalShell(), str(tmp_path / "other"))
        child_gone.end_processes(1.0)
        assert child.poll() is None
        child.kill()
    assert place.list_processes() == []


@needs_root
def test_a_tool_that_does_not_start_says_why(tmp_path: Path) -> None:
    place = Place(LocalShell(), str(tmp_path / "abcdef"))
    place.make_folder()
    assert "no such" in " ".join(place.start(["ls", "/no such folder"]))
    missing = Disk("x", str(tmp_path / "missing.qcow2"), "qcow2")
    with pytest.raises(ToolFailed, match="x cannot be served") as failed:
        nbd.serve(place, missing, f"unix:{tmp_path}/s", write=False)
    assert "missing.qcow2" in " ".join(failed.value.facts)
    place.remove_folder()
    assert not Path(place.folder).exists()


@needs_root
def test_a_disk_without_a_system_is_answered_with_its_partitions(tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "guestmount"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho guestmount: no operating system was found on this disk >&2\nexit 1\n")
    tool.chmod(0o755)
    place = Place(LocalShell(), str(tmp_path / "abcdef"))
    place.make_folder()
    with pytest.raises(Refused, match="no operating system was found on shop/web-1/disk") as refused:
        guestmount.mount(place, DISK, "/mnt", "", write=False, env=[f"PATH={tool.parent}:{os.environ['PATH']}"])
    assert refused.value.kind == "no-system"
