"""A small ISO 9660 image in memory, with Joliet and Rock Ridge names: the NoCloud seed."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def make_iso(files: Mapping[str, bytes], label: str = "cidata") -> bytes:
    """The bytes of an image that holds ``files`` in its root folder."""
    from pycdlib import PyCdlib  # 30 ms of import

    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    for number, (name, body) in enumerate(sorted(files.items())):
        iso.add_fp(BytesIO(body), len(body), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
