"""Disks of a group that libvirt or QEMU would refuse at the start: told with their place in the file."""

from __future__ import annotations

import pytest

from tests.builders import load
from tinycloud.errors import WrongInput

GROUP = "stack: shop\ngroups: {web: {image: nano, LINES}}\n"


def read(lines: str) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        load(GROUP.replace("LINES", lines))
    return caught.value


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        ("disk_options: {io: native}", "wrong-value", 'io native of group "web" goes with cache none or directsync, found default'),
        (
            "disk_options: {discard: false, detect_zeroes: unmap}",
            "wrong-value",
            'detect_zeroes unmap of group "web" goes with discard: true',
        ),
        (
            "volumes: [{name: a, size: 1 GiB, limits: {iops: 1, read_iops: 1}}]",
            "wrong-value",
            'limits of group "web" have iops and read_iops, expected one of them',
        ),
        (
            "disk_options: {limits: {bytes: 1 MiB, write_bytes: 1 MiB}}",
            "wrong-value",
            'limits of group "web" have bytes and write_bytes, expected one of them',
        ),
        (
            "disk_options: {serial: a}, volumes: [{name: a, size: 1 GiB}]",
            "duplicate-name",
            'volume "a" of group "web" has the serial number a, as has the root disk',
        ),
        (
            "volumes: [{name: a, size: 1 GiB, serial: seed}]",
            "duplicate-name",
            'volume "a" of group "web" has the serial number seed, as has the seed',
        ),
        (
            "cdrom: nano, volumes: [{name: a, size: 1 GiB, serial: cdrom}]",
            "duplicate-name",
            'volume "a" of group "web" has the serial number cdrom, as has the CD drive',
        ),
        (
            "cdrom: nano, volumes: [{name: cdrom, size: 1 GiB}]",
            "wrong-name",
            'group "web" has a volume "cdrom", as its own disks are called',
        ),
        ("boot: [cdrom, disk]", "missing-key", 'group "web" boots from cdrom and has none'),
    ],
)
def test_a_disk_that_cannot_be_is_refused(lines: str, kind: str, message: str) -> None:
    refused = read(lines)
    assert (refused.kind, refused.message) == (kind, message)


@pytest.mark.parametrize(
    "lines", ["disk_options: {serial: 'a b'}", "disk_options: {serial: abcdefghijklmnopqrstu}", "cdrom: {bus: virtio}"]
)
def test_a_serial_number_fits_and_a_cd_is_on_a_bus_that_knows_cds(lines: str) -> None:
    assert read(lines).kind == "wrong-value"


def test_what_is_declared_in_full_is_read() -> None:
    group = load(GROUP.replace("LINES", "boot: [cdrom], cdrom: {}, volumes: [{name: a, size: 1 GiB, serial: b, io: native, cache: none}]"))
    web = group.stack.groups["web"]
    assert web.cdrom is not None
    assert (web.cdrom.image, web.cdrom.bus, web.volumes[0].serial) == (None, "sata", "b")
