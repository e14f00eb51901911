"""Sparse upload: holes stay holes, and whoever listens sees every byte."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tinycloud.drivers.libvirt.streams import send_sparse

libvirt = pytest.importorskip("libvirt")
MIB = 1024 * 1024


class Stream:
    """Receives what libvirt's own loop sends."""

    def __init__(self) -> None:
        self.parts: list[bytes | int] = []
        self.is_finished = False

    def sparseSendAll(self, *handlers: Any) -> None:  # noqa: N802 - libvirt's name
        libvirt.virStream.sparseSendAll(self, *handlers)

    def send(self, body: bytes) -> int:
        self.parts.append(bytes(body))
        return len(body)

    def sendHole(self, length: int, _flags: int = 0) -> int:  # noqa: N802
        self.parts.append(length)
        return 0

    def finish(self) -> None:
        self.is_finished = True

    @property
    def body(self) -> bytes:
        return b"".join(bytes(part) if isinstance(part, int) else part for part in self.parts)


@pytest.mark.parametrize(
    ("stretches", "size"),
    [
        ([(0, b"only data" * 50_000)], 450_000),
        ([(4 * MIB, b"end")], 4 * MIB + 3),
        ([(0, b"x" * 4096), (8 * MIB, b"y" * 4096)], 12 * MIB),
        ([], 3 * MIB),
        ([], 0),
    ],
    ids=["data", "a hole first", "a hole within and at the end", "only a hole", "nothing"],
)
def test_the_other_side_gets_the_same_file(tmp_path: Path, stretches: list[tuple[int, bytes]], size: int) -> None:
    path, heard, stream = tmp_path / "disk", sha256(), Stream()
    with path.open("wb") as file:
        for at, body in stretches:
            file.seek(at)
            file.write(body)
        file.truncate(size)
    with path.open("rb") as file:
        send_sparse(stream, file, heard.update)
    assert stream.body == path.read_bytes()
    assert heard.hexdigest() == sha256(path.read_bytes()).hexdigest()
    assert stream.is_finished
    sent = sum(len(part) for part in stream.parts if isinstance(part, bytes))
    assert sent <= sum(len(body) for _, body in stretches) + 128 * 1024, "holes are not sent as zeros"
