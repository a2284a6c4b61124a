"""Queries on direct uploads."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Row, Text, any_, bindparam, delete, func, select, update

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import DIRECT_IS_OPEN, direct_uploads, status_history
from sluice_catalog.domain import Direct
from sluice_contracts.statuses import Kind, UploadStatus
from sluice_runtime.database import insert_many
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session

_SAVED = ("session_id", "size_bytes", "sha256", "status", "sequence", "deadline")


class SqlDirect:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Direct) -> None:
        await insert_many(self._session, direct_uploads, [columns_of(added)])

    async def get(self, tenant: str, upload_id: str) -> Direct:
        """Raises `NotFound`, also for one of another tenant."""
        query = select(direct_uploads).where(direct_uploads.c.upload_id == upload_id)
        return _owned(tenant, upload_id, (await self._session.execute(query)).first())

    async def lock(self, tenant: str, upload_id: str) -> Direct:
        """As `get`; the row is held until this transaction ends."""
        query = select(direct_uploads).where(direct_uploads.c.upload_id == upload_id)
        row = (await self._session.execute(query.with_for_update())).first()
        return _owned(tenant, upload_id, row)

    async def lock_many(self, upload_ids: Sequence[str]) -> dict[str, Direct]:
        """Those of the uploads that exist, locked in one order, by id."""
        ids = bindparam("ids", list(upload_ids), ARRAY(Text))
        query = (
            select(direct_uploads)
            .where(direct_uploads.c.upload_id == any_(ids))
            .order_by(direct_uploads.c.upload_id)
            .with_for_update()
        )
        found = [_direct_of(row) for row in await self._session.execute(query)]
        return {one.upload_id: one for one in found}

    async def lock_page(self, batch_id: str, after: str, limit: int) -> list[Direct]:
        """The uploads of a batch whose ids come `after` another, in their order."""
        query = (
            select(direct_uploads)
            .where(direct_uploads.c.batch_id == batch_id, direct_uploads.c.upload_id > after)
            .order_by(direct_uploads.c.upload_id)
            .limit(limit)
            .with_for_update()
        )
        return [_direct_of(row) for row in await self._session.execute(query)]

    async def save(self, saved: Direct) -> None:
        statement = (
            update(direct_uploads)
            .where(direct_uploads.c.upload_id == saved.upload_id)
            .values({name: getattr(saved, name) for name in _SAVED})
        )
        await self._session.execute(statement)

    async def remove(self, upload_ids: Sequence[str]) -> None:
        ids = bindparam("ids", list(upload_ids), ARRAY(Text))
        statement = delete(direct_uploads).where(direct_uploads.c.upload_id == any_(ids))
        await self._session.execute(statement)

    async def overdue(self, now: datetime, limit: int) -> list[Direct]:
        """Open uploads past their deadline.

        If there are more, chance decides which: some may not end yet, and must not stand before the
        others each time.
        """
        query = (
            select(direct_uploads)
            .where(DIRECT_IS_OPEN, direct_uploads.c.deadline < now)
            .order_by(func.random())
            .limit(limit)
        )
        return [_direct_of(row) for row in await self._session.execute(query)]

    async def failure_of(self, upload_id: str) -> str | None:
        """Why an upload failed, as its history has it."""
        query = (
            select(status_history.c.reason)
            .where(
                status_history.c.kind == Kind.UPLOAD,
                status_history.c.id == upload_id,
                status_history.c.status == UploadStatus.FAILED,
            )
            .order_by(status_history.c.sequence.desc())
            .limit(1)
        )
        reason: str | None = (await self._session.execute(query)).scalar()
        return reason


def _owned(tenant: str, upload_id: str, row: Row[Any] | None) -> Direct:
    if row is None or row.tenant != tenant:
        raise NotFound(f"There is no upload {upload_id}.", code="upload-not-found")
    return _direct_of(row)


def _direct_of(row: Row[Any]) -> Direct:
    return Direct(**{**row._mapping, "status": UploadStatus(row.status)})
