"""Queries on uploads."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, func, or_, select, update

from sluice_catalog.database.rows import columns_of, upload_of
from sluice_catalog.database.tables import UPLOAD_IS_OPEN, tombstones, uploads
from sluice_catalog.domain import Upload
from sluice_runtime.database import as_document, insert_many
from sluice_runtime.session import Session

_SAVED = ("upload_id", "status", "sequence", "deadline", "claim_id", "claimed_until")
_SAVE = """
    update uploads set status = given.status, sequence = given.sequence,
        deadline = given.deadline, claim_id = given.claim_id, claimed_until = given.claimed_until
    from json_to_recordset(cast(:rows as json)) as given(
        upload_id text, status text, sequence integer, deadline timestamptz, claim_id text,
        claimed_until timestamptz
    )
    where uploads.upload_id = given.upload_id and uploads.upload_id = any(cast(:ids as text[]))
"""
# Written once: where every upload passes, putting a query together costs more than running it.
_IDS = bindparam("ids", type_=ARRAY(Text))
_LOCK_MANY = (
    select(uploads)
    .where(uploads.c.upload_id == any_(_IDS))
    .order_by(uploads.c.upload_id)
    .with_for_update()
)
_BURIED = select(tombstones.c.upload_id).where(tombstones.c.upload_id == any_(_IDS))


class SqlUploads:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Sequence[Upload]) -> None:
        await insert_many(self._session, uploads, [columns_of(one) for one in added])

    async def find(self, upload_id: str) -> Upload | None:
        """The upload, its row held until this transaction ends; None when there is none."""
        query = select(uploads).where(uploads.c.upload_id == upload_id).with_for_update()
        row = (await self._session.execute(query)).first()
        return None if row is None else upload_of(row)

    async def lock_keys(self, tenant: str, keys: Sequence[str]) -> dict[str, Upload]:
        """The uploads of a tenant that lie at `keys`, locked, by key."""
        query = (
            select(uploads)
            .where(uploads.c.tenant == tenant, uploads.c.key.in_(keys))
            .order_by(uploads.c.upload_id)
            .with_for_update()
        )
        found = [upload_of(row) for row in await self._session.execute(query)]
        return {upload.key: upload for upload in found}

    async def lock_page(self, batch_id: str, after: str, limit: int) -> list[Upload]:
        """The uploads of a batch whose ids come `after` another, in their order."""
        query = (
            select(uploads)
            .where(uploads.c.batch_id == batch_id, uploads.c.upload_id > after)
            .order_by(uploads.c.upload_id)
            .limit(limit)
            .with_for_update()
        )
        return [upload_of(row) for row in await self._session.execute(query)]

    async def lock_many(self, upload_ids: Sequence[str]) -> dict[str, Upload]:
        """Those of the uploads that exist, locked in one order, by id."""
        rows = await self._session.ask(_LOCK_MANY, {"ids": list(upload_ids)})
        found = [upload_of(row) for row in rows]
        return {upload.upload_id: upload for upload in found}

    async def save(self, saved: Sequence[Upload]) -> None:
        """Write what may change of uploads, in one statement."""
        if not saved:
            return
        rows = [{name: getattr(one, name) for name in _SAVED} for one in saved]
        # The ids besides: of a document, the planner does not know that it is short, and reads the
        # whole table to find its rows.
        ids = [one.upload_id for one in saved]
        await self._session.write("uploads", _SAVE, {"rows": as_document(rows), "ids": ids})

    async def extend_claim(self, upload_id: str, claim_id: str, until: datetime) -> bool:
        """Whether the claim was still held and now lasts `until`."""
        statement = (
            update(uploads)
            .where(uploads.c.upload_id == upload_id, uploads.c.claim_id == claim_id)
            .values(claimed_until=until)
        )
        return (await self._session.execute(statement)).rowcount == 1

    async def overdue_batches(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        """Tenant and id of batches that hold an upload past its deadline.

        If there are more, chance decides which: some may not end yet, and must not stand before the
        others each time.
        """
        batch = (uploads.c.tenant, uploads.c.batch_id)
        query = select(*batch).where(*_overdue(now)).group_by(*batch)
        rows = await self._session.execute(query.order_by(func.random()).limit(limit))
        return [(row.tenant, row.batch_id) for row in rows]

    async def lock_overdue(self, batch_id: str, now: datetime) -> list[Upload]:
        query = select(uploads).where(uploads.c.batch_id == batch_id, *_overdue(now))
        return [upload_of(row) for row in await self._session.execute(query.with_for_update())]

    async def bury(self, upload_ids: Sequence[str], now: datetime) -> None:
        """Remember that these uploads were deleted, so that late bytes are discarded."""
        rows = [{"upload_id": one, "deleted_at": now} for one in upload_ids]
        await insert_many(self._session, tombstones, rows, skip_known=True)

    async def buried(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of the uploads that were deleted."""
        rows = await self._session.ask(_BURIED, {"ids": list(upload_ids)})
        return {row.upload_id for row in rows}


def _overdue(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        UPLOAD_IS_OPEN,
        uploads.c.deadline < now,
        or_(uploads.c.claimed_until.is_(None), uploads.c.claimed_until < now),
    )
