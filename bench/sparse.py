"""What is sparse stays sparse: bytes on disk of an image and of what is made from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bench.images import allocated, make_sparse
from bench.lab import Place


@dataclass(frozen=True)
class Sparse:
    """Bytes on disk after, by bytes before."""

    converted: float
    exported_raw: float
    exported_qcow2: float


def measure(place: Place, folder: Path) -> Sparse:
    """In a lab host, with images that are removed again: a raw disk of 4 GiB that holds 256 MiB. ``folder`` needs 1 GiB."""
    raw = make_sparse(folder / "sparse.raw")
    place.tinycloud("image", "import", str(raw), "--name", "bench-raw")
    place.tinycloud("image", "convert", "bench-raw", "bench-qcow2", "--format", "qcow2")
    before, converted = _stored(place, "bench-raw"), _stored(place, "bench-qcow2")
    files = {"raw": folder / "out.raw", "qcow2": folder / "out.qcow2"}
    for format, file in files.items():
        place.tinycloud("image", "export", "bench-qcow2", str(file), "--format", format)
    found = Sparse(converted / before, *(allocated(file) / converted for file in files.values()))
    for name in ("bench-raw", "bench-qcow2"):
        place.tinycloud("image", "remove", name)
    for file in (raw, *files.values()):
        file.unlink()
    return found


def _stored(place: Place, name: str) -> int:
    return int(json.loads(place.tinycloud("image", "show", name, "--json").out)["stored"])


def list_rows(found: Sparse) -> list[tuple[str, float, float, str, str]]:
    """(what, seen, at most, unit, note) as :class:`bench.__main__.Figure` takes them."""
    return [
        ("bytes on disk after `image convert` of a sparse raw disk to qcow2, by before", found.converted, 1.02, "x", ""),
        ("bytes on disk after `image export` as raw, by before", found.exported_raw, 1.02, "x", ""),
        ("bytes on disk after `image export` as qcow2, by before", found.exported_qcow2, 1.02, "x", ""),
    ]
