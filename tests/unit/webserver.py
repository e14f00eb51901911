"""A web server in this process that misbehaves as a test tells it to. Real HTTP over loopback."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[["Handler"], object]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the page's answer."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.site.asked.append(self)
        page = self.server.site.pages.get(self.path.removeprefix(f"http://{self.headers['Host']}"))
        if page is None:
            self.send_error(404)
        else:
            page(self)

    def log_message(self, format: str, *args: object) -> None:
        return

    def head(self, status: int, **headers: object) -> None:
        """Status and headers; in their names ``_`` stands for ``-``."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to print."""


@dataclass
class File:
    """A page that is a file, with ranges and a tag. ``most``: so many bytes at once, then the line breaks."""

    body: bytes
    tag: str = '"one"'
    most: int = 10**12
    ranges: bool = True
    headers: dict[str, object] = field(default_factory=dict)

    def __call__(self, handler: Handler) -> None:
        wanted, condition = handler.headers.get("Range", ""), handler.headers.get("If-Range", self.tag)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges and condition == self.tag else 0
        body = self.body[start:]
        common = {"Content_Length": len(body), **({"ETag": self.tag} if self.tag else {}), **self.headers}
        if start:
            handler.head(206, Content_Range=f"bytes {start}-{len(self.body) - 1}/{len(self.body)}", **common)
        else:
            handler.head(200, **common)
        handler.wfile.write(body[: self.most])


@dataclass
class Site:
    """Path → answer; ``asked`` are the requests that came."""

    url: str
    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[Handler] = field(default_factory=list)

    @property
    def ranges(self) -> list[str | None]:
        """What part of a file each request asked for."""
        return [handler.headers.get("Range") for handler in self.asked]


@contextmanager
def serve(wrap: Callable[[Any], Any] | None = None) -> Iterator[Site]:
    """A site on loopback; ``wrap`` makes its socket one of TLS."""
    server = _Server(("127.0.0.1", 0), Handler)
    if wrap:
        server.socket = wrap(server.socket)
    server.site = Site(f"{'https' if wrap else 'http'}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def main(port: int, file: str, first: int) -> None:
    """Serve one file as /disk.img, for tests in a lab host. The first request gets ``first`` bytes and then silence; each says its range."""
    page, asked = File(Path(file).read_bytes()), threading.Event()

    def answer(handler: Handler) -> None:
        print(handler.headers.get("Range"), flush=True)
        if asked.is_set():
            page(handler)
            return
        asked.set()
        handler.head(200, Content_Length=len(page.body), ETag=page.tag)
        handler.wfile.write(page.body[:first])
        threading.Event().wait()

    server = _Server(("127.0.0.1", port), Handler)
    server.site = Site("", {"/disk.img": answer})
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
