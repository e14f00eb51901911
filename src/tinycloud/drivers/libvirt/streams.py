"""Streams of bytes: the connections that carry them, and a file that goes into one hole by hole."""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


_ZEROS = bytes(1024 * 1024)


class Lines:
    """Connections that carry one stream each, for one thread, and nothing of anybody else.

    Calls share a connection well, and streams do not: beside one, libvirt (seen with 9.0) loses answers to the calls of other threads,
    which then wait for ever, or closes the connection under all of them. ``tests/live/test_streams.py`` shows it within seconds.
    """

    def __init__(self, connect: Callable[[], Any], most: int) -> None:
        self._connect = connect
        self._places = BoundedSemaphore(most)
        self._free: list[Any] = []

    @contextmanager
    def take(self) -> Iterator[Any]:
        """One that nobody else has meanwhile; it is kept for the next unless something went wrong on it."""
        with self._places:
            conn = self._find() or self._connect()
            try:
                yield conn
            except BaseException:
                conn.close()
                raise
            self._free.append(conn)

    def _find(self) -> Any:
        while self._free:
            try:
                conn = self._free.pop()
            except IndexError:  # another thread was quicker
                return None
            if conn.isAlive():
                return conn
            conn.close()
        return None

    def close(self) -> None:
        while self._free:
            self._free.pop().close()


class _Source:
    """The three callbacks of virStreamSparseSendAll over one open file."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[bytes], None] | None) -> None:
        self._fd = file.fileno()
        self._on_bytes = on_bytes or (lambda _chunk: None)

    def read(self, _stream: Any, size: int, _opaque: Any) -> bytes:
        chunk = os.read(self._fd, size)
        self._on_bytes(chunk)
        return chunk

    def hole(self, _stream: Any, _opaque: Any) -> tuple[bool, int]:
        """Are we in data, and how long is this stretch of data or hole?"""
        here = os.lseek(self._fd, 0, os.SEEK_CUR)
        end = os.fstat(self._fd).st_size
        if here >= end:
            return False, 0
        try:
            data = os.lseek(self._fd, here, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole up to the end
            data = end
        in_data = data == here
        edge = os.lseek(self._fd, here, os.SEEK_HOLE) if in_data else data
        os.lseek(self._fd, here, os.SEEK_SET)
        return in_data, edge - here

    def skip(self, _stream: Any, length: int, _opaque: Any) -> int:
        os.lseek(self._fd, length, os.SEEK_CUR)
        for start in range(0, length, len(_ZEROS)):
            self._on_bytes(_ZEROS[: length - start])
        return 0


def send_sparse(stream: Any, file: BinaryIO, on_bytes: Callable[[bytes], None] | None) -> None:
    """Send the whole file and finish the stream. ``on_bytes`` sees all of it in order, holes as zeros."""
    source = _Source(file, on_bytes)
    stream.sparseSendAll(source.read, source.hole, source.skip, None)
    stream.finish()
