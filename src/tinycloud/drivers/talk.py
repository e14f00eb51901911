"""A child that is talked with: words in, answers out, until both sides know that an answer is whole."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from tinycloud.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CHUNK = 65536
_PIECE = 1024 * 1024
MOST = 64 * 1024 * 1024
"""Bytes of one answer; what says more is ended."""


class Talk(Protocol):
    """A child with pipes. It ends when its input does, so that nothing outlives this process, however that ends."""

    def ask(self, words: bytes, end: bytes, limit: float) -> tuple[bytes, bytes]:
        """Say ``words``; what the child prints and complains until ``end`` stood on a line of either. Raises ToolFailed."""
        ...

    def read(self, limit: float) -> bytes:
        """What it prints next, as it comes; empty when it has ended that. Raises ToolFailed after ``limit`` seconds of silence."""
        ...

    def write(self, data: bytes, limit: float) -> None:
        """Have it take all of ``data``. Raises ToolFailed when it is gone, or takes nothing for ``limit`` seconds."""
        ...

    def finish(self, limit: float) -> None:
        """Say that no more comes, and wait for its end. Raises ToolFailed unless that is a good one."""
        ...

    def close(self) -> None: ...
    def kill(self) -> None: ...


class LocalTalk:
    """A child of this process."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], tool: str = "") -> None:
        self._tool = tool or argv[-1]  # what stands before it sets the stage: sudo, env, timeout
        self._child = subprocess.Popen(
            [*argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env), process_group=0
        )
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
        self._complaints = bytearray()
        """The last of what it complained of while bytes were read and written."""
        self._deaf = False
        """True when it has ended its complaints."""

    def read(self, limit: float) -> bytes:
        stdout = self._child.stdout
        while True:
            if stdout in self._wait(stdout, selectors.EVENT_READ, limit, "said nothing"):
                return os.read(stdout.fileno(), _PIECE)  # type: ignore[union-attr]

    def write(self, data: bytes, limit: float) -> None:
        words, stdin = memoryview(data), self._child.stdin
        while words:
            if stdin in self._wait(stdin, selectors.EVENT_WRITE, limit, "took nothing"):
                try:
                    words = words[os.write(stdin.fileno(), words) :]  # type: ignore[union-attr]
                except BlockingIOError:
                    continue
                except BrokenPipeError as err:
                    raise ToolFailed(f"{self._tool} ended in the middle of its work", facts=self._hear_last()) from err

    def finish(self, limit: float) -> None:
        with suppress(BrokenPipeError):
            self._child.stdin.close()  # type: ignore[union-attr]
        until = time.monotonic() + limit
        while self.read(until - time.monotonic()):
            pass
        try:
            status = self._child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired as err:
            raise ToolFailed(f"{self._tool} did not end in time") from err
        if status:
            raise ToolFailed(f"{self._tool} ended with status {status}", facts=self._hear_last())

    def _wait(self, pipe: Any, how: int, limit: float, fault: str) -> list[Any]:
        """The pipes that are ready; what the child complains of is taken on the way, so that it never waits for that."""
        stderr = self._child.stderr
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, how)
            if not self._deaf:
                selector.register(stderr, selectors.EVENT_READ)  # type: ignore[arg-type]
            ready = [key.fileobj for key, _ in selector.select(max(0.0, limit))]
        if not ready:
            raise ToolFailed(f"{self._tool} {fault} for {limit:.0f} s", facts=_last(self._complaints))
        if stderr in ready:
            self._hear_complaints()
        return ready

    def _hear_complaints(self) -> None:
        chunk = os.read(self._child.stderr.fileno(), _CHUNK)  # type: ignore[union-attr]
        self._deaf = not chunk
        self._complaints += chunk
        del self._complaints[:-_CHUNK]

    def _hear_last(self) -> list[str]:
        """Its last words, when it is gone."""
        with suppress(BlockingIOError, ValueError):
            while not self._deaf:
                self._hear_complaints()
        return _last(self._complaints)

    def ask(self, words: bytes, end: bytes, limit: float) -> tuple[bytes, bytes]:
        try:
            return self._ask(memoryview(words), end, time.monotonic() + limit)
        except BaseException:
            self.kill()
            raise

    def _ask(self, words: memoryview, end: bytes, until: float) -> tuple[bytes, bytes]:
        stdin, stdout, stderr = self._child.stdin, self._child.stdout, self._child.stderr
        heard = {stdout: bytearray(), stderr: bytearray()}
        with selectors.DefaultSelector() as selector:
            for pipe in heard:
                selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
            selector.register(stdin, selectors.EVENT_WRITE)  # type: ignore[arg-type]
            while not all(_find_end(text, end) is not None for text in heard.values()):
                ready = selector.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise ToolFailed(f"{self._tool} did not answer in time", facts=_last(heard[stderr]))
                for key, _ in ready:
                    if key.fileobj is stdin:
                        words = self._say(words)
                        if not words:
                            selector.unregister(key.fileobj)
                    else:
                        self._hear(heard[key.fileobj], key.fd, _last(heard[stderr]))  # type: ignore[index]
        return tuple(bytes(text[: _find_end(text, end)]) for text in heard.values())  # type: ignore[return-value]

    def _say(self, words: memoryview) -> memoryview:
        with suppress(BlockingIOError, BrokenPipeError):  # a child that is gone is noticed by its silence
            return words[os.write(self._child.stdin.fileno(), words[:_CHUNK]) :]  # type: ignore[union-attr]
        return words if self._child.poll() is None else words[:0]

    def _hear(self, text: bytearray, fd: int, facts: list[str]) -> None:
        chunk = os.read(fd, _CHUNK)
        text += chunk
        if not chunk:
            raise ToolFailed(f"{self._tool} ended in the middle of its work", facts=facts)
        if len(text) > MOST:
            raise ToolFailed(f"{self._tool} said more than {MOST // 1024**2} MiB")

    def close(self) -> None:
        """Let it end by itself, as it does when nobody speaks any more."""
        with suppress(BrokenPipeError):
            self._child.stdin.close()  # type: ignore[union-attr]
        try:
            self._child.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close_pipes()

    def kill(self) -> None:
        """End it and its own children now."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            self._child.stdin.close()  # type: ignore[union-attr]
        self._child.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._child.stdout, self._child.stderr):
            pipe.close()  # type: ignore[union-attr]


def _find_end(text: bytearray, end: bytes) -> int | None:
    """Where the answer ends: the mark stands at the end of a line, which need not be its own (a file without a last newline)."""
    at = text.find(end + b"\n")
    return at if at >= 0 else None


def _last(text: bytearray) -> list[str]:
    return text.decode(errors="replace").strip().splitlines()[-5:]
