"""The engine, the unit of work, and the two tables that make messages count exactly once.

Outbox: a fact is written in the transaction that makes it true; the relay publishes it.
Inbox: a consumer remembers the ids of the facts it has taken, in the transaction of their effect.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any

import uuid6
from pydantic_core import from_json, to_json
from sqlalchemy import (
    BigInteger,
    Column,
    CursorResult,
    DateTime,
    Executable,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    TextClause,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sluice_contracts.envelope import wrap
from sluice_contracts.facts import Fact
from sluice_contracts.tasks import Priority, Task
from sluice_contracts.topology import EVENTS
from sluice_runtime.errors import SluiceError, Unavailable
from sluice_runtime.trace import current_trace

_POOL_SIZE = 12
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_POOL_WAIT_SECONDS = 5.0
_CONNECT_TIMEOUT_SECONDS = 3
_STATEMENT_TIMEOUT_MS = 10_000
_FORGET_AT_ONCE = 10_000


def outbox_table(metadata: MetaData) -> Table:
    """Facts that are true and not yet published; `position` is the order of publishing."""
    return Table(
        "outbox",
        metadata,
        Column("position", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Text, nullable=False, unique=True),
        Column("aggregate_id", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("payload", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


def inbox_table(metadata: MetaData) -> Table:
    """Ids of facts that took effect. Rows outlive the stream, which may replay all it holds."""
    return Table(
        "inbox",
        metadata,
        Column("event_id", Text, primary_key=True),
        Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index("ix_inbox_seen_at", "seen_at", postgresql_using="brin"),
    )


def make_engine(url: str) -> AsyncEngine:
    """An engine on psycopg; a database that hangs is given up after seconds, not minutes."""
    options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c lock_timeout=5000"
    # A prepared statement keeps the plan it got while its table was small, until that is analysed:
    # see docs/adr/0015-no-plan-reads-a-table-whole.md.
    options += " -c enable_seqscan=off"
    return create_async_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_pre_ping=False,
        pool_use_lifo=True,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_SECONDS, "options": options},
        hide_parameters=True,
        json_deserializer=from_json,
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction; leaving the block without `commit()` undoes everything.

    Raises:
        Unavailable: the database is away, or too busy to answer. A commit whose confirmation
            was lost may have happened: what is repeated must be idempotent.
    """
    try:
        async with engine.connect() as connection:
            yield connection
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise Unavailable("The database is not reachable.", code="database-unavailable") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "The database connection was lost.", code="database-unavailable"
            ) from error
        raise


