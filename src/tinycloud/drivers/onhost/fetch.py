"""Fetch a file over HTTP into a folder of this host: hashed while it comes, resumed after a break, whole or not at all.

Takes ``url, folder, name, algorithm, sum, sums, verify, known, most, reserve, stall, tries, pause``; is done with ``path, algorithm,
sum, size, resumed``, size 0 for a file whose sum is ``known``. The folder belongs to this one file: ``part`` and ``about.json`` (which
version on the server it is a part of) while it comes, ``name`` when it is whole. Proxies are those of the environment, and so are
certificates (``SSL_CERT_FILE``). It is one file because it goes to the host's python3 by stdin.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request as request
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

TYPE_CHECKING = False  # typing costs 10 ms, on every host
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CHUNK = 1024 * 1024
_SUMS = 4 * 1024 * 1024
_REDIRECTS = 8
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_CODES = {64: "sha256", 128: "sha512"}


class Stop(Exception):
    """Why nothing was fetched. ``again``: another attempt may do better."""

    def __init__(self, message: str, *, code: str, hint: str = "", again: bool = False) -> None:
        super().__init__(message)
        self.told = {"code": code, "message": message, "hint": hint}
        self.again = again


# asking


class Redirects(request.HTTPRedirectHandler):
    """A few, and never to where nobody can vouch for what is answered."""

    max_redirections = _REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            fp.close()
            raise Stop(
                f"{req.full_url} leads from {old} to {newurl}", code="unsafe-redirect", hint="pull the other address, if you trust it"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_address(url: str) -> None:
    """Only http and https, and nothing secret in it: an address stands in logs and on cards."""
    try:
        parts = urlsplit(url)
        bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or any(ord(c) <= 32 or ord(c) > 126 for c in url):
        raise Stop(f'"{url}" is no address of a file, expected http:// or https://', code="wrong-address")
    if "@" in parts.netloc:
        raise Stop("the address names a user or a password", code="wrong-address", hint="tinycloud image import FILE")


class Net:
    """Asks servers. ``stall`` seconds of silence end it; a large file may take as long as it likes."""

    def __init__(self, stall: float) -> None:
        self.stall = stall
        self._opener = request.OpenerDirector()
        secure = request.HTTPSHandler(context=ssl.create_default_context())
        kinds = (
            request.ProxyHandler,
            request.UnknownHandler,
            request.HTTPHandler,
            request.HTTPDefaultErrorHandler,
            Redirects,
            request.HTTPErrorProcessor,
        )
        for handler in (*(kind() for kind in kinds), secure):
            self._opener.add_handler(handler)

    def ask(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """The answer, its body still to be read. Raises Stop."""
        check_address(url)
        usual = {"User-Agent": "tinycloud", "Accept-Encoding": "identity"}
        asked = request.Request(url, headers={**usual, **headers})  # noqa: S310 - see check_address
        try:
            with within(self.stall * 2):
                answer: http.client.HTTPResponse = self._opener.open(asked, timeout=self.stall)
                return answer
        except urllib.error.HTTPError as err:
            err.close()
            raise make_answer_stop(url, err.code, str(err.msg)) from err
        except (OSError, http.client.HTTPException) as err:
            raise make_line_stop(url, err) from err


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The time limit of a socket begins anew with each byte; a server that sends its headers letter by letter meets this one."""

    def end(_signal: int, _frame: Any) -> None:
        raise TimeoutError("timed out")

    usual = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def make_answer_stop(url: str, status: int, said: str) -> Stop:
    """For an answer that is not the file."""
    if 300 <= status < 400:
        loop = said.startswith(request.HTTPRedirectHandler.inf_msg)
        if loop:
            return Stop(f"{url} leads on more than {_REDIRECTS} times, or in a circle", code="redirect-loop")
        return Stop(f"{url} leads to what is neither http nor https", code="unsafe-redirect")
    if status == 416:
        return Stop(f"{url} changed on the server while it was fetched", code="changed-file", again=True)
    what = f"{url}: the server says {status} {said}".rstrip()
    if status >= 500:
        return Stop(what, code="server-error", hint="try again later", again=status in _AGAIN)
    return Stop(what, code="not-served", again=status in _AGAIN)


