"""The log and its cursor in Postgres."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    any_,
    bindparam,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import LogEntries, LogEntry
from sluice_notifier.domain import Cursor, Entry
from sluice_runtime.database import insert_many
from sluice_runtime.session import Session, open_session

metadata = MetaData()
Moment = DateTime(timezone=True)

events = Table(
    "events",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("batch_id", Text),
    Column("time", Moment, nullable=False),
    Column("correlation_id", Text),
    Column("data", JSONB, nullable=False),
    Index("ix_events_id", "tenant", "id", "sequence"),
    Index("ix_events_batch", "tenant", "batch_id", "sequence"),
)
counters = Table(
    "counters",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
cursors = Table(
    "cursors",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stream_created", Moment),
    Column("position", BigInteger, nullable=False),
)
# There is one cursor; its row also keeps two notifiers from writing at the same time.
_CURSOR = 1
_LOCK_CURSOR = select(cursors).where(cursors.c.id == _CURSOR).with_for_update()
_MOVE = f"""
    update cursors set stream_created = :stream_created, position = :position where id = {_CURSOR}
"""  # noqa: S608 - a constant
_KNOWN = select(events.c.event_id).where(
    events.c.event_id == any_(bindparam("ids", type_=ARRAY(Text)))
)
_LAST = select(counters).where(counters.c.tenant == any_(bindparam("tenants", type_=ARRAY(Text))))

_COUNT = """
    insert into counters (tenant, last)
    select * from unnest(cast(:tenants as text[]), cast(:lasts as bigint[]))
    on conflict (tenant) do update set last = excluded.last
"""


class SqlLog:
    """The log inside one transaction; without `commit()` nothing was written."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def lock_cursor(self) -> Cursor:
        """The cursor, held until this transaction ends."""
        rows = await self._session.ask(_LOCK_CURSOR, {})
        if not rows:
            first = insert(cursors).values(id=_CURSOR, position=0).on_conflict_do_nothing()
            await self._session.execute(first)
            rows = await self._session.ask(_LOCK_CURSOR, {})
        (row,) = rows
        return Cursor(row.stream_created, row.position)

    async def move_cursor(self, cursor: Cursor) -> None:
        values = {"stream_created": cursor.stream_created, "position": cursor.position}
        await self._session.write(cursors.name, _MOVE, values)

    async def known(self, event_ids: Sequence[str]) -> set[str]:
        """Those of the ids that the log holds."""
        rows = await self._session.ask(_KNOWN, {"ids": list(event_ids)})
        return {row.event_id for row in rows}

    async def last(self, tenants: Sequence[str]) -> dict[str, int]:
        """The newest sequence of each tenant that has one."""
        rows = await self._session.ask(_LAST, {"tenants": list(tenants)})
        return {row.tenant: row.last for row in rows}

    async def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, and the newest sequence of their tenants."""
        if not entries:
            return
        await insert_many(self._session, events, [_columns(entry) for entry in entries])
        newest = {entry.event.data.tenant: entry.sequence for entry in entries}
        columns = {"tenants": list(newest), "lasts": list(newest.values())}
        await self._session.write(counters.name, _COUNT, columns)

    async def page(
        self,
        tenant: str,
        *,
        after: int,
        limit: int,
        types: Sequence[str],
        ids: Sequence[str],
    ) -> LogEntries:
        """A stretch of the log; `read_to` is where the next one begins."""
        last = (await self.last([tenant])).get(tenant, 0)
        query = select(events).where(
            events.c.tenant == tenant, events.c.sequence > after, events.c.sequence <= last
        )
        if types:
            query = query.where(events.c.type.in_(types))
        if ids:
            query = query.where(or_(events.c.id.in_(ids), events.c.batch_id.in_(ids)))
        rows = (await self._session.execute(query.order_by(events.c.sequence).limit(limit))).all()
        read_to = rows[-1].sequence if len(rows) == limit else max(last, after)
        return LogEntries(entries=tuple(map(_entry, rows)), read_to=read_to, last=last)

    async def commit(self) -> None:
        await self._session.commit()


def _columns(entry: Entry) -> dict[str, Any]:
    envelope, data = entry.event.envelope, entry.event.data
    return {
        "tenant": data.tenant,
        "sequence": entry.sequence,
        "event_id": envelope.id,
        "type": envelope.type,
        "id": data.id,
        "batch_id": data.batch_id,
        "time": envelope.time,
        "correlation_id": envelope.correlationid,
        "data": data.model_dump(mode="json"),
    }


def _entry(row: Row[Any]) -> LogEntry:
    return LogEntry(
        sequence=row.sequence,
        id=row.event_id,
        type=row.type,
        time=row.time,
        correlation_id=row.correlation_id,
        data=StatusChanged.model_validate(row.data),
    )


@asynccontextmanager
async def open_log(engine: AsyncEngine) -> AsyncIterator[SqlLog]:
    """The log in a transaction. Raises `Unavailable` when the database is away."""
    async with open_session(engine) as session:
        yield SqlLog(session)
