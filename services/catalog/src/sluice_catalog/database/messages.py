"""Queries on messages."""

from sqlalchemy import delete, null, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import messages
from sluice_catalog.domain import Message
from sluice_contracts.questions import ListMessages
from sluice_runtime.database import Session
from sluice_runtime.errors import NotFound


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

    async def get(self, tenant: str, message_id: str, *, lock: bool = False) -> Message:
        """The message, its row held if asked for; raises `MessageNotFound`."""
        query = select(messages).where(
            messages.c.message_id == message_id, messages.c.tenant == tenant
        )
        row = (await self._session.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise MessageNotFound(f"There is no message {message_id}.")
        return Message(**row._mapping)

    async def page(self, asked: ListMessages, limit: int) -> list[Message]:
        """Messages by their timestamp, or those that follow the place asked for."""
        query = select(messages).where(messages.c.tenant == asked.tenant)
        if asked.parent_thread is not None:
            query = query.where(messages.c.parent_thread == asked.parent_thread)
        place = tuple_(messages.c.timestamp, messages.c.message_id)
        columns = (messages.c.timestamp, messages.c.message_id)
        if asked.after is not None:
            after = (asked.after.created_at, asked.after.id)
            query = query.where(place > after if asked.order == "asc" else place < after)
        if asked.order == "desc":
            query = query.order_by(*(column.desc() for column in columns))
        else:
            query = query.order_by(*columns)
        return [Message(**row._mapping) for row in await self._session.execute(query.limit(limit))]

    async def delete(self, message_id: str) -> None:
        await self._session.execute(delete(messages).where(messages.c.message_id == message_id))