def make_line_stop(url: str, err: Exception) -> Stop:
    """For a line that is dead, or breaks."""
    cause = getattr(err, "reason", err)
    host = urlsplit(url).netloc
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "the clock of this host, its certificates (apt-get install ca-certificates), or those of the site in SSL_CERT_FILE"
        return Stop(f"{host} cannot prove who it is: {cause.verify_message}", code="untrusted-server", hint=hint)
    if isinstance(cause, TimeoutError) and not isinstance(err, urllib.error.URLError):
        return Stop(f"{host} says nothing more", code="stalled", hint="the same command goes on where this one stopped", again=True)
    if isinstance(cause, http.client.RemoteDisconnected):
        return Stop(f"{host} hangs up without an answer", code="empty-answer", again=True)
    if isinstance(err, urllib.error.URLError):
        why = "it does not answer" if isinstance(cause, TimeoutError) else getattr(cause, "strerror", None) or str(cause)
        broken = isinstance(cause, (ConnectionResetError, BrokenPipeError, TimeoutError, http.client.HTTPException))
        return Stop(f"{host} cannot be reached: {why}", code="unreachable", hint=find_way(url, cause), again=broken)
    return Stop(f"{host} broke the connection", code="cut-short", hint="the same command goes on where this one stopped", again=True)


def find_way(url: str, cause: object) -> str:
    """What to look at when a connection does not come about; who is asked is the proxy, where there is one."""
    at = urlsplit(url)
    proxy, variable = "" if request.proxy_bypass(at.netloc) else request.getproxies().get(at.scheme, ""), f"{at.scheme}_proxy"
    if proxy:
        name = urlsplit(proxy if "//" in proxy else f"//{proxy}").hostname
        return f"{variable} says to ask {name}: {'there is no such name' if isinstance(cause, socket.gaierror) else 'is that right?'}"
    if isinstance(cause, socket.gaierror):
        return f"is the name right? getent hosts {at.hostname}; where only a proxy leads out, set {variable}"
    if isinstance(cause, ssl.SSLError):
        return f"no TLS that we understand: are port and https right? openssl s_client -connect {at.hostname}:{at.port or 443}"
    if isinstance(cause, ConnectionRefusedError):
        port = at.port or (443 if at.scheme == "https" else 80)
        return f"{at.hostname} is there, and nothing listens at port {port}: is the port right, does the server run?"
    if isinstance(cause, TimeoutError):
        return f"a firewall may drop what we send; where only a proxy leads out, set {variable}"
    return f"is there a way to {at.hostname}? ip route; where only a proxy leads out, set {variable}"


# sums


_BSD = re.compile(r"SHA(?:256|512) \((.+)\) = ([0-9a-fA-F]+)")
_GNU = re.compile(r"\\?([0-9a-fA-F]{64,128})(?:[ \t]+\*?(.*))?")


def find_sum(text: str, name: str, form: str) -> tuple[str, str]:
    """(algorithm, sum) of ``name`` in a file of sums.

    ``gnu`` is SUM  NAME a line, ``bsd`` SHA256 (NAME) = SUM, ``single`` one SUM whatever name stands by it, ``any`` one of the first two,
    or a SUM alone.
    """
    found = set()
    for line in text.splitlines():
        bsd, gnu = _BSD.fullmatch(line.strip()), _GNU.fullmatch(line.strip())
        if bsd and form in ("bsd", "any"):
            said, digits = bsd[1], bsd[2]
        elif gnu and form != "bsd":
            said, digits = gnu[2] or "", gnu[1]
        else:
            continue
        named = os.path.basename(said) == name or form == "single" or (form == "any" and not said)
        if named and len(digits) in _CODES:
            found.add(digits.lower())
    if len(found) != 1:
        raise Stop(f"the file of sums says {len(found) or 'no'} sums of {name}, expected one", code="no-sum")
    digits = found.pop()
    return _CODES[len(digits)], digits


