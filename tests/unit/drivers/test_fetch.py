"""Fetching from servers that misbehave: a clear end, nothing half made, and the next run goes on where it can."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.webserver import File, Handler, Site, serve
from tinycloud.drivers.onhost import fetch, run_script
from tinycloud.drivers.shell import LocalShell
from tinycloud.errors import Refused

BODY = bytes(range(256)) * 2000
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as made:
        yield made


class Fetcher:
    """Fetches from a site into a folder of the test, in this process."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder / "fetch" / "key"

    def args(self, path: str = "/disk.img", **changes: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "algorithm": "sha256",
            "sum": SUM,
            "sums": None,
            "verify": True,
            "known": [],
            "stall": 5.0,
            "tries": 1,
            "pause": 0.0,
        }
        limits = {"most": 10**9, "reserve": 0, "folder": str(self.folder), "name": "disk.img"}
        return {"url": f"{self.site.url}{path}", **usual, **limits, **changes}

    def run(self, path: str = "/disk.img", **changes: Any) -> dict[str, Any]:
        args = self.args(path, **changes)
        with fetch.hold_folder(args["folder"]):
            return fetch.Fetch(args, fetch.Net(args["stall"])).run()

    def fail(self, path: str = "/disk.img", **changes: Any) -> str:
        """The code that it ends with; its message is plain text of one line."""
        with pytest.raises(fetch.Stop) as caught:
            self.run(path, **changes)
        assert "\n" not in str(caught.value)
        return str(caught.value.told["code"])

    @property
    def left(self) -> set[str]:
        return {path.name for path in self.folder.glob("*")}


@pytest.fixture
def fetcher(site: Site, tmp_path: Path) -> Fetcher:
    site.pages["/disk.img"] = File(BODY)
    return Fetcher(site, tmp_path)


def test_a_file_comes_whole_and_under_its_name(fetcher: Fetcher) -> None:
    got = fetcher.run()
    assert Path(got["path"]).read_bytes() == BODY
    assert (got["algorithm"], got["sum"], got["size"], got["resumed"]) == ("sha256", SUM, len(BODY), 0)
    assert "part" not in fetcher.left


def test_sha512_proves_as_well(fetcher: Fetcher) -> None:
    digits = hashlib.sha512(BODY).hexdigest()
    assert fetcher.run(algorithm="sha512", sum=digits.upper())["sum"] == digits


def test_what_is_whole_already_is_not_asked_for_again(fetcher: Fetcher) -> None:
    fetcher.run()
    fetcher.run()
    assert len(fetcher.site.asked) == 1


def test_what_the_store_has_is_not_asked_for(fetcher: Fetcher) -> None:
    assert fetcher.run(known=[f"sha256={SUM}"])["size"] == 0
    assert fetcher.site.asked == []


