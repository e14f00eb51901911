"""The store: stacks, executions and their journal, events. Safe for the threads of one process and for several processes."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tinycloud.errors import Lost
from tinycloud.store.database import open_database, translated
from tinycloud.store.peek import HOST_COLUMNS, LOAD_COLUMNS, make_host_entry, make_host_row
from tinycloud.store.tables import events, executions, hosts, leases, loads, stacks, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Row

    from tinycloud.model.host import HostEntry
    from tinycloud.model.load import Average
    from tinycloud.store.leases import Leases
    from tinycloud.store.server import Address


@dataclass(frozen=True, slots=True)
class StackRecord:
    """A stack as somebody asked for it."""

    name: str
    file: str
    text: str
    given: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    updated: float = 0.0

    def __repr__(self) -> str:
        return f"StackRecord({self.name!r})"


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    id: str
    stack: str
    kind: str
    state: str
    started: float
    ended: float | None
    who: str
    steps: int
    options: dict[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A line of the journal. ``state``: intent (perhaps done), done, failed (perhaps in part), undone."""

    number: int
    step: str
    kind: str
    host: str
    subject: str
    args: dict[str, Any]
    before: dict[str, Any]
    state: str
    started: float
    ended: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class EventRecord:
    time: float
    stack: str
    machine: str
    kind: str
    text: str


