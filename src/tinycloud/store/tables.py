"""The tables. Times are seconds since 1970, UTC; JSON is text."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={"ix": "ix_%(column_0_N_label)s", "fk": "fk_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"}
)

stacks = Table(
    "stacks",
    metadata,
    Column("name", String(31), primary_key=True),
    Column("file", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("given", Text, nullable=False, doc="inputs as they were given, JSON"),
    Column("secrets", Text, nullable=False, doc="generated secrets, JSON"),
    Column("outputs", Text, nullable=False, doc="as of the last up, JSON; secrets by name"),
    Column("updated", Float, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("stack", String(31), nullable=False),
    Column("kind", String(16), nullable=False, doc="up, down"),
    Column("state", String(16), nullable=False, doc="running, done, undone, failed"),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("who", Text, nullable=False, doc="user and process, for people"),
    Column("steps", Integer, nullable=False, doc="how many there were to do"),
    Column("options", Text, nullable=False, doc="what was allowed, JSON"),
    Column("error", Text, nullable=False, server_default=""),
    Index("ix_executions_stack", "stack", "started"),
)

steps = Table(
    "steps",
    metadata,
    Column("execution", String(8), ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("step", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("host", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("args", Text, nullable=False),
    Column("before", Text, nullable=False, doc="what was there, JSON: all that undo needs"),
    Column("state", String(16), nullable=False, doc="intent, done, failed, undone"),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("error", Text, nullable=False, server_default=""),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", Float, nullable=False),
    Column("stack", String(31), nullable=False),
    Column("machine", String(63), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_events_stack", "stack", "id"),
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("target", Text, nullable=False, doc="where ssh goes; empty: this machine"),
    Column("uri", Text, nullable=False, doc="libvirt's, where it does not follow from the target"),
    Column("address", Text, nullable=False, doc="what other hosts reach it by"),
    Column("labels", Text, nullable=False, doc="JSON"),
    Column("drained", Float, nullable=False, doc="since when; 0: it takes machines"),
    Column("memory_ratio", Float, nullable=False),
    Column("cpu_ratio", Float, nullable=False),
    Column("fence", Text, nullable=False, doc="words of a command, JSON"),
    Column("fenced", Float, nullable=False, doc="since when it is known to be off; 0: it is not"),
)

fences = Table(
    "fences",
    metadata,
    Column("name", Text, primary_key=True, doc="a lock"),
    Column("number", BigInteger, nullable=False, doc="the highest that a lease on it ever had"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True, doc="a lock; on a server only: beside a file, locks are files"),
    Column("number", BigInteger, primary_key=True, autoincrement=False, doc="of two leases on a lock the later has the higher one"),
    Column("shared", Boolean, nullable=False),
    Column("holder", Text, nullable=False, doc="for people"),
    Column("process", Text, nullable=False, doc="which process that is, for others on its machine"),
    Column("since", Float, nullable=False),
    Column("expires", Float, nullable=False, doc="by the server's clock"),
)

loads = Table(
    "loads",
    metadata,
    Column("name", Text, primary_key=True, doc="a machine, STACK/MACHINE, or a host"),
    Column("cpu", Float, nullable=False, doc="averages that forget slowly: processors in use"),
    Column("steal", Float, nullable=False),
    Column("memory", Float, nullable=False),
    Column("disk", Float, nullable=False),
    Column("net", Float, nullable=False),
    Column("weight", Float, nullable=False, doc="how much of the time that is remembered was seen"),
    Column("since", Float, nullable=False),
    Column("seen", Float, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(31), primary_key=True),
    Column("value", Text, nullable=False, doc="what all controllers of a cloud must agree on"),
)
