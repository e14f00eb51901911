"""A PostgreSQL server as the place of the database: its address, and what it says, as errors of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tinycloud.errors import Lost, Missing, WrongInput

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE: Final[Mapping[str, int]] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's own limits, where the address says none: a server whose cable is cut is known to be gone within half a minute."""

_IDLE: Final = 10
"""Seconds after which the server ends a transaction in which nothing happens: its holder is paused, and keeps others waiting."""

_TOLD: Final = ("host", "port", "dbname", "user", "service")
"""What of an address's options is shown."""

_DENIED: Final = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "permission denied for database")


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a PostgreSQL server. The address may hold a password: it is printed as :attr:`label`, without."""

    url: str = field(repr=False)

    @property
    def label(self) -> str:
        """``postgresql://user@host:5432/name``."""
        shown, _, query = re.sub(r"://([^:@/?#]*):.*@", r"://\1@", self.url).partition("?")
        told = "&".join(f"{key}={value}" for key, value in parse_qsl(query) if key in _TOLD)
        return f"{shown}{'?' if told else ''}{told}"

    def __str__(self) -> str:
        return self.label

    @property
    def name(self) -> str:
        """The name of the database, where the address says it."""
        parts = urlsplit(self.url)
        return dict(parse_qsl(parts.query)).get("dbname") or unquote(parts.path.lstrip("/"))

    def connect(self) -> Any:
        """A connection, psycopg's. Raises Missing, with what to type, when there is none to be had."""
        psycopg = load_psycopg()
        try:
            known = psycopg.conninfo.conninfo_to_dict(self.url)
        except psycopg.ProgrammingError:
            raise _make_wrong("libpq cannot read it") from None  # its own words may quote the password
        try:
            connection = psycopg.connect(self.url, application_name="tinycloud", **{k: v for k, v in _PATIENCE.items() if k not in known})
        except psycopg.OperationalError as err:
            raise make_unreachable(self, err) from None
        try:
            connection.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE}s'")
            connection.commit()
        except psycopg.OperationalError as err:
            connection.close()
            raise make_unreachable(self, err) from None
        return connection


Address = Path | Server
"""Where the database is: a file of SQLite's, or a server."""


def parse_server(text: str) -> Server:
    """The server that ``TINYCLOUD_DATABASE`` names; raises WrongInput, which does not quote a password."""
    if not re.match(r"postgres(ql)?://", text):
        raise _make_wrong("it begins with no postgresql://")
    try:
        parts = urlsplit(text)
        if "," not in parts.netloc:  # several servers, of which one answers, are libpq's business
            parts.port  # noqa: B018 - raises for what is no number
    except ValueError:
        raise _make_wrong("host and port are not readable; a : in a password is %3A") from None
    if "@" in text and "@" not in parts.netloc:
        raise _make_wrong("a / ? or # in a password is written %2F %3F %23")
    return Server(text)


def _make_wrong(why: str) -> WrongInput:
    return WrongInput(
        "TINYCLOUD_DATABASE is no address of a database",
        code="wrong-database",
        facts=[why, "without it the database is a file in the folder --state"],
        hint="TINYCLOUD_DATABASE=postgresql://USER@HOST/NAME",
    )


def load_psycopg() -> Any:
    """The library that speaks to PostgreSQL (0.1 s of import). Raises Missing when it is not there."""
    try:
        import psycopg
        import psycopg.conninfo
    except ImportError as err:
        raise Missing(
            "the library that speaks to PostgreSQL is not installed", code="no-psycopg", hint="pip install 'tinycloud[postgresql]'"
        ) from err
    return psycopg


def make_unreachable(server: Server, err: BaseException) -> Missing:
    """Why there is no connection, and what can be typed about it. libpq's words name host, user and database, no password."""
    facts = [line.strip() for line in str(err).splitlines() if line.strip()][:4]
    said = " ".join(facts)
    if re.search(r'database ".*" does not exist', said):
        name = server.name or "tinycloud"
        user = urlsplit(server.url).username or "tinycloud"
        hint = f"on the server: sudo -u postgres createdb --owner {user} {name}"
        return Missing(f"there is no database {server.label}", code="no-database", facts=facts, hint=hint)
    if any(words in said for words in _DENIED) or re.search(r'role ".*" does not exist', said):
        hint = "a password stands in the file that PGPASSFILE names (~/.pgpass, mode 0600: HOST:PORT:NAME:USER:PASSWORD)"
        return Missing(f"the database does not let us in: {server.label}", code="no-database-right", facts=facts, hint=hint)
    hint = f"pg_isready -d '{server.label}'; TINYCLOUD_DATABASE says which database it is"
    return Missing(f"the database does not answer: {server.label}", code="database-unreachable", facts=facts, hint=hint)


def make_no_right(server: Server, err: BaseException | None) -> Missing:
    """The server let us in, and lets us do nothing."""
    hint = f"on the server: sudo -u postgres psql -c 'ALTER DATABASE \"{server.name or 'tinycloud'}\" OWNER TO USER'"
    facts = [line.strip() for line in str(err).splitlines() if line.strip()][:2]
    return Missing(f"the rights in {server.label} do not suffice", code="no-database-right", facts=facts, hint=hint)


def make_lost(address: Address, *facts: str) -> Lost:
    lines = [line.strip() for fact in facts for line in fact.splitlines() if line.strip()][:3]
    back = f"pg_isready -d '{address}', then again" if isinstance(address, Server) else "make it writable, then again"
    return Lost(f"the database cannot be used any more: {address}", code="database-lost", facts=lines, hint=back)
