"""Queries on messages. Their snapshots are large: only those that are shown are read."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, delete, null, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import messages
from sluice_catalog.domain import Message
from sluice_contracts.questions import ListMessages, MessageView, Page
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session

# Walks along the ids, one message at a time, and stops where the next is not wanted any more: the
# size of a snapshot is only known once it was unpacked.
_FITTING = text("""
    with recursive asked as (select cast(:ids as text[]) as ids),
    walk (place, total) as (
        select 0, cast(0 as bigint)
        union all
        select place + 1, total + (
            select coalesce(octet_length(cast(snapshot_metadata as text)), 0)
                + case when :with_snapshot then octet_length(cast(snapshot as text)) else 0 end
            from messages where message_id = ids[place + 1]
        )
        from walk, asked where place < cardinality(ids) and total < :most
    )
    select max(place) as fitting from walk where place <= 1 or total <= :most
""").columns()


class MessageNotFound(NotFound):
    code = "message-not-found"


class SqlMessages:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, message: Message) -> None:
        values = columns_of(message)
        if values["snapshot_metadata"] is None:
            values["snapshot_metadata"] = null()
        await self._session.execute(insert(messages).values(values))

    async def lock(self, tenant: str, message_id: str) -> None:
        """Hold a message until this transaction ends; raises `MessageNotFound`."""
        query = select(messages.c.message_id).where(*_is(tenant, message_id)).with_for_update()
        if (await self._session.execute(query)).first() is None:
            raise MessageNotFound(f"There is no message {message_id}.")

    async def view(self, tenant: str, message_id: str, *, with_snapshot: bool) -> MessageView:
        """A message without its renders; raises `MessageNotFound`."""
        query = _shown(with_snapshot=with_snapshot).where(*_is(tenant, message_id))
        row = (await self._session.execute(query)).first()
        if row is None:
            raise MessageNotFound(f"There is no message {message_id}.")
        return MessageView(**row._mapping)

    async def page(self, asked: ListMessages, limit: int) -> list[Page]:
        """Where messages stand by their timestamp, or those that follow the place asked for."""
        columns = (messages.c.timestamp, messages.c.message_id)
        query = select(*columns).where(messages.c.tenant == asked.tenant)
        if asked.parent_thread is not None:
            query = query.where(messages.c.parent_thread == asked.parent_thread)
        if asked.after is not None:
            after = (asked.after.created_at, asked.after.id)
            place = tuple_(*columns)
            query = query.where(place > after if asked.order == "asc" else place < after)
        if asked.order == "desc":
            query = query.order_by(*(column.desc() for column in columns))
        else:
            query = query.order_by(*columns)
        rows = await self._session.execute(query.limit(limit))
        return [Page(created_at=row.timestamp, id=row.message_id) for row in rows]

    async def fitting(
        self, message_ids: Sequence[str], *, with_snapshot: bool, most_bytes: int
    ) -> int:
        """How many of them, from the first on, are not larger together; the first always counts."""
        values = {"ids": list(message_ids), "with_snapshot": with_snapshot, "most": most_bytes}
        (row,) = await self._session.ask(_FITTING, values)
        count: int = row.fitting
        return count

    async def views(
        self, message_ids: Sequence[str], *, with_snapshot: bool
    ) -> dict[str, MessageView]:
        """Those of the messages that are there, without their renders, by id."""
        query = _shown(with_snapshot=with_snapshot).where(messages.c.message_id.in_(message_ids))
        rows = await self._session.execute(query)
        return {row.message_id: MessageView(**row._mapping) for row in rows}

    async def delete(self, message_id: str) -> None:
        await self._session.execute(delete(messages).where(messages.c.message_id == message_id))


def _is(tenant: str, message_id: str) -> tuple[Any, ...]:
    return messages.c.message_id == message_id, messages.c.tenant == tenant


def _shown(*, with_snapshot: bool) -> Select[Any]:
    wanted = messages.c.snapshot if with_snapshot else null()
    return select(
        *(column for column in messages.c if column.name not in ("tenant", "snapshot")),
        wanted.label("snapshot"),
    )
