"""Runs on a host, below take.py, land.py and give.py: how bytes come from another host, straight or through who started both.

Who takes listens, who gives connects. Both were told one badge by who started them: a key and a certificate that were made for this
one transfer. Who has another, or none, is not heard and hears nothing. Where they do not meet, the bytes go through who started them.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
import threading
import time

TYPE_CHECKING = False  # typing costs 10 ms, on every host
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any, NoReturn

CHUNK = 1024 * 1024
PORTS = range(49215, 49151, -1)
"""Those that libvirt takes for migration, which it begins to take at the other end: open between hosts already."""
CONNECT = 3.0
GREET = 10.0
"""Seconds for what two sides say to know each other: a host may be busy, and somebody else may knock at the same time."""
WELCOME = b"+"
PAUSE = 0.3


class Lost(Exception):
    """The other host was met, and then nothing came any more."""


def make_context(badge: str, *, server: bool) -> ssl.SSLContext:
    """Raises OSError where this host's python3 cannot."""
    try:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=badge[badge.index("-----BEGIN CERT") :])
        if server:
            context.num_tickets = 0  # nobody comes twice, and what is not read when a connection closes cuts off what was sent
        fd = os.memfd_create("badge")  # a file that no disk has seen, for ssl takes keys from files alone
    except (ImportError, AttributeError) as err:
        raise OSError(f"its python3 is too old: {err}") from err
    try:
        os.write(fd, badge.encode())
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return context


def must_show(line: ssl.SSLSocket, badge: str) -> None:
    """The very certificate, whatever else may be thought good."""
    import ssl

    if line.getpeercert(binary_form=True) != ssl.PEM_cert_to_DER_cert(badge[badge.index("-----BEGIN CERT") :]):
        raise OSError("it shows another certificate")


def explain(err: OSError) -> str:
    return str(getattr(err, "reason", None) or err.strerror or err).lower()


# who takes


def listen(address: str) -> socket.socket:
    """On that address, or, where this host is reached by one that it does not know itself, on all. Raises OSError."""
    fault = OSError("all ports are in use")
    is_name = not address.replace(".", "").isdigit() and ":" not in address  # its own may lead a host to its loopback
    for host in ("",) if is_name else (address, ""):
        for port in PORTS:
            door = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            try:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind((host, port))
                door.listen(4)
            except OSError as err:
                door.close()
                fault = err
                if err.errno != errno.EADDRINUSE:
                    break
            else:
                door.settimeout(GREET)
                return door
    raise fault


def greet(door: socket.socket, context: ssl.SSLContext, badge: str) -> tuple[ssl.SSLSocket, Any] | None:
    """Who has come, as soon as it has begun to speak; None for anybody else."""
    try:
        plain = door.accept()[0]
        plain.settimeout(GREET)
        line = context.wrap_socket(plain, server_side=True)
    except OSError:
        return None
    try:
        must_show(line, badge)
        line.sendall(WELCOME)
        stream: Any = line.makefile("rb", CHUNK)
        if stream.peek(1):
            return line, stream
    except OSError:
        pass
    line.close()
    return None


class Ear:
    """What is said to who takes: through who started us, unless the other host comes to ``address`` itself."""

    def __init__(self, stall: int, address: str, badge: str) -> None:
        self.stall = stall
        self.address = address
        self.badge = badge
        self.stream: Any = sys.stdin.buffer
        self.line: ssl.SSLSocket | None = None
        self.told = 0.0
        self.over = threading.Event()

    def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        """Say what is wanted, and wait until somebody begins to say it; returns the first line."""
        if not self.address:
            say(what)
            return self.hear_line()
        try:
            context, door = make_context(self.badge, server=True), listen(self.address)
        except OSError as err:
            say({**what, "deaf": explain(err)})
            return self.hear_line()
        with door:
            say({**what, "port": door.getsockname()[1]})
            self.wait(door, context)
        return self.hear_line()

    def wait(self, door: socket.socket, context: ssl.SSLContext) -> None:
        until, doors = time.monotonic() + self.stall, [0, door.fileno()]
        while ready := select.select(doors, [], [], max(0.0, until - time.monotonic()))[0]:
            if 0 in ready:  # who started us speaks, or is gone
                return
            if met := greet(door, context, self.badge):
                self.line, self.stream = met
                self.line.settimeout(self.stall)
                keep_alive(self.line)
                self.over = end_with_caller()
                return
        sys.exit("nobody came")

    def hear(self, count: int) -> bytes:
        """So many bytes. Whoever speaks may be cut off and never come back."""
        data = self.read(self.stream.read, count)
        if len(data) < count:
            self.lose(f"it ended after {count - len(data)} bytes too few" if self.line is None else "nothing came any more")
        return data

    def hear_line(self) -> dict[str, Any]:
        line = self.read(self.stream.readline, CHUNK)
        if not line.endswith(b"\n"):
            self.lose("nobody said anything")
        told: dict[str, Any] = json.loads(line)
        return told

    def read(self, call: Callable[[int], bytes], count: int) -> bytes:
        if self.line is not None:
            try:
                return call(count)
            except OSError as err:
                raise Lost(explain(err)) from err
        signal.alarm(self.stall)  # its default ends us
        data = call(count)
        signal.alarm(0)
        return data

    def lose(self, why: str) -> NoReturn:
        if self.line is not None:
            raise Lost(why)
        sys.exit(why)

    def count(self, done: int, total: int) -> None:
        """Say how far it is; where the bytes go through who started us, that counts them itself."""
        if self.line is not None and (time.monotonic() - self.told > PAUSE or done >= total):
            self.told = time.monotonic()
            say({"progress": [done, total]})

    def close(self) -> None:
        """All has been said. The other host waits for this before it ends."""
        self.over.set()
        if self.line is not None:
            self.stream.close()
            self.line.close()


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def keep_alive(line: socket.socket) -> None:
    """A link that was cut does not tell, and one that gives may have nothing to say for long."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4)):
        line.setsockopt(socket.IPPROTO_TCP, option, value)


def end_with_caller() -> threading.Event:
    """Who started us says nothing more, and when it is gone there is nobody to do this for: until the event is set."""
    over = threading.Event()

    def watch() -> None:
        os.read(0, 1)
        if not over.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("who started this is gone"))
    threading.Thread(target=watch, daemon=True).start()
    return over


# who gives


def call(address: str, port: int, badge: str) -> ssl.SSLSocket:
    """The other host, which has let us in. Raises OSError with why not."""
    context = make_context(badge, server=False)
    plain = socket.create_connection((address, port), CONNECT)
    plain.settimeout(GREET)
    line = context.wrap_socket(plain)
    try:
        must_show(line, badge)
        if line.recv(1) != WELCOME:
            raise OSError("it does not let us in")
    except OSError:
        line.close()
        raise
    line.settimeout(None)
    keep_alive(line)
    return line
