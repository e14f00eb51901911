"""A small ISO 9660 image in memory, with Joliet and Rock Ridge names: the NoCloud seed."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHEN = 315532800.0  # 1980: the same files give the same bytes, whenever they are packed


def make_iso(files: Mapping[str, bytes], label: str = "cidata") -> bytes:
    """The bytes of an image that holds ``files`` in its root folder."""
    from pycdlib import PyCdlib  # 30 ms of import

    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    for number, (name, body) in enumerate(sorted(files.items())):
        iso.add_fp(BytesIO(body), len(body), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    for volume in (iso.pvd, iso.joliet_vd):
        _set_dates(volume)
    out = BytesIO()
    iso.write_fp(out)
    iso.close()
    return _copy_dates(out.getvalue())


def _set_dates(volume: Any) -> None:
    """pycdlib takes every date from the clock and lets nobody say otherwise."""
    from pycdlib.dates import DirectoryRecordDate, VolumeDescriptorDate

    file_date, volume_date = DirectoryRecordDate(), VolumeDescriptorDate()
    file_date.new(_WHEN)
    volume_date.new(_WHEN)
    volume.volume_creation_date = volume.volume_effective_date = volume_date
    root = volume.root_dir_record
    for record in (root, *root.children):
        record.date = file_date
        if record.rock_ridge and (times := record.rock_ridge.dr_entries.tf_record):
            times.access_time = times.modification_time = times.attribute_change_time = file_date


def _copy_dates(image: bytes) -> bytes:
    """The date of modification is the clock's even so: put the date of creation there (ECMA-119, 8.4.26 and 8.4.27)."""
    out = bytearray(image)
    for sector in (16, 17):  # the volume descriptors of ISO 9660 and Joliet
        at = sector * 2048
        out[at + 830 : at + 847] = out[at + 813 : at + 830]
    return bytes(out)
