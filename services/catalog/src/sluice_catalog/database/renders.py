"""Queries on renders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Row,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    select,
    update,
)

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import objects, renders, status_history
from sluice_catalog.domain import Render
from sluice_contracts.questions import RenderView
from sluice_contracts.statuses import Kind, RenderStatus
from sluice_runtime.database import insert_many
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session


class RenderNotFound(NotFound):
    code = "render-not-found"


class SqlRenders:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Sequence[Render]) -> None:
        await insert_many(self._session, renders, [columns_of(one) for one in added])

    async def known(self, render_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the renders that are there."""
        ids = bindparam("ids", list(render_ids), ARRAY(Uuid))
        query = select(renders.c.render_id).where(renders.c.render_id == any_(ids))
        return set((await self._session.execute(query)).scalars())

    async def lock(self, tenant: str, render_id: UUID) -> Render:
        """The render, its row held until this transaction ends; raises `RenderNotFound`."""
        query = select(renders).where(renders.c.render_id == render_id, renders.c.tenant == tenant)
        row = (await self._session.execute(query.with_for_update())).first()
        if row is None:
            raise RenderNotFound(f"There is no render {render_id}.")
        return _render(row)

    async def lock_of_message(self, message_id: str) -> list[Render]:
        query = select(renders).where(renders.c.message_id == message_id)
        rows = await self._session.execute(query.order_by(renders.c.render_id).with_for_update())
        return [_render(row) for row in rows]

    async def lock_unclaimed(self, before: datetime, limit: int) -> list[Render]:
        """Renders that no message claimed, known since before then, that nobody else works on.

        One may be registered long after it was made: after an outage, or by reconciliation. Until
        then nobody could claim it, so its time begins with its history.
        """
        heard_of_later = exists().where(
            status_history.c.kind == Kind.RENDER,
            status_history.c.id == cast(renders.c.render_id, Text),
            status_history.c.changed_at >= before,
        )
        query = select(renders).where(
            renders.c.message_id.is_(None), renders.c.created_at < before, ~heard_of_later
        )
        rows = await self._session.execute(
            query.order_by(renders.c.created_at).limit(limit).with_for_update(skip_locked=True)
        )
        return [_render(row) for row in rows]

    async def save(self, render: Render) -> None:
        statement = (
            update(renders)
            .where(renders.c.render_id == render.render_id)
            .values(
                status=render.status,
                sequence=render.sequence,
                message_id=render.message_id,
                attached_at=render.attached_at,
            )
        )
        await self._session.execute(statement)

    async def delete(self, render_ids: Sequence[UUID]) -> None:
        ids = bindparam("ids", list(render_ids), ARRAY(Uuid))
        await self._session.execute(delete(renders).where(renders.c.render_id == any_(ids)))

    async def view(self, tenant: str | None, render_id: UUID) -> RenderView:
        """A render of a tenant, or of any; raises `RenderNotFound`."""
        query = _VIEW.where(renders.c.render_id == render_id)
        if tenant is not None:
            query = query.where(renders.c.tenant == tenant)
        row = (await self._session.execute(query)).first()
        if row is None:
            raise RenderNotFound(f"There is no render {render_id}.")
        return RenderView(**row._mapping)

    async def count_of(self, message_id: str) -> int:
        """How many renders a message carries."""
        query = select(func.count()).where(renders.c.message_id == message_id)
        count: int = (await self._session.execute(query)).scalar_one()
        return count

    async def of_messages(self, message_ids: Sequence[str]) -> dict[str, list[RenderView]]:
        """The renders of several messages, in the order they were attached, by message."""
        query = _VIEW.where(renders.c.message_id.in_(message_ids)).order_by(
            renders.c.attached_at, renders.c.render_id
        )
        found: dict[str, list[RenderView]] = {}
        for row in await self._session.execute(query):
            found.setdefault(row.message_id, []).append(RenderView(**row._mapping))
        return found


def _render(row: Row[Any]) -> Render:
    return Render(**{**row._mapping, "status": RenderStatus(row.status)})


_VIEW: Select[Any] = select(
    renders.c.render_id,
    renders.c.message_id,
    renders.c.filename,
    renders.c.format,
    renders.c.bitrate,
    renders.c.duration,
    renders.c.created_at,
    objects.c.size_bytes,
    objects.c.sha256,
    objects.c.content_type,
    objects.c.key,
).join(objects, objects.c.upload_id == renders.c.upload_id)
