"""What images cost: taking one in, against ``qemu-img convert`` and ``sha256sum`` by hand; and what is sparse stays sparse."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Place

GIB = 1024**3
ROUNDS = 3
_CHUNK = 4 * 1024**2


@dataclass(frozen=True)
class Import:
    """Medians in seconds, and bytes on disk after by bytes before: a qcow2 kept as it is, a sparse raw disk, a VMDK converted."""

    ours: float
    by_hand: float
    kept: float
    sparse: float
    converted: float

    @property
    def ratio(self) -> float:
        return self.ours / self.by_hand


def measure_import(place: Place, folder: Path) -> Import:
    """In a lab host, with images that are removed again. ``folder`` needs 7 GiB, the pool 5."""
    full = make_full(folder / "full.qcow2")
    ours, by_hand, kept = [], [], 0.0
    for _ in range(ROUNDS):
        by_hand.append(_time_by_hand(place, full))
        began = time.perf_counter()
        stored = _import(place, full, "bench-full")
        ours.append(time.perf_counter() - began)
        kept = stored / allocated(full)
        place.tinycloud("image", "remove", "bench-full")
    full.unlink()
    sparse = make_sparse(folder / "sparse.raw")
    vmdk = folder / "sparse.vmdk"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", sparse, vmdk], check=True)
    ratios = []
    for file in (sparse, vmdk):
        ratios.append(_import(place, file, "bench-sparse") / allocated(file))
        place.tinycloud("image", "remove", "bench-sparse")
        file.unlink()
    return Import(statistics.median(ours), statistics.median(by_hand), kept, *ratios)


def make_full(path: Path) -> Path:
    """A qcow2 of 2 GiB, every byte of which is written."""
    raw = path.with_suffix(".raw")
    with raw.open("wb") as file:
        for _ in range(2 * GIB // _CHUNK):
            file.write(os.urandom(_CHUNK))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    raw.unlink()
    os.sync()
    return path


def make_sparse(path: Path) -> Path:
    """A raw disk of 4 GiB with 1 MiB of data every 16."""
    with path.open("wb") as file:
        for at in range(0, 4 * GIB, 16 * 1024**2):
            file.seek(at)
            file.write(os.urandom(1024**2))
        file.truncate(4 * GIB)
    os.sync()
    return path


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def _import(place: Place, file: Path, name: str) -> int:
    """Bytes on disk of the image."""
    return int(json.loads(place.tinycloud("image", "import", str(file), "--name", name, "--json").out)["stored"])


def _time_by_hand(place: Place, file: Path) -> float:
    target = file.with_name("by-hand.qcow2")
    command = 'qemu-img convert -f qcow2 -O qcow2 "$1" "$2" && sha256sum "$2"'
    seconds = place.time(["sh", "-c", command, "sh", str(file), str(target)]).seconds
    target.unlink()
    return seconds


def list_rows(found: Import) -> list[tuple[str, float, float, str, str]]:
    """(what, seen, at most, unit, note) as :class:`bench.__main__.Figure` takes them."""
    note = f"{found.ours:.2f} s against {found.by_hand:.2f} s, medians of {ROUNDS}"
    return [
        ("`image import` of a qcow2 of 2 GiB, against `qemu-img convert` and `sha256sum`", found.ratio, 1.2, "x", note),
        ("bytes on disk after the import of a qcow2, by before", found.kept, 1.02, "x", ""),
        ("bytes on disk after the import of a sparse raw disk, by before", found.sparse, 1.02, "x", ""),
        ("bytes on disk after the import of a sparse VMDK, which is converted, by before", found.converted, 1.02, "x", ""),
    ]


def main() -> None:
    """``python -m bench.images``: these figures alone."""
    import tempfile

    from bench.lab import a_place

    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name, a_place() as (place, _):
        for what, seen, most, unit, note in list_rows(measure_import(place, Path(name))):
            print(f"{what}: {seen:.3g} {unit} (at most {most:g})  {note}")


if __name__ == "__main__":
    main()
