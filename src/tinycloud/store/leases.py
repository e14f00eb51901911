"""Locks of several controllers: rows on their server, each with a lease and a number that only grows.

Who holds one renews it in time. A holder that was paused for longer may find that another has it: its number is gone then, and
with it the right to write. Times are the server's; of this machine only the time that passed is asked, that of its sleep included.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tinycloud.errors import Lost, Missing, TinycloudError
from tinycloud.store.process import is_dead, name_process
from tinycloud.store.server import load_psycopg, make_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinycloud.store.server import Server

T = TypeVar("T")

LEASE_SECONDS: Final = 30.0

SHARED: Final = " shared"
"""Behind the name of a lock, where a host is told of one that several hold: as ``drivers/onhost/fence.py`` has it."""

_STALE: Final = 0.7
"""After this part of its time a lease that could not be renewed is asked for before anything else is done under it."""

_NOW: Final = "extract(epoch FROM clock_timestamp())"

_RAISE: Final = f"""
    INSERT INTO fences AS f (name, number) VALUES (%s, ({_NOW} * 1000000)::bigint)
    ON CONFLICT (name) DO UPDATE SET number = greatest(f.number + 1, excluded.number) RETURNING number
"""
"""The next number of a lock; others who want it wait until the transaction ends.

It is the time in microseconds, or one more than the last: so numbers grow also over a database that was made anew.
"""

_LIST: Final = f"SELECT name, number, shared, holder, process, since, expires - {_NOW}::float FROM leases"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, for people. ``left``: seconds until the lease runs out, unless it is renewed."""

    name: str
    number: int
    shared: bool
    who: str
    process: str
    since: float
    left: float

    def __str__(self) -> str:
        return f"{self.who}, since {time.strftime('%H:%M:%S', time.localtime(self.since))}"


@dataclass(slots=True)
class Lease:
    """A lock that we hold, or held. ``confirmed``: when the server was last asked and said yes, by :func:`read_clock`."""

    name: str
    number: int
    shared: bool
    label: str
    confirmed: float
    lost: bool = False


