"""The engine, and the two tables that make messages count exactly once.

Outbox: a fact is written in the transaction that makes it true; the relay publishes it.
Inbox: a consumer remembers the ids of the facts it has taken, in the transaction of their effect.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import uuid6
from pydantic_core import from_json, to_json
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
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
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sluice_contracts.envelope import wrap
from sluice_contracts.facts import Fact
from sluice_contracts.tasks import Priority, Task
from sluice_contracts.topology import EVENTS
from sluice_runtime.errors import Unavailable
from sluice_runtime.session import Session, open_session
from sluice_runtime.trace import current_trace

_POOL_SIZE = 12
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_POOL_WAIT_SECONDS = 5.0
# Settings of the session: limits in milliseconds, keepalives in seconds. A host that is gone closes
# nothing: the server is to find out, because what a dead session has locked others wait for.
_SESSION = {
    "statement_timeout": 10_000,
    "lock_timeout": 5_000,
    "idle_in_transaction_session_timeout": 30_000,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    # A prepared statement keeps the plan it got while its table was small, until that is analysed:
    # see docs/adr/0015-no-plan-reads-a-table-whole.md.
    "enable_seqscan": "off",
}
# The same from this end, where no limit of a server that is gone can help.
_CONNECTION = {
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
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
    """An engine on psycopg; a database that hangs, or whose host is gone, is given up after
    seconds, not minutes."""
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    return create_async_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_pre_ping=False,
        pool_use_lifo=True,
        connect_args={**_CONNECTION, "options": options},
        hide_parameters=True,
        json_deserializer=from_json,
    )


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
        """Write what was added; also the last thing before the commit."""
        await insert_many(self._session, self._table, self._rows)
        self._rows = []


@cache
def _take_statement(table: Table) -> TextClause:
    return text(
        f"insert into {table.name} (event_id) "
        "select unnest(cast(:ids as text[])) on conflict do nothing returning event_id"
    )


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
        ids = {"ids": sorted(set(event_ids))}
        rows = await self._session.ask(_take_statement(self._table), ids)
        return {row.event_id for row in rows}

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
