"""The unit of work: one transaction, and everything that may be read and written in it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, Text, any_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_catalog.database.batches import SqlBatches
from sluice_catalog.database.calls import SqlCalls
from sluice_catalog.database.chunks import SqlChunks
from sluice_catalog.database.devices import SqlDevices
from sluice_catalog.database.direct import SqlDirect
from sluice_catalog.database.keys import SqlKeys
from sluice_catalog.database.media import SqlMedia
from sluice_catalog.database.messages import SqlMessages
from sluice_catalog.database.objects import SqlObjects
from sluice_catalog.database.recordings import SqlRecordings
from sluice_catalog.database.renders import SqlRenders
from sluice_catalog.database.replays import SqlReplays
from sluice_catalog.database.shown import SqlShown
from sluice_catalog.database.tables import inbox, outbox, status_history
from sluice_catalog.database.uploads import SqlUploads
from sluice_catalog.domain import Change
from sluice_contracts.facts import StatusChanged
from sluice_contracts.statuses import Kind
from sluice_runtime.database import Inbox, Outbox, insert_many
from sluice_runtime.session import Session, open_session

_STEPS = (
    select(status_history.c.id, func.max(status_history.c.sequence).label("steps"))
    .where(
        status_history.c.kind == bindparam("of_kind", type_=Text),
        status_history.c.id == any_(bindparam("ids", type_=ARRAY(Text))),
    )
    .group_by(status_history.c.id)
)
_CLOCK = select(func.clock_timestamp().label("now"))


class SqlWork:
    """Everything inside one transaction. Without `commit()` none of it happened."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = datetime.now(UTC)
        self.batches = SqlBatches(session)
        self.uploads = SqlUploads(session)
        self.recordings = SqlRecordings(session)
        self.objects = SqlObjects(session)
        self.devices = SqlDevices(session)
        self.chunks = SqlChunks(session)
        self.calls = SqlCalls(session)
        self.direct = SqlDirect(session)
        self.shown = SqlShown(session)
        self.renders = SqlRenders(session)
        self.messages = SqlMessages(session)
        self.media = SqlMedia(session)
        self.keys = SqlKeys(session)
        self.replays = SqlReplays(session)
        self.inbox = Inbox(session, inbox)
        self.outbox = Outbox(session, outbox, "catalog")
        self._history: list[dict[str, Any]] = []

    def record(self, changes: Sequence[Change], *, actor: str, at: datetime) -> None:
        """Write `changes` to the history and announce them, in this order, with the commit."""
        self._history += [_history_row(change, actor, at) for change in changes]
        self.announce(changes, actor=actor, at=at)

    def announce(self, changes: Sequence[Change], *, actor: str, at: datetime) -> None:
        """Tell subscribers of `changes` whose history goes with the thing itself."""
        for change in changes:
            row = _history_row(change, actor, at)
            self.outbox.add(StatusChanged(tenant=change.tenant, **row), at=at)

    async def steps_taken(self, kind: Kind, id_: str) -> int:
        """How many changes the history holds of one thing."""
        last = func.coalesce(func.max(status_history.c.sequence), 0)
        query = select(last).where(status_history.c.kind == kind, status_history.c.id == id_)
        steps: int = (await self._session.execute(query)).scalar_one()
        return steps

    async def steps_of(self, kind: Kind, ids: Sequence[str]) -> dict[str, int]:
        """As `steps_taken`, of several things; one without a history is left out."""
        rows = await self._session.ask(_STEPS, {"of_kind": kind, "ids": list(ids)})
        return {row.id: row.steps for row in rows}

    def now(self) -> datetime:
        """The moment this work began; the same for all that happens in it."""
        return self._began

    async def clock(self) -> datetime:
        """The time of the database right now: leases and deadlines of all processes go by it."""
        (row,) = await self._session.ask(_CLOCK, {})
        moment: datetime = row.now
        return moment

    async def ping(self) -> None:
        """Raises, through the block, when the database is away."""
        await self._session.execute(select(1))

    async def commit(self) -> None:
        """Make it all happen, and what was recorded with it."""
        await insert_many(self._session, status_history, self._history)
        self._history = []
        await self.outbox.flush()
        await self._session.commit()


def _history_row(change: Change, actor: str, at: datetime) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "id": change.id,
        "batch_id": change.batch_id,
        "sequence": change.sequence,
        "previous": change.previous,
        "status": change.status,
        "reason": change.reason,
        "actor": actor,
        "changed_at": at,
    }


@asynccontextmanager
async def open_work(engine: AsyncEngine) -> AsyncIterator[SqlWork]:
    """A unit of work. Raises `Unavailable` when the database is away."""
    async with open_session(engine) as session:
        yield SqlWork(session)