def learn_sum(net: Net, args: dict[str, Any]) -> tuple[str, str]:
    """What the file has to be: as told, or as the file of sums says; an empty sum when nobody is to check."""
    if args.get("sum"):
        return args["algorithm"], args["sum"].lower()
    if not args.get("sums"):
        if args.get("verify", True):
            raise Stop("no sum is known for the file", code="no-sum", hint="--sha256 SUM, --sums ADDRESS, or --no-verify")
        return "sha256", ""
    url = args["sums"]["url"]
    try:
        with net.ask(url, {}) as answer:
            text = answer.read(_SUMS).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as err:
        raise make_line_stop(url, err) from err
    return find_sum(text, unquote(os.path.basename(urlsplit(args["url"]).path)), args["sums"]["format"])


# what has come


class Part:
    """The bytes that have come, their hash, and what the server called that version of the file."""

    def __init__(self, folder: str, url: str, algorithm: str) -> None:
        self.path, self._card = os.path.join(folder, "part"), os.path.join(folder, "about.json")
        self._url, self._algorithm = url, algorithm
        self.drop()

    def drop(self) -> None:
        """Nothing has come. (The files go with the next :meth:`begin`, or with :meth:`remove`.)"""
        self.size, self.total, self.old, self.validator = 0, 0, 0, ""
        self.digest = hashlib.new(self._algorithm)

    def remove(self) -> None:
        self.drop()
        for path in (self.path, self._card):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def take_up(self) -> None:
        """Go on with what an earlier run left, if it can be told whether it is still the same file."""
        try:
            with open(self._card, encoding="utf-8") as file:
                card = json.load(file)
            if card["url"] != self._url or not card["validator"]:
                return
            with open(self.path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    self.digest.update(chunk)
                    self.size += len(chunk)
        except (OSError, ValueError, KeyError, TypeError):
            self.drop()
            return
        self.old, self.validator, self.total = self.size, str(card["validator"]), int(card["total"])

    def begin(self, validator: str, total: int) -> int:
        """Start at the first byte; returns the open file."""
        self.remove()
        self.validator, self.total = validator, total
        whole = json.dumps({"url": self._url, "validator": validator, "total": total})
        with open(self._card, "w", encoding="utf-8") as file:
            file.write(whole)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    def go_on(self) -> int:
        """Continue behind the last byte; returns the open file."""
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)

    def add(self, file: int, chunk: bytes) -> None:
        self.digest.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(file, view) :]
        self.size += len(chunk)

    def finish(self, target: str) -> None:
        """The part becomes the file, at once and for good."""
        for path in (self.path, os.path.dirname(target)):
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.close(file)
        os.rename(self.path, target)


# fetching


