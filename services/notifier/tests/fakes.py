"""What the notifier works with, in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sluice_contracts.questions import LogEntries, LogEntry
from sluice_notifier.domain import Cursor, Entry
from sluice_notifier.ports import Deps
from sluice_runtime.errors import Unavailable


@dataclass
class FakeTables:
    """What a commit leaves behind."""

    entries: list[Entry] = field(default_factory=list)
    cursor: Cursor = field(default_factory=lambda: Cursor(None, 0))


class FakeLog:
    """The log inside one transaction; without `commit()` nothing was written."""

    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables
        self._entries = list(tables.entries)
        self._cursor = tables.cursor
        self._is_locked = False

    async def lock_cursor(self) -> Cursor:
        self._is_locked = True
        return self._cursor

    async def move_cursor(self, cursor: Cursor) -> None:
        assert self._is_locked, "the cursor keeps two notifiers from writing at the same time"
        self._cursor = cursor

    async def known(self, event_ids: Sequence[str]) -> set[str]:
        return {one.event.envelope.id for one in self._entries} & set(event_ids)

    async def last(self, tenants: Sequence[str]) -> dict[str, int]:
        return {
            one.event.data.tenant: one.sequence
            for one in self._entries
            if one.event.data.tenant in tenants
        }

    async def append(self, entries: Sequence[Entry]) -> None:
        assert self._is_locked
        known = {(one.event.data.tenant, one.sequence) for one in self._entries}
        ids = {one.event.envelope.id for one in self._entries}
        for one in entries:
            assert (one.event.data.tenant, one.sequence) not in known
            assert one.event.envelope.id not in ids
            known.add((one.event.data.tenant, one.sequence))
            ids.add(one.event.envelope.id)
        self._entries += entries

    async def page(
        self, tenant: str, *, after: int, limit: int, types: Sequence[str], ids: Sequence[str]
    ) -> LogEntries:
        last = (await self.last([tenant])).get(tenant, 0)
        found = [
            _shown(one)
            for one in self._entries
            if one.event.data.tenant == tenant
            and one.sequence > after
            and (not types or one.event.envelope.type in types)
            and (not ids or {one.event.data.id, one.event.data.batch_id} & set(ids))
        ][:limit]
        read_to = found[-1].sequence if len(found) == limit else max(last, after)
        return LogEntries(entries=tuple(found), read_to=read_to, last=last)

    async def commit(self) -> None:
        self._tables.entries, self._tables.cursor = self._entries, self._cursor


def _shown(entry: Entry) -> LogEntry:
    envelope = entry.event.envelope
    return LogEntry(
        sequence=entry.sequence,
        id=envelope.id,
        type=envelope.type,
        time=envelope.time,
        correlation_id=envelope.correlationid,
        data=entry.event.data,
    )


@dataclass
class FakeWorld:
    """A database, and whoever listens live."""

    tables: FakeTables = field(default_factory=FakeTables)
    told: list[Entry] = field(default_factory=list)
    away: bool = False

    async def tell(self, entries: Sequence[Entry]) -> None:
        written = {one.event.envelope.id for one in self.tables.entries}
        assert {one.event.envelope.id for one in entries} <= written, "told before it was true"
        self.told += entries

    @asynccontextmanager
    async def log(self) -> AsyncIterator[FakeLog]:
        if self.away:
            raise Unavailable("The database is not reachable.")
        yield FakeLog(self.tables)

    def deps(self) -> Deps:
        return Deps(log=self.log, live=self)