class Store:
    """One database: a file, or a server's. One that goes away in the middle raises Lost.

    On a server what is asked of a stack, its executions and their journal are written only by who holds the stack's lease: the
    transaction that writes sees to it. Whoever holds it no more gets Lost.
    """

    def __init__(self, address: Address, leases: Leases | None = None) -> None:
        self._address = address
        self._leases = leases
        self._stacks: dict[str, str] = {}  # execution → its stack
        self._engine = open_database(address)
        is_file = self._engine.dialect.name == "sqlite"
        self._upsert = sqlite.insert if is_file else postgresql.insert
        # SQLite has one writer; queueing here is cheaper than its busy loop
        self._lock: AbstractContextManager[object] = threading.Lock() if is_file else nullcontext()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(self._address), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self, stack: str = "", execution: str = "") -> Iterator[Connection]:
        """A transaction; about a stack or an execution, one in which nobody can take the stack from us."""
        with self._lock, translated(self._address), self._engine.begin() as connection:
            if self._leases is not None and (stack or execution):
                self._hold(connection, self._leases, stack or self._find_stack_of(connection, execution))
            yield connection

    def _find_stack_of(self, connection: Connection, execution: str) -> str:
        if execution not in self._stacks:
            query = select(executions.c.stack).where(executions.c.id == execution)
            self._stacks[execution] = connection.execute(query).scalar() or ""
        return self._stacks[execution]

    def _hold(self, connection: Connection, held: Leases, stack: str) -> None:
        """Whoever wants to take the lease waits until this transaction has ended: the row cannot be deleted before."""
        lease = held.find(stack)
        if lease is None:
            raise Lost(f"{stack or 'an execution'} is changed by a process that does not hold it", code="lease-lost")
        query = select(leases.c.number).where(leases.c.name == stack, leases.c.number == lease.number)
        if lease.lost or connection.execute(query.with_for_update(read=True, key_share=True)).first() is None:
            lease.lost = True
            raise held.make_lost(lease)

    # stacks

    def save_stack(self, record: StackRecord) -> None:
        values = {
            "name": record.name,
            "file": record.file,
            "text": record.text,
            "given": json.dumps(record.given),
            "secrets": json.dumps(record.secrets),
            "outputs": json.dumps(record.outputs),
            "updated": record.updated,
        }
        with self._writing(record.name) as connection:
            connection.execute(self._upsert(stacks).values(values).on_conflict_do_update(index_elements=["name"], set_=values))

    def find_stack(self, name: str) -> StackRecord | None:
        with self._reading() as connection:
            row = connection.execute(select(stacks).where(stacks.c.name == name)).first()
        return _stack(row) if row else None

    def list_stacks(self) -> list[StackRecord]:
        with self._reading() as connection:
            return [_stack(row) for row in connection.execute(select(stacks).order_by(stacks.c.name))]

    def forget_stack(self, name: str) -> None:
        with self._writing(name) as connection:
            connection.execute(stacks.delete().where(stacks.c.name == name))

    # executions

    def begin(self, record: ExecutionRecord) -> None:
        values = {key: getattr(record, key) for key in ("id", "stack", "kind", "state", "started", "ended", "who", "steps", "error")}
        with self._writing(record.stack) as connection:
            connection.execute(insert(executions).values(**values, options=json.dumps(record.options)))

    def has_execution(self, id: str) -> bool:
        with self._reading() as connection:
            return connection.execute(select(executions.c.id).where(executions.c.id == id)).first() is not None

    def set_execution(self, id: str, **values: Any) -> None:
        """Change columns of an execution: state, ended, error, who, steps."""
        with self._writing(execution=id) as connection:
            connection.execute(update(executions).where(executions.c.id == id).values(**values))

    def find_unfinished(self, stack: str) -> ExecutionRecord | None:
        """The execution of a stack that was begun and neither ended nor undone."""
        query = select(executions).where(executions.c.stack == stack, executions.c.state.in_(("running", "failed")))
        with self._reading() as connection:
            row = connection.execute(query.order_by(executions.c.started.desc())).first()
        return _execution(row) if row else None

    def list_executions(self, stack: str = "", limit: int = 50) -> list[ExecutionRecord]:
        """Newest first; of all stacks without a name."""
        query = select(executions).order_by(executions.c.started.desc()).limit(limit)
        if stack:
            query = query.where(executions.c.stack == stack)
        with self._reading() as connection:
            return [_execution(row) for row in connection.execute(query)]

    # the journal

    def last_number(self, execution: str) -> int:
        """The number of the newest line of an execution's journal; 0 for none."""
        query = select(func.max(steps.c.number)).where(steps.c.execution == execution)
        with self._reading() as connection:
            return connection.execute(query).scalar() or 0

    def write_intents(self, execution: str, records: Sequence[StepRecord]) -> None:
        """All or none of them."""
        keys = ("number", "step", "kind", "host", "subject", "state", "started")
        rows = [
            {key: getattr(record, key) for key in keys}
            | {"execution": execution, "args": json.dumps(record.args), "before": json.dumps(record.before)}
            for record in records
        ]
        with self._writing(execution=execution) as connection:
            connection.execute(insert(steps), rows)

    def write_outcomes(self, execution: str, numbers: Sequence[int], state: str, ended: float, error: str = "") -> None:
        query = update(steps).where(steps.c.execution == execution, steps.c.number.in_(numbers))
        with self._writing(execution=execution) as connection:
            connection.execute(query.values(state=state, ended=ended, error=error))

    def list_steps(self, execution: str) -> list[StepRecord]:
        """The journal of an execution, oldest line first."""
        query = select(steps).where(steps.c.execution == execution).order_by(steps.c.number)
        with self._reading() as connection:
            return [_step(row) for row in connection.execute(query)]

    # events

    def add_event(self, record: EventRecord) -> None:
        """Also by who holds nothing: what was seen was seen."""
        with self._writing() as connection:
            connection.execute(
                insert(events).values(time=record.time, stack=record.stack, machine=record.machine, kind=record.kind, text=record.text)
            )

    def list_events(self, stack: str, machine: str = "", limit: int = 20) -> list[EventRecord]:
        """Newest first."""
        query = select(events).where(events.c.stack == stack).order_by(events.c.id.desc()).limit(limit)
        if machine:
            query = query.where(events.c.machine == machine)
        with self._reading() as connection:
            return [EventRecord(row.time, row.stack, row.machine, row.kind, row.text) for row in connection.execute(query)]

    # hosts

    def list_hosts(self) -> list[HostEntry]:
        """By name; none for a cloud that nobody added a host to."""
        query = select(*(hosts.c[name] for name in HOST_COLUMNS)).order_by(hosts.c.name)
        with self._reading() as connection:
            return [make_host_entry(row) for row in connection.execute(query)]

    def save_hosts(self, *entries: HostEntry) -> None:
        """All of them, or none."""
        with self._writing() as connection:
            for entry in entries:
                values = dict(zip(HOST_COLUMNS, make_host_row(entry), strict=True))
                connection.execute(self._upsert(hosts).values(values).on_conflict_do_update(index_elements=["name"], set_=values))

    def forget_host(self, name: str) -> None:
        with self._writing() as connection:
            connection.execute(hosts.delete().where(hosts.c.name == name))

    # load

    def save_averages(self, averages: Iterable[Average], *, forget: float) -> None:
        """Note what was used lately; what was measured last before ``forget`` goes. Of two who write, the one that is later counts."""
        rows = [asdict(it) for it in sorted(averages, key=lambda it: it.name)]  # in one order, so that two who write wait for each other
        query = self._upsert(loads)
        query = query.on_conflict_do_update(index_elements=["name"], set_={name: query.excluded[name] for name in LOAD_COLUMNS})
        with self._writing() as connection:
            if rows:
                connection.execute(query, rows)
            connection.execute(loads.delete().where(loads.c.seen < forget))


def _stack(row: Row[Any]) -> StackRecord:
    return StackRecord(row.name, row.file, row.text, json.loads(row.given), json.loads(row.secrets), json.loads(row.outputs), row.updated)


def _execution(row: Row[Any]) -> ExecutionRecord:
    return ExecutionRecord(
        row.id, row.stack, row.kind, row.state, row.started, row.ended, row.who, row.steps, json.loads(row.options), row.error
    )


def _step(row: Row[Any]) -> StepRecord:
    return StepRecord(
        number=row.number,
        step=row.step,
        kind=row.kind,
        host=row.host,
        subject=row.subject,
        args=json.loads(row.args),
        before=json.loads(row.before),
        state=row.state,
        started=row.started,
        ended=row.ended,
        error=row.error,
    )
