"""A real PostgreSQL server for tests: Debian's binaries, data in memory, a unix socket, gone with the process that started it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.quick import make_quick_folder
from tinycloud.store.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "tinycloud"
GUARDED = "guarded"
"""A name for a user that has to give a password."""
_LIMIT = 60.0


def find_binaries() -> Path | None:
    """The folder with initdb and postgres, the newest; None where the package is not installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@dataclass
class Postgres:
    """A server kept in ``folder``; its user ``tinycloud`` may do everything, without a password."""

    folder: Path
    binaries: Path
    port: int = 5432
    settings: tuple[str, ...] = ()
    _child: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def make(self) -> None:
        """Its data folder, with nothing of ours in it."""
        words = [self.binaries / "initdb", "-D", self.data, "--no-sync", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8"]
        subprocess.run([*_as_other(), *map(str, words)], check=True, capture_output=True, timeout=_LIMIT, cwd="/")
        (self.data / "pg_hba.conf").write_text(f"local all {GUARDED} scram-sha-256\nlocal all all trust\n")

    def start(self) -> None:
        """Start it and wait until it answers. It ends when the thread that called this does, however that ends."""
        # Memory that is shared through files of its own: what a killed server has in /dev/shm stays there.
        plain = [
            "fsync=off",
            "full_page_writes=off",
            "dynamic_shared_memory_type=mmap",
            "max_connections=100",
            "shared_buffers=16MB",
            *self.settings,
        ]
        options = [word for setting in plain for word in ("-c", setting)]
        words = [self.binaries / "postgres", "-D", self.data, "-k", self.folder, "-p", self.port, "-c", "listen_addresses=", *options]
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._child = subprocess.Popen([*_as_other("--pdeathsig", "INT"), *map(str, words)], stdout=log, stderr=log, cwd="/")
        os.close(log)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _LIMIT
        while not self._answers():
            assert self._child is not None
            assert self._child.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def end(self, how: int = signal.SIGINT) -> None:
        """End it: at once, without a word to anybody, by SIGKILL; those that serve connections as well, which would last a moment longer."""
        if self._child is not None:
            serving = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
            self._child.send_signal(how)
            for pid in serving if how == signal.SIGKILL else ():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), how)
            self._child.wait(_LIMIT)
            self._child = None

    def url(self, database: str, user: str = USER) -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def sql(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Ask as the server's own master."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def make_database(self) -> Server:
        """An empty database that nobody else has."""
        name = f"t{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return Server(self.url(name))


def start_postgres(*settings: str) -> Postgres:
    """A new server. Folders that a killed run left are removed first."""
    folder = make_quick_folder()
    if os.geteuid() == 0:  # the server refuses to run as root
        other = pwd.getpwnam("postgres")
        os.chown(folder, other.pw_uid, other.pw_gid)
    binaries = find_binaries()
    assert binaries, "apt-get install postgresql"
    server = Postgres(folder, binaries, settings=settings)
    try:
        server.make()
        server.start()
    except BaseException:
        remove_postgres(server)
        raise
    return server


def remove_postgres(server: Postgres) -> None:
    with suppress(subprocess.TimeoutExpired):
        server.end()
    shutil.rmtree(server.folder, ignore_errors=True)


def _as_other(*words: str) -> list[str]:
    other = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *other, *words] if other or words else []