def test_a_broken_line_is_taken_up_at_the_byte_where_it_broke(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = File(BODY, most=100_000)
    assert fetcher.fail() == "cut-short"
    assert fetcher.left == {"part", "about.json"}
    fetcher.site.pages["/disk.img"] = File(BODY)
    got = fetcher.run()
    assert got["resumed"] == 100_000
    assert fetcher.site.ranges == [None, "bytes=100000-"]
    assert Path(got["path"]).read_bytes() == BODY


def test_one_run_goes_on_by_itself_as_long_as_something_comes(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = File(BODY, most=100_000)
    assert Path(fetcher.run(tries=2)["path"]).read_bytes() == BODY
    assert len(fetcher.site.asked) == 6


def test_a_date_tells_versions_apart_where_no_tag_does(fetcher: Fetcher) -> None:
    date = "Sat, 21 Nov 2026 09:00:00 GMT"
    fetcher.site.pages["/disk.img"] = File(BODY, tag="", most=100_000, headers={"Last-Modified": date})
    assert fetcher.fail() == "cut-short"
    fetcher.site.pages["/disk.img"] = File(BODY, tag=date)
    assert fetcher.run()["resumed"] == 100_000


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_nothing_is_kept_of_a_file_whose_version_nobody_can_tell(fetcher: Fetcher, tag: str) -> None:
    fetcher.site.pages["/disk.img"] = File(BODY, tag=tag, most=100_000)
    assert fetcher.fail() == "cut-short"
    assert fetcher.left == set()


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = File(b"an older version" * 10_000, most=100_000)
    fetcher.fail()
    fetcher.site.pages["/disk.img"] = File(BODY, tag='"two"')
    got = fetcher.run()
    assert (got["resumed"], Path(got["path"]).read_bytes()) == (0, BODY)


def test_a_server_that_ignores_ranges_gives_the_whole_file_once_more(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = File(BODY, most=100_000, ranges=False)
    fetcher.fail()
    fetcher.site.pages["/disk.img"] = File(BODY, ranges=False)
    got = fetcher.run()
    assert (got["resumed"], Path(got["path"]).read_bytes()) == (0, BODY)


def answer(status: int, body: bytes = b"", **headers: object) -> Any:
    """A page that says just this."""

    def page(handler: Handler) -> None:
        handler.head(status, **headers)
        handler.wfile.write(body)

    return page


def a_part(fetcher: Fetcher) -> None:
    """Leave 100,000 bytes of the file for the next run."""
    fetcher.site.pages["/disk.img"] = File(BODY, most=100_000)
    fetcher.fail()


@pytest.mark.parametrize(
    ("span", "code"),
    [
        ("bytes 0-511999/512000", "wrong-range"),
        ("bytes 100001-511999/512000", "wrong-range"),
        ("bytes 100000-200000/512000", "wrong-range"),
        ("nonsense", "wrong-range"),
        ("bytes 100000-599999/600000", "changed-file"),
    ],
)
def test_a_server_that_answers_another_question_is_not_believed(fetcher: Fetcher, span: str, code: str) -> None:
    a_part(fetcher)
    fetcher.site.pages["/disk.img"] = answer(206, BODY, ETag='"one"', Content_Range=span)
    assert fetcher.fail() == code
    assert fetcher.left == set()


def test_a_part_of_another_version_is_not_joined(fetcher: Fetcher) -> None:
    a_part(fetcher)
    fetcher.site.pages["/disk.img"] = answer(206, BODY[100_000:], ETag='"two"', Content_Range="bytes 100000-511999/512000")
    assert fetcher.fail() == "changed-file"
    assert fetcher.left == set()


def test_a_range_that_was_not_asked_for_is_refused(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = answer(206, BODY, Content_Range="bytes 0-511999/512000")
    assert fetcher.fail() == "wrong-range"


def test_more_is_here_than_the_server_has(fetcher: Fetcher) -> None:
    a_part(fetcher)
    fetcher.site.pages["/disk.img"] = answer(416)
    assert fetcher.fail() == "changed-file"


@pytest.mark.parametrize("tries", [1, 3])
def test_a_wrong_sum_leaves_nothing(fetcher: Fetcher, tries: int) -> None:
    assert fetcher.fail(sum="0" * 64, tries=tries) == "wrong-sum"
    assert fetcher.left == set()
    assert len(fetcher.site.asked) == 1


def test_halves_that_do_not_fit_are_fetched_anew_without_being_asked_to(fetcher: Fetcher) -> None:
    a_part(fetcher)
    (fetcher.folder / "part").write_bytes(b"\0" * 100_000)  # what a power cut leaves
    fetcher.site.pages["/disk.img"] = File(BODY)
    assert Path(fetcher.run(tries=2)["path"]).read_bytes() == BODY
    assert fetcher.site.ranges == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (answer(404), "not-served"),
        (answer(403), "not-served"),
        (answer(204), "not-served"),
        (answer(500), "server-error"),
        (answer(503), "server-error"),
        (answer(200, Content_Length=0), "empty-answer"),
        (answer(200), "empty-answer"),
        (answer(200, b"1234567890", Content_Length=20), "cut-short"),
        (answer(200, b"1234567890", Content_Length="ten"), "wrong-length"),
        (answer(200, b"1234567890", Content_Length=10**10), "too-big"),
        (answer(200, b"1234567890", Content_Length=5), "wrong-sum"),
        (answer(200, b"5\r\n12345\r\n", Transfer_Encoding="chunked"), "cut-short"),
        (answer(200, b"zzz\r\n12345\r\n", Transfer_Encoding="chunked"), "cut-short"),
        (answer(302, Location="/disk.img"), "redirect-loop"),
        (answer(301, Location="file:///etc/passwd"), "unsafe-redirect"),
        (answer(301, Location="ftp://127.0.0.1/disk.img"), "unsafe-redirect"),
        (answer(307, Location="gopher://127.0.0.1/disk.img"), "unsafe-redirect"),
        (lambda handler: None, "empty-answer"),
    ],
)
def test_what_a_server_can_do_wrong_has_a_code_and_leaves_nothing(fetcher: Fetcher, page: Any, code: str) -> None:
    fetcher.site.pages["/disk.img"] = page
    assert fetcher.fail() == code
    assert fetcher.left - {"part", "about.json"} == set()
    if "part" in fetcher.left:
        assert code == "cut-short"


def test_what_is_no_http_at_all_is_a_broken_line(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = lambda handler: handler.wfile.write(b"\x00garbage\r\n\r\n")
    with pytest.raises(Refused) as caught:  # as a child: urllib leaves the socket to whoever comes last
        run_script(LocalShell(), "fetch", fetcher.args())
    assert caught.value.kind == "cut-short"


def test_an_endless_file_ends_at_the_limit(fetcher: Fetcher) -> None:
    def endless(handler: Handler) -> None:
        handler.head(200)
        while True:
            handler.wfile.write(bytes(65536))

    fetcher.site.pages["/disk.img"] = endless
    assert fetcher.fail(most=10**6) == "too-big"
    assert fetcher.left == set()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 512000\r\n\r\n1234"])
def test_a_server_that_falls_silent_is_not_waited_for(fetcher: Fetcher, said: bytes) -> None:
    silent = threading.Event()

    def stall(handler: Handler) -> None:
        handler.wfile.write(said)
        silent.wait(30)

    fetcher.site.pages["/disk.img"] = stall
    assert fetcher.fail(stall=0.2) == "stalled"
    silent.set()


def test_headers_that_come_letter_by_letter_are_not_waited_for(fetcher: Fetcher) -> None:
    done = threading.Event()

    def drip(handler: Handler) -> None:
        while not done.wait(0.05):
            handler.wfile.write(b"H")

    fetcher.site.pages["/disk.img"] = drip
    assert fetcher.fail(stall=0.2) == "stalled"
    done.set()


def test_bytes_that_trickle_are_a_stall_too(fetcher: Fetcher) -> None:
    done = threading.Event()

    def trickle(handler: Handler) -> None:
        handler.head(200, Content_Length=len(BODY), ETag='"one"')
        while not done.wait(0.02):
            handler.wfile.write(b"1")

    fetcher.site.pages["/disk.img"] = trickle
    assert fetcher.fail(stall=0.2) == "stalled"
    done.set()


def test_a_redirect_is_followed(fetcher: Fetcher) -> None:
    fetcher.site.pages["/latest"] = answer(302, Location="/disk.img")
    assert fetcher.run("/latest")["sum"] == SUM


def test_nobody_listens(fetcher: Fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert fetcher.fail(url=f"http://127.0.0.1:{free.getsockname()[1]}/disk.img", tries=3) == "unreachable"
    assert fetcher.fail(url="http://no-such-host.invalid/disk.img") == "unreachable"


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "getent hosts mirror.example"),
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens at port 8443"),
        (TimeoutError("timed out"), "a firewall may drop"),
        (ssl.SSLError(1, "wrong version number"), "openssl s_client -connect mirror.example:8443"),
        (OSError(101, "Network is unreachable"), "ip route"),
    ],
)
def test_a_connection_that_does_not_come_about_says_where_to_look(cause: OSError, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = fetch.make_line_stop("https://mirror.example:8443/disk.img", urllib.error.URLError(cause))
    assert stop.told["code"] == "unreachable"
    assert said in stop.told["hint"]
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example:3128")
    behind = fetch.make_line_stop("https://mirror.example:8443/disk.img", urllib.error.URLError(cause))
    assert "https_proxy says to ask proxy.example" in behind.told["hint"]
    assert "secret" not in behind.told["hint"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "disk.img", "http://", "http://user:word@host/x", "https://host/a b", "http://[::1/x", ""]
)
def test_what_is_no_address_is_not_asked(fetcher: Fetcher, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fetch.main(fetcher.args(url=url))
    assert json.loads(capsys.readouterr().out)["refused"]["code"] == "wrong-address"


def test_a_full_disk_is_seen_before_a_byte_is_written(fetcher: Fetcher) -> None:
    assert fetcher.fail(reserve=10**18) == "no-space"
    assert fetcher.left == set()


def test_a_folder_that_cannot_be_written_is_said(fetcher: Fetcher) -> None:
    fetcher.folder.parent.parent.mkdir(exist_ok=True)
    fetcher.folder.parent.write_text("a file where the cache should be")
    with pytest.raises(fetch.Stop) as caught:
        fetcher.run()
    assert caught.value.told["code"] == "unwritable"


# sums


def test_without_any_sum_nothing_is_fetched_unless_that_is_wished(fetcher: Fetcher) -> None:
    assert fetcher.fail(sum="") == "no-sum"
    assert fetcher.site.asked == []
    assert fetcher.run(sum="", verify=False)["sum"] == SUM


def test_without_a_sum_nothing_is_taken_up(fetcher: Fetcher) -> None:
    fetcher.site.pages["/disk.img"] = File(BODY, most=100_000)
    assert fetcher.fail(sum="", verify=False) == "cut-short"
    assert fetcher.left == set()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("gnu", f"{'1' * 64}  other.img\n{SUM}  disk.img\n"),
        ("gnu", f"{SUM} *./images/disk.img\n"),
        ("bsd", f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.img: 512000 bytes\nSHA256 (disk.img) = {SUM}\n"),
        ("any", f"{SUM}\n"),
        ("any", f"{'1' * 64}  other.img\n{SUM}  disk.img\n"),
        ("any", f"SHA256 (other.img) = {'1' * 64}\nSHA256 (disk.img) = {SUM}\n"),
        ("single", f"{SUM}\n"),
        ("single", f"{SUM}  disk-with-its-build-number.img\n"),
    ],
)
def test_the_sum_is_found_in_what_the_maker_publishes(fetcher: Fetcher, form: str, text: str) -> None:
    fetcher.site.pages["/SUMS"] = File(text.encode())
    got = fetcher.run(sum="", sums={"url": f"{fetcher.site.url}/SUMS", "format": form})
    assert got["sum"] == SUM


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("gnu", f"{SUM}  other.img\n"),
        ("gnu", f"{SUM}  disk.img\n{'1' * 64}  disk.img\n"),
        ("gnu", "d41d8cd98f00b204e9800998ecf8427e  disk.img\n"),
        ("bsd", f"MD5 (disk.img) = {SUM}\n"),
        ("single", f"{SUM}\n{'1' * 64}\n"),
        ("single", "<html>not found</html>"),
    ],
)
def test_sums_that_do_not_say_one_thing_of_the_file_prove_nothing(fetcher: Fetcher, form: str, text: str) -> None:
    fetcher.site.pages["/SUMS"] = File(text.encode())
    assert fetcher.fail(sum="", sums={"url": f"{fetcher.site.url}/SUMS", "format": form}) == "no-sum"