class Fetch:
    """One file, with as many attempts as it takes and are allowed."""

    def __init__(self, args: dict[str, Any], net: Net) -> None:
        self.args, self.net, self.url = args, net, args["url"]
        self.algorithm, self.wanted = learn_sum(net, args)
        self.target = os.path.join(args["folder"], args["name"])
        self.part = Part(args["folder"], self.url, self.algorithm)
        self.told = 0.0

    def run(self) -> dict[str, Any]:
        """Raises Stop; what has come stays for the next run when that could use it."""
        if f"{self.algorithm}={self.wanted}" in self.args["known"]:
            return self._result(0, 0)  # it is in the store, or was: nothing has to come
        if self.wanted and os.path.isfile(self.target) and hash_file(self.target, self.algorithm) == self.wanted:
            return self._result(os.path.getsize(self.target), 0)
        if self.wanted:
            self.part.take_up()
        else:
            self.part.remove()  # without a sum nobody would notice that two halves do not fit
        resumed = self.part.size
        try:
            self._insist()
        except Stop:
            if not (self.wanted and self.part.validator and self.part.size):
                self.part.remove()
            raise
        except OSError as err:
            self.part.remove()
            raise make_disk_stop(err, self.args["folder"]) from err
        return self._result(self.part.size, resumed if self.part.old else 0)

    def _insist(self) -> None:
        left = tries = max(1, self.args["tries"])
        while True:
            before = self.part.size
            try:
                return self._attempt()
            except Stop as stop:
                left = tries if tries > 1 and self.part.size > before + 65536 else left - 1
                if not stop.again or left <= 0:
                    raise
            time.sleep(self.args["pause"])

    def _attempt(self) -> None:
        have, called = self.part.size, self.part.validator
        with self.net.ask(self.url, {"Range": f"bytes={have}-", "If-Range": called} if have and called else {}) as answer:
            if answer.status == 206:
                expected = self._check_range(answer, have)
                file = self.part.go_on()
            elif answer.status == 200:
                self.part.drop()
                expected = read_length(answer, self.url)
                self._check_room(expected)
                file = self.part.begin(find_validator(answer), max(0, expected))
                have = 0
            else:
                raise make_answer_stop(self.url, answer.status, answer.reason)
            try:
                self._read(answer, file, expected)
            finally:
                os.close(file)
        self._check_size(have, expected)
        self._check_sum()
        self.part.finish(self.target)

    def _check_range(self, answer: http.client.HTTPResponse, have: int) -> int:
        """How much is still to come. A server that changed the file, or answers another question, is not believed."""
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
        total = int(match[3]) if match and match[3] != "*" else 0
        if not have or not match or int(match[1]) != have or (total and int(match[2]) != total - 1):
            self.part.drop()
            raise Stop(f"{self.url}: the server sends another part of the file than it was asked for", code="wrong-range", hint="try again")
        called = find_validator(answer)
        if (total and self.part.total and total != self.part.total) or (called and called != self.part.validator):
            self.part.drop()
            raise Stop(f"{self.url} changed on the server while it was fetched", code="changed-file", hint="try again", again=True)
        expected, length = int(match[2]) + 1 - have, read_length(answer, self.url)
        if length not in (-1, expected):
            raise Stop(f"{self.url}: the server contradicts itself about the length", code="wrong-length")
        self._check_room(expected)
        return expected

    def _check_room(self, expected: int) -> None:
        if self.part.size + max(0, expected) > self.args["most"]:
            raise Stop(f"{self.url} is larger than {self.args['most']} bytes", code="too-big", hint="--max-size SIZE")
        free = measure_free(self.args["folder"])
        if free - self.args["reserve"] < max(0, expected):
            self.part.drop()
            raise make_space_stop(self.args["folder"], max(0, expected), free)

    def _read(self, answer: http.client.HTTPResponse, file: int, expected: int) -> None:
        """Everything the answer holds, into the part. Raises Stop for a line that breaks, or stalls in all but name."""
        mark, came, start = time.monotonic(), 0, self.part.size
        end = start + expected if expected >= 0 else self.args["most"]
        while True:
            try:
                chunk = answer.read1(_CHUNK)
            except (OSError, http.client.HTTPException, ValueError) as err:
                raise make_line_stop(self.url, err) from err
            if not chunk:
                break
            self.part.add(file, chunk)
            came += len(chunk)
            now = time.monotonic()
            if now - mark > self.net.stall:
                if came < 1024:
                    raise make_line_stop(self.url, TimeoutError())
                mark, came = now, 0
                self._check_room(end - self.part.size if expected >= 0 else 0)
            if self.part.size > end:
                self._refuse_more(expected)
            self._tell(now)
        self._tell(0.0)

    def _refuse_more(self, expected: int) -> None:
        self.part.drop()
        if expected < 0:
            raise Stop(f"{self.url} is larger than {self.args['most']} bytes", code="too-big", hint="--max-size SIZE")
        raise Stop(f"{self.url}: the server sends more than it said", code="wrong-length")

    def _check_size(self, have: int, expected: int) -> None:
        if expected >= 0 and self.part.size - have < expected:
            raise make_line_stop(self.url, ConnectionError())
        if not self.part.size:
            raise Stop(f"{self.url}: the server sends an empty file", code="empty-answer")

    def _check_sum(self) -> None:
        seen, old = self.part.digest.hexdigest(), self.part.old
        if self.wanted and seen != self.wanted:
            self.part.drop()
            what = f"{self.url} has another {self.algorithm} than expected: {seen[:16]}…, not {self.wanted[:16]}…"
            raise Stop(what, code="wrong-sum", hint="the sum, or the file on the server, is not the one that was meant", again=bool(old))

    def _tell(self, now: float) -> None:
        """Progress, twice a second and at the end."""
        if not now or now - self.told > 0.5:
            self.told = now
            say({"progress": [self.part.size, self.part.total]})

    def _result(self, size: int, resumed: int) -> dict[str, Any]:
        digits = self.wanted or self.part.digest.hexdigest()
        return {"path": self.target, "algorithm": self.algorithm, "sum": digits, "size": size, "resumed": resumed}