def read_clock() -> float:
    """Seconds that go on while the machine sleeps, and while this process is stopped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leases:
    """The locks of one cloud on its server. Safe for threads; opened on first use.

    ``on_first`` is called before the first lock is taken. What is lost counts for the whole object: until whoever held it lets go,
    nothing is done under any lease of it.
    """

    def __init__(self, server: Server, seconds: float = LEASE_SECONDS, on_first: Callable[[], None] = lambda: None) -> None:
        self.server = server
        self.seconds = seconds
        self._on_first: Callable[[], None] | None = on_first
        self._process = f"{name_process()}/{secrets.token_hex(4)}"
        self._held: tuple[Lease, ...] = ()
        self._lock = threading.RLock()
        self._connection: Any = None
        self._told: dict[str, tuple[dict[str, int], float]] = {}
        self._tellers: dict[str, threading.Lock] = {}

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # taking and giving back

    def take(self, name: str, who: str, *, shared: bool = False, label: str = "") -> Lease | Holder:
        """The lock, or who holds it. Of shared holders, the one that came last."""
        with self._lock:
            if self._on_first is not None:
                self._on_first()
                self._on_first = None
            asked = read_clock()
            taken = self._call(lambda connection: self._take(connection, name, who, shared=shared))
            if isinstance(taken, Holder):
                return taken
            lease = Lease(name, taken, shared, label or name, asked)
            self._held = (*self._held, lease)
            return lease

    def _take(self, connection: Any, name: str, who: str, *, shared: bool) -> int | Holder:
        others = self._find_others(connection, name, shared=shared)
        if others:  # asked beforehand, for whoever waits asks often
            return others[-1]
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '3s'")  # a holder that was paused in the middle of a write
                number = int(connection.execute(_RAISE, [name]).fetchone()[0])
                others = self._find_others(connection, name, shared=shared)
                if others:
                    return others[-1]
                gone = [it.number for it in self._list(connection, name) if self._is_over(it)]
                connection.execute("DELETE FROM leases WHERE name = %s AND number = ANY(%s)", [name, gone])
                connection.execute(
                    f"INSERT INTO leases VALUES (%s, %s, %s, %s, %s, {_NOW}, {_NOW} + %s)",
                    [name, number, shared, who, self._process, self.seconds],
                )
                return number
        except load_psycopg().errors.LockNotAvailable:
            return Holder(name, 0, shared, "somebody who is in the middle of it", "", time.time(), 0.0)

    def _find_others(self, connection: Any, name: str, *, shared: bool) -> list[Holder]:
        """Those who keep us from a lock."""
        return [it for it in self._list(connection, name) if not (shared and it.shared) and not self._is_over(it)]

    def _is_over(self, holder: Holder) -> bool:
        """Its time is over; or it is a process of this machine that is dead; or our own, of which we never heard that we had it."""
        if holder.process == self._process:
            return all((holder.name, holder.number) != (lease.name, lease.number) for lease in self._held)
        return holder.left <= 0 or is_dead(holder.process)

    def release(self, lease: Lease) -> None:
        """Give a lock back. A server that does not answer lets it run out by itself."""
        with self._lock:
            self._held = tuple(it for it in self._held if it is not lease)
            with suppress(TinycloudError):
                self._call(lambda it: it.execute("DELETE FROM leases WHERE name = %s AND number = %s", [lease.name, lease.number]))

    # keeping

    def renew(self, leases: Iterable[Lease]) -> None:
        """Ask for as much time again. What another has by now is marked as lost. Raises Lost when the server does not answer."""
        wanted = [lease for lease in leases if not lease.lost]
        query = f"UPDATE leases SET expires = {_NOW} + %s WHERE process = %s AND number = ANY(%s) RETURNING name, number"
        with self._lock:
            asked = read_clock()
            values = [self.seconds, self._process, [lease.number for lease in wanted]]
            found = set(self._call(lambda connection: connection.execute(query, values).fetchall()))
        for lease in wanted:
            if (lease.name, lease.number) in found:
                lease.confirmed = asked
            else:
                lease.lost = True

    def check(self) -> None:
        """Raise Lost when anything that we hold is not ours any more. Asks the server when that is not sure.

        What it says is true now, not when it began: a pause in the middle of it is seen as well.
        """
        while stale := [lease for lease in self._held if not lease.lost and self._is_stale(lease)]:
            self.renew(stale)
        for lease in self._held:
            if lease.lost:
                raise self.make_lost(lease)

    def _is_stale(self, lease: Lease) -> bool:
        return read_clock() - lease.confirmed > self.seconds * _STALE

    def find(self, name: str) -> Lease | None:
        """A lock that we hold."""
        return next((lease for lease in self._held if lease.name == name), None)

    @property
    def numbers(self) -> dict[str, int]:
        """The locks that we hold alone, with their numbers."""
        return {lease.name: lease.number for lease in self._held if not lease.shared}

    @property
    def _told_numbers(self) -> dict[str, int]:
        """What hosts are told: also locks that we share with others, under another name. Of two of one name the older is lost first."""
        out: dict[str, int] = {}
        for lease in self._held:
            name = lease.name + (SHARED if lease.shared else "")
            out[name] = min(out.get(name, lease.number), lease.number)
        return out

    def tell(self, host: str, admit: Callable[[dict[str, int]], Iterable[str]]) -> None:
        """Have a host know the numbers of what we hold. Raises Lost when it knows higher ones; :meth:`check` is to be asked after it.

        It is told again after a time that is too short to lose a lease in. Of several threads one tells, and the others wait for it.
        """
        if not self._held or self._was_told(host):
            return
        with self._tellers.setdefault(host, threading.Lock()):
            if not self._was_told(host):
                numbers, at = self._told_numbers, read_clock()
                if over := set(admit(numbers)):
                    self._lose({name.removesuffix(SHARED) for name in over})
                    self.check()
                self._told[host] = (numbers, at)

    def _lose(self, names: Iterable[str]) -> None:
        for lease in self._held:
            lease.lost = lease.lost or lease.name in names

    def _was_told(self, host: str) -> bool:
        known, at = self._told.get(host, ({}, 0.0))
        return self._told_numbers.items() <= known.items() and read_clock() - at < self.seconds / 6

    def make_lost(self, lease: Lease) -> Lost:
        """The error for a lock that another took, naming who has it now."""
        holder = None
        with suppress(TinycloudError):
            holder = next((it for it in self.list_all() if it.name == lease.name), None)
        facts = [f"{holder} has it now" if holder else "nobody has it now", "nothing was written or changed since then, and nothing undone"]
        hint = "" if lease.name.startswith(".") else f"tinycloud history {lease.name}"
        return Lost(f"{lease.label} was taken over while this process did not get on", code="lease-lost", facts=facts, hint=hint)

    # asking

    def list_all(self) -> list[Holder]:
        """Every lock that is held, by whomever."""
        with self._lock:
            return [it for it in self._call(lambda connection: self._list(connection, "")) if it.left > 0]

    def agree(self, name: str, value: str) -> str:
        """What all controllers agree on: ``value`` when nobody said anything before; an empty one only asks."""
        with self._lock:
            return self._call(lambda connection: _agree(connection, name, value))

    def _list(self, connection: Any, name: str) -> list[Holder]:
        found = connection.execute(f"{_LIST} WHERE name = %s OR %s = '' ORDER BY since, number", [name, name])
        return [Holder(*row) for row in found.fetchall()]

    def _call(self, work: Callable[[Any], T]) -> T:
        """``work`` on our connection: once more on a new one when the old one is broken, and when the tables are not made yet."""
        psycopg = load_psycopg()
        for is_last in (False, True):
            try:
                return work(self._connection or self._open())
            except psycopg.errors.UndefinedTable:
                self._make_tables()
            except (psycopg.OperationalError, psycopg.InterfaceError) as err:
                self.close()
                if is_last:
                    raise make_lost(self.server, str(err)) from err
        raise make_lost(self.server, "its tables went away")

    def _open(self) -> Any:
        try:
            self._connection = self.server.connect()
        except Missing as err:
            if not self._held:
                raise
            raise make_lost(self.server, *err.facts) from err
        self._connection.autocommit = True
        return self._connection

    def _make_tables(self) -> None:
        from tinycloud.store.database import open_database  # 0.2 s of import

        open_database(self.server).dispose()


def _agree(connection: Any, name: str, value: str) -> str:
    if value:
        connection.execute("INSERT INTO settings VALUES (%s, %s) ON CONFLICT (name) DO NOTHING", [name, value])
    row = connection.execute("SELECT value FROM settings WHERE name = %s", [name]).fetchone()
    return str(row[0]) if row else ""