def test_a_file_of_sums_that_is_not_there_is_named(fetcher: Fetcher) -> None:
    assert fetcher.fail(sum="", sums={"url": f"{fetcher.site.url}/SUMS", "format": "gnu"}) == "not-served"


# as a child, the way the engine runs it


def test_the_child_tells_how_far_it_is_and_uses_the_proxy_of_the_environment(fetcher: Fetcher) -> None:
    told: list[tuple[int, int]] = []
    shell = LocalShell(env={"http_proxy": fetcher.site.url, "no_proxy": ""})
    fetcher.site.pages["http://far.invalid/disk.img"] = fetcher.site.pages["/disk.img"]
    got = run_script(shell, "fetch", fetcher.args(url="http://far.invalid/disk.img"), progress=lambda *n: told.append(n))
    assert got["sum"] == SUM
    assert told[-1] == (len(BODY), len(BODY))
    assert fetcher.site.asked[0].headers["Host"] == "far.invalid"


def test_no_proxy_is_asked_for_what_no_proxy_names(fetcher: Fetcher) -> None:
    shell = LocalShell(env={"http_proxy": "http://proxy.invalid:1", "no_proxy": "127.0.0.1"})
    assert run_script(shell, "fetch", fetcher.args())["sum"] == SUM


def test_tls_is_verified_and_never_left(fetcher: Fetcher, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with serve(lambda plain: context.wrap_socket(plain, server_side=True)) as secure:
        secure.pages |= {"/disk.img": File(BODY), "/down": answer(302, Location=f"{fetcher.site.url}/disk.img")}
        with pytest.raises(Refused, match="cannot prove who it is") as caught:
            run_script(LocalShell(), "fetch", fetcher.args(url=f"{secure.url}/disk.img"))
        assert caught.value.kind == "untrusted-server"
        trusting = LocalShell(env={"SSL_CERT_FILE": str(cert)})
        assert run_script(trusting, "fetch", fetcher.args(url=f"{secure.url}/disk.img"))["sum"] == SUM
        with pytest.raises(Refused, match="leads from https to http:") as caught:
            run_script(trusting, "fetch", fetcher.args(url=f"{secure.url}/down", sum="1" * 64))
        assert caught.value.kind == "unsafe-redirect"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, its own authority, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    argv = [*words, "-keyout", str(key), "-out", str(cert), "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(argv, check=True, capture_output=True)
    return cert, key


def test_a_second_child_waits_for_the_first_and_uses_what_it_brought(fetcher: Fetcher) -> None:
    going, first = threading.Event(), File(BODY)

    def slow(handler: Handler) -> None:
        going.wait(30)
        first(handler)

    fetcher.site.pages["/disk.img"] = slow
    sums: list[str] = []

    def pull() -> None:
        sums.append(run_script(LocalShell(), "fetch", fetcher.args())["sum"])

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    going.set()
    for thread in threads:
        thread.join(60)
    assert sums == [SUM, SUM]
    assert len(fetcher.site.asked) == 1


def test_a_child_whose_caller_was_killed_ends_and_leaves_what_has_come(fetcher: Fetcher) -> None:
    gone = threading.Event()

    def hang(handler: Handler) -> None:
        handler.head(200, Content_Length=len(BODY), ETag='"one"')
        handler.wfile.write(BODY[:100_000])
        gone.wait(60)

    fetcher.site.pages["/disk.img"] = hang
    argv = [sys.executable, str(fetch.__file__), json.dumps(fetcher.args(stall=60.0))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdout
        assert b"progress" in child.stdout.readline()
        child.stdout.close()
        assert child.wait(30) == 1
    gone.set()
    assert fetcher.left == {"part", "about.json"}