def read_length(answer: http.client.HTTPResponse, url: str) -> int:
    """The body's length as the server says it; -1 when it does not."""
    said = set(answer.headers.get_all("Content-Length") or [])
    if not said or answer.headers.get("Transfer-Encoding"):
        return -1
    if len(said) > 1 or not (text := said.pop().strip()).isdecimal():
        raise Stop(f"{url}: the server contradicts itself about the length", code="wrong-length")
    if int(text) == 0:
        raise Stop(f"{url}: the server sends an empty file", code="empty-answer")
    return int(text)


def find_validator(answer: http.client.HTTPResponse) -> str:
    """What tells this version of the file from others; empty when nothing does. (RFC 9110, 13.1.5: a weak tag does not.)"""
    tag = answer.headers.get("ETag", "").strip()
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "").strip()


def hash_file(path: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def measure_free(folder: str) -> int:
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


def make_space_stop(folder: str, need: int, free: int) -> Stop:
    words = f"{need / 2**20:.1f} MiB are still to come, {folder} has {free / 2**20:.1f} MiB free"
    return Stop(words, code="no-space", hint="make room, or set TINYCLOUD_CACHE to another folder")


def make_disk_stop(err: OSError, folder: str) -> Stop:
    if err.errno in (28, 122):  # ENOSPC, EDQUOT
        return make_space_stop(folder, 0, 0)
    return Stop(f"{folder} cannot be written: {err.strerror}", code="unwritable", hint="set TINYCLOUD_CACHE to another folder")


@contextmanager
def hold_folder(folder: str) -> Iterator[None]:
    """Make the folder and hold it alone: a second run on this host waits for the first. Gone meanwhile, it is made again."""
    while True:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as err:
            raise make_disk_stop(err, folder) from err
        fcntl.flock(held, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(folder), os.fstat(held)):
                break
        os.close(held)
    try:
        yield
    finally:
        with suppress(OSError):
            os.rmdir(folder)  # when nothing came
        os.close(held)


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def end_with_caller() -> None:
    """End as soon as nobody reads what is said: a caller that was killed leaves this process on its own, and the next one waits for it."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)
    pipe.poll()
    os._exit(1)


def main(args: dict[str, Any]) -> None:
    try:
        check_address(args["url"])
        with hold_folder(args["folder"]):
            say({"done": Fetch(args, Net(args["stall"])).run()})
    except Stop as stop:
        say({"refused": stop.told})


if __name__ == "__main__":
    threading.Thread(target=end_with_caller, daemon=True).start()
    main(json.loads(sys.argv[1]))
