"""The engine, the unit of work, and the two tables that make messages count exactly once.

Outbox: a fact is written in the transaction that makes it true; the relay publishes it.
Inbox: a consumer remembers the ids of the facts it has taken, in the transaction of their effect.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import uuid6
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    delete,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sluice_contracts.envelope import wrap
from sluice_contracts.facts import Fact
from sluice_contracts.topology import EVENTS
from sluice_runtime.errors import Unavailable
from sluice_runtime.trace import current_trace

_POOL_SIZE = 12
_POOL_WAIT_SECONDS = 5.0
_CONNECT_TIMEOUT_SECONDS = 3
_STATEMENT_TIMEOUT_MS = 10_000


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
    return create_async_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_pre_ping=False,
        pool_use_lifo=True,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_SECONDS, "options": options},
        hide_parameters=True,
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


class Outbox:
    """Writes facts beside the change they announce."""

    def __init__(self, connection: AsyncConnection, table: Table, service: str) -> None:
        self._connection = connection
        self._table = table
        self._service = service

    async def add(self, *facts: Fact, at: datetime, event_id: str | None = None) -> None:
        """Announce `facts` once this transaction commits, in this order."""
        if not facts:
            return
        trace = current_trace()
        rows: list[dict[str, Any]] = []
        for fact in facts:
            event = wrap(
                fact,
                event_id=event_id or str(uuid6.uuid7()),
                source=self._service,
                at=at,
                correlation_id=trace.correlation_id,
                causation_id=trace.causation_id,
                traceparent=trace.traceparent,
            )
            rows.append(
                {
                    "event_id": event.envelope.id,
                    "aggregate_id": fact.aggregate_id(),
                    "subject": fact.subject(),
                    "headers": event.envelope.headers(),
                    "payload": fact.model_dump_json(),
                }
            )
        await self._connection.execute(self._table.insert(), rows)


class Inbox:
    """Remembers which facts took effect."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        self._connection = connection
        self._table = table

    async def is_new(self, event_id: str) -> bool:
        """True exactly once for each id whose transaction commits."""
        statement = (
            insert(self._table)
            .values(event_id=event_id)
            .on_conflict_do_nothing()
            .returning(self._table.c.event_id)
        )
        return (await self._connection.execute(statement)).scalar() is not None

    async def forget(self) -> int:
        """Drop ids older than anything the stream can still deliver; returns how many."""
        age = EVENTS.max_age * 2
        statement = delete(self._table).where(self._table.c.seen_at < func.now() - age)
        return (await self._connection.execute(statement)).rowcount


async def is_reachable(engine: AsyncEngine) -> bool:
    """Whether the database answers right now."""
    try:
        async with transaction(engine) as connection:
            await connection.execute(text("select 1"))
    except Unavailable:
        return False
    return True
