"""Queries on batches."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.rows import batch_of, columns_of
from sluice_catalog.database.tables import batches, recordings, status_history, uploads
from sluice_catalog.domain import Batch
from sluice_contracts.questions import Page
from sluice_contracts.statuses import BatchStatus, RecordingStatus
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session


class BatchNotFound(NotFound):
    code = "batch-not-found"


class SqlBatches:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, batch: Batch) -> bool:
        """Insert a batch; False when there is one with this id already."""
        statement = (
            insert(batches)
            .values(columns_of(batch))
            .on_conflict_do_nothing()
            .returning(batches.c.batch_id)
        )
        return (await self._session.execute(statement)).first() is not None

    async def get(self, tenant: str, batch_id: str) -> Batch:
        """Raises `BatchNotFound`."""
        return await self._one(tenant, batch_id, lock=False)

    async def lock(self, tenant: str, batch_id: str) -> Batch:
        """The batch, its row held until this transaction ends.

        Whoever changes several things of a batch locks the batch first, so that two such
        transactions wait for each other instead of dying in a deadlock.
        """
        return await self._one(tenant, batch_id, lock=True)

    async def _one(self, tenant: str, batch_id: str, *, lock: bool) -> Batch:
        query = select(batches).where(batches.c.batch_id == batch_id, batches.c.tenant == tenant)
        row = (await self._session.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise BatchNotFound(f"There is no batch {batch_id}.")
        return batch_of(row)

    async def save(self, batch: Batch) -> None:
        statement = (
            update(batches)
            .where(batches.c.batch_id == batch.batch_id)
            .values(status=batch.status, sequence=batch.sequence)
        )
        await self._session.execute(statement)

    async def contents(self, batch_id: str) -> tuple[Sequence[RecordingStatus], bool]:
        """The statuses of its recordings, and whether an upload waits to become one."""
        query = select(recordings.c.status).where(recordings.c.batch_id == batch_id)
        present = (await self._session.execute(query)).scalars()
        statuses = [RecordingStatus(one) for one in present]
        taken = exists().where(recordings.c.upload_id == uploads.c.upload_id)
        waiting = select(
            exists().where(
                uploads.c.batch_id == batch_id,
                uploads.c.status.in_(("created", "uploading", "stored", "registered")),
                ~taken,
            )
        )
        return statuses, bool((await self._session.execute(waiting)).scalar_one())

    async def page(
        self, tenant: str, *, status: BatchStatus | None, after: Page | None, limit: int
    ) -> list[Batch]:
        """The newest batches, or those that follow `after`."""
        newest_first = (batches.c.created_at.desc(), batches.c.batch_id.desc())
        query = select(batches).where(batches.c.tenant == tenant)
        if status is not None:
            query = query.where(batches.c.status == status)
        if after is not None:
            place = tuple_(batches.c.created_at, batches.c.batch_id)
            query = query.where(place < (after.created_at, after.id))
        rows = await self._session.execute(query.order_by(*newest_first).limit(limit))
        return [batch_of(row) for row in rows]

    async def delete(self, batch_id: str) -> None:
        """Remove a batch with its recordings, uploads and history."""
        for table in (recordings, uploads, status_history, batches):
            await self._session.execute(delete(table).where(table.c.batch_id == batch_id))