class Session:
    """One transaction that saves up its writes.

    They go out together in a single statement, before the next query and before the commit: a
    round trip to the database costs more than what it carries.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._writes: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._has_only_read = True

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Run a query; it sees everything written before. A text that only reads says so with
        `.columns()`."""
        await self.flush()
        self._has_only_read &= statement.is_select
        return await self._connection.execute(statement, parameters)

    async def write(self, table: str, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run `sql`, which changes `table` alone, before the next query or the commit.

        Statements that go out together do not see one another, so a second one for the same
        table waits for the first.
        """
        if table in self._writes:
            await self.flush()
        self._writes[table] = (sql, parameters)

    async def flush(self) -> None:
        """Send what was saved up."""
        if not self._writes:
            return
        writes, self._writes = list(self._writes.values()), {}
        statement = _together(tuple(sql for sql, _ in writes))
        parameters = {
            f"w{n}_{name}": value
            for n, (_, given) in enumerate(writes)
            for name, value in given.items()
        }
        self._has_only_read = False
        await self._connection.execute(statement, parameters)

    async def commit(self) -> None:
        """Make it all happen."""
        await self.flush()
        await self._connection.commit()
        self._has_only_read = True

    async def end(self) -> None:
        """End a transaction that wrote nothing with a commit as well: with each rollback, psycopg
        forgets every statement it has prepared on the connection."""
        if self._has_only_read and self._connection.in_transaction():
            await self._connection.commit()


@asynccontextmanager
async def open_session(engine: AsyncEngine) -> AsyncIterator[Session]:
    """One transaction; leaving the block without `commit()` undoes what was written.

    Raises `Unavailable`, as `transaction`.
    """
    async with transaction(engine) as connection:
        session = Session(connection)
        try:
            yield session
        except SluiceError:
            # A refusal: as ordinary as an answer.
            await session.end()
            raise
        await session.end()


@cache
def _together(statements: tuple[str, ...]) -> TextClause:
    """Several writes as one statement; each keeps its parameters apart by its number."""
    *first, last = [
        re.sub(r"(?<!:):(\w+)", rf":w{n}_\1", statement) for n, statement in enumerate(statements)
    ]
    parts = ", ".join(f"part{n} as ({statement})" for n, statement in enumerate(first))
    return text(f"with {parts} {last}" if parts else last)


async def insert_many(
    session: Session,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    skip_known: bool = False,
) -> None:
    """Insert rows of one shape in a single statement, however many they are."""
    if not rows:
        return
    statement = _insert_statement(table, tuple(rows[0]), skip_known)
    await session.write(table.name, statement, {"rows": as_document(rows)})


def as_document(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as one parameter, for `json_to_recordset`: whatever their number, it is one prepared
    statement, and writing it takes a third of the time that an array for each column takes."""
    return to_json(rows, inf_nan_mode="strings").decode()


@cache
def _insert_statement(table: Table, names: tuple[str, ...], skip_known: bool) -> str:
    columns = ", ".join(names)
    typed = ", ".join(f"{name} {table.c[name].type.compile(_DIALECT)}" for name in names)
    return (
        f"insert into {table.name} ({columns}) select {columns} "  # noqa: S608 - names
        f"from json_to_recordset(cast(:rows as json)) as given({typed})"
        + (" on conflict do nothing" if skip_known else "")
    )


class Outbox:
    """Writes facts and tasks beside the change they follow from, all at once, with `flush`."""

    def __init__(self, session: Session, table: Table, service: str) -> None:
        self._session = session
        self._table = table
        self._service = service
        self._rows: list[dict[str, Any]] = []

    def add(self, *facts: Fact, at: datetime) -> None:
        """Announce `facts` once this transaction commits, in this order."""
        trace = current_trace()
        for fact in facts:
            event = wrap(
                fact,
                event_id=str(uuid6.uuid7()),
                source=self._service,
                at=at,
                correlation_id=trace.correlation_id,
                causation_id=trace.causation_id,
                traceparent=trace.traceparent,
            )
            self._rows.append(
                {
                    "event_id": event.envelope.id,
                    "aggregate_id": fact.aggregate_id(),
                    "subject": fact.subject(),
                    "headers": event.envelope.headers(),
                    "payload": fact.model_dump_json(),
                }
            )

    def add_task(self, task: Task, *, tenant: str, priority: Priority = "normal") -> None:
        """Have `task` done once this transaction commits; who reports on it names the `tenant`."""
        event_id = str(uuid6.uuid7())
        headers = {
            "content-type": "application/json",
            "Nats-Msg-Id": event_id,
            "task_type": task.KIND,
            "priority": priority,
            "tenant": tenant,
            **current_trace().headers(),
        }
        self._rows.append(
            {
                "event_id": event_id,
                "aggregate_id": task.aggregate_id(),
                "subject": task.subject(priority),
                "headers": headers,
                "payload": task.model_dump_json(),
            }
        )

    async def flush(self) -> None:
        """Write what was added; the last thing before the commit."""
        await insert_many(self._session, self._table, self._rows)
        self._rows = []


class Inbox:
    """Remembers which facts took effect."""

    def __init__(self, session: Session, table: Table) -> None:
        self._session = session
        self._table = table

    async def new_of(self, event_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are new; each is so exactly once.

        The ids are taken in order, so that two transactions with the same ids wait for each
        other instead of dying in a deadlock.
        """
        statement = text(
            f"insert into {self._table.name} (event_id) "
            "select unnest(cast(:ids as text[])) on conflict do nothing returning event_id"
        )
        ids = {"ids": sorted(set(event_ids))}
        return set((await self._session.execute(statement, ids)).scalars())

    async def forget(self) -> bool:
        """Drop some of the ids older than anything the stream can still deliver.

        Says whether there may be more: one statement must not run into its time limit.
        """
        age = EVENTS.max_age * 2
        old = select(self._table.c.event_id).where(self._table.c.seen_at < func.now() - age)
        chunk = old.limit(_FORGET_AT_ONCE).scalar_subquery()
        statement = delete(self._table).where(self._table.c.event_id.in_(chunk))
        return (await self._session.execute(statement)).rowcount == _FORGET_AT_ONCE


async def is_reachable(engine: AsyncEngine) -> bool:
    """Whether the database answers right now."""
    try:
        async with open_session(engine) as session:
            await session.execute(select(1))
    except Unavailable:
        return False
    return True
