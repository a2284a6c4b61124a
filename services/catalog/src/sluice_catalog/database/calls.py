"""Queries on calls."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Uuid, any_, bindparam, delete, select, tuple_, update

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import calls, media, objects, status_history
from sluice_catalog.domain import Call
from sluice_contracts.questions import CallView, ListCalls, StatusStep
from sluice_contracts.statuses import CallStatus, Kind
from sluice_runtime.database import insert_many
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session


class CallNotFound(NotFound):
    code = "call-not-found"


class SqlCalls:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Sequence[Call]) -> None:
        await insert_many(self._session, calls, [columns_of(one) for one in added])

    async def known(self, call_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the calls that are there."""
        ids = bindparam("ids", list(call_ids), ARRAY(Uuid))
        query = select(calls.c.call_id).where(calls.c.call_id == any_(ids))
        return set((await self._session.execute(query)).scalars())

    async def lock(self, tenant: str, call_id: UUID) -> Call:
        """The call, its row held until this transaction ends; raises `CallNotFound`."""
        query = select(calls).where(calls.c.call_id == call_id, calls.c.tenant == tenant)
        row = (await self._session.execute(query.with_for_update())).first()
        if row is None:
            raise CallNotFound(f"There is no call {call_id}.")
        return Call(**{**row._mapping, "status": CallStatus(row.status)})

    async def save(self, call: Call) -> None:
        statement = (
            update(calls)
            .where(calls.c.call_id == call.call_id)
            .values(status=call.status, sequence=call.sequence, updated_at=call.updated_at)
        )
        await self._session.execute(statement)

    async def view(self, tenant: str, call_id: UUID) -> CallView:
        """Raises `CallNotFound`."""
        query = _VIEW.where(calls.c.call_id == call_id, calls.c.tenant == tenant)
        row = (await self._session.execute(query)).first()
        if row is None:
            raise CallNotFound(f"There is no call {call_id}.")
        return _view(row)

    async def page(self, asked: ListCalls, limit: int) -> list[CallView]:
        """The newest calls, or those that follow the place asked for."""
        query = _narrowed(_VIEW, asked)
        if asked.after is not None:
            place = tuple_(calls.c.created_at, calls.c.call_id)
            query = query.where(place < (asked.after.created_at, UUID(asked.after.id)))
        newest = (calls.c.created_at.desc(), calls.c.call_id.desc())
        rows = await self._session.execute(query.order_by(*newest).limit(limit))
        return [_view(row) for row in rows]

    async def history(self, call_id: UUID) -> list[StatusStep]:
        """Every status the call had, oldest first."""
        query = select(status_history).where(*_of(call_id)).order_by(status_history.c.sequence)
        return [StatusStep(**row._mapping) for row in await self._session.execute(query)]

    async def delete(self, call_id: UUID) -> None:
        """Remove a call with its history."""
        await self._session.execute(delete(status_history).where(*_of(call_id)))
        await self._session.execute(delete(calls).where(calls.c.call_id == call_id))


def _of(call_id: UUID) -> tuple[Any, ...]:
    return status_history.c.kind == Kind.CALL, status_history.c.id == str(call_id)


def _narrowed(query: Select[Any], asked: ListCalls) -> Select[Any]:
    query = query.where(calls.c.tenant == asked.tenant)
    for name in ("status", "call_type", "company_name"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(calls.c[name] == wanted)
    if asked.since is not None:
        query = query.where(calls.c.created_at >= asked.since)
    if asked.until is not None:
        query = query.where(calls.c.created_at < asked.until)
    return query


def _view(row: Row[Any]) -> CallView:
    return CallView(**row._mapping)


_SHOWN = [column for column in calls.c if column.name not in ("tenant", "upload_id", "sequence")]
_VIEW: Select[Any] = (
    select(
        *_SHOWN,
        media.c.duration_seconds,
        objects.c.bucket,
        objects.c.key,
        objects.c.size_bytes,
        objects.c.sha256,
        objects.c.content_type,
    )
    .join(objects, objects.c.upload_id == calls.c.upload_id)
    .outerjoin(media, media.c.upload_id == calls.c.upload_id)
)
