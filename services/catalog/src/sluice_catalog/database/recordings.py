"""Queries on recordings, and the views of them that the gateway shows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, func, select, tuple_, update

from sluice_catalog.database.rows import columns_of, recording_of
from sluice_catalog.database.tables import objects, recordings, uploads
from sluice_catalog.domain import PlacedState, Recording
from sluice_contracts.questions import Page, RecordingView
from sluice_runtime.database import insert_many
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session


class RecordingNotFound(NotFound):
    code = "recording-not-found"


class SqlRecordings:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, added: Sequence[Recording]) -> None:
        await insert_many(self._session, recordings, [columns_of(one) for one in added])

    async def taken(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of the uploads that are recordings already."""
        query = select(recordings.c.upload_id).where(recordings.c.upload_id.in_(upload_ids))
        return set((await self._session.execute(query)).scalars())

    async def of_upload(self, upload_id: str) -> Recording | None:
        query = select(recordings).where(recordings.c.upload_id == upload_id)
        row = (await self._session.execute(query)).first()
        return None if row is None else recording_of(row)

    async def lock(self, recording_id: str) -> Recording | None:
        """The recording, its row held until this transaction ends."""
        query = select(recordings).where(recordings.c.recording_id == recording_id)
        row = (await self._session.execute(query.with_for_update())).first()
        return None if row is None else recording_of(row)

    async def find(self, tenant: str, recording_id: str) -> Recording:
        """Raises `RecordingNotFound`."""
        query = select(recordings).where(
            recordings.c.recording_id == recording_id, recordings.c.tenant == tenant
        )
        row = (await self._session.execute(query)).first()
        if row is None:
            raise RecordingNotFound(f"There is no recording {recording_id}.")
        return recording_of(row)

    async def save(self, recording: Recording) -> None:
        statement = (
            update(recordings)
            .where(recordings.c.recording_id == recording.recording_id)
            .values(status=recording.status, sequence=recording.sequence)
        )
        await self._session.execute(statement)

    async def states(
        self, batch_ids: Sequence[str], *, after: Page | None = None, limit: int | None = None
    ) -> dict[str, list[PlacedState]]:
        """The recordings of several batches in one query, oldest first, by batch.

        When they are more than `limit`, those of the batches named first are found. `after` is a
        place in a single batch.
        """
        found: dict[str, list[PlacedState]] = {}
        for row in await self._session.execute(_in_order(_STATE, batch_ids, after, limit)):
            state = PlacedState(
                client_item_id=row.client_item_id,
                recording_id=row.recording_id,
                status=row.status,
                created_at=row.created_at,
            )
            found.setdefault(row.batch_id, []).append(state)
        return found

    async def views(
        self, batch_ids: Sequence[str], *, after: Page | None = None, limit: int | None = None
    ) -> dict[str, list[RecordingView]]:
        """As `states`, with everything the web page shows."""
        found: dict[str, list[RecordingView]] = {}
        for row in await self._session.execute(_in_order(_VIEW, batch_ids, after, limit)):
            found.setdefault(row.batch_id, []).append(RecordingView(**row._mapping))
        return found

    async def view(self, tenant: str, recording_id: str) -> RecordingView:
        """Raises `RecordingNotFound`."""
        query = _VIEW.where(
            recordings.c.recording_id == recording_id, recordings.c.tenant == tenant
        )
        row = (await self._session.execute(query)).first()
        if row is None:
            raise RecordingNotFound(f"There is no recording {recording_id}.")
        return RecordingView(**row._mapping)


def _in_order(
    query: Select[Any], batch_ids: Sequence[str], after: Page | None, limit: int | None
) -> Select[Any]:
    batches = bindparam("batch_ids", list(batch_ids), ARRAY(Text))
    place = (recordings.c.created_at, recordings.c.recording_id)
    query = query.where(recordings.c.batch_id == any_(batches))
    if after is not None:
        query = query.where(tuple_(*place) > (after.created_at, after.id))
    which = func.array_position(batches, recordings.c.batch_id)
    return query.order_by(which, *place).limit(limit)


_STATE: Select[Any] = select(
    recordings.c.batch_id,
    recordings.c.client_item_id,
    recordings.c.recording_id,
    recordings.c.status,
    recordings.c.created_at,
)
_VIEW: Select[Any] = (
    select(
        recordings.c.recording_id,
        recordings.c.batch_id,
        recordings.c.client_item_id,
        recordings.c.status,
        recordings.c.data.label("metadata"),
        uploads.c.filename,
        objects.c.size_bytes,
        uploads.c.content_type,
        objects.c.sha256,
        objects.c.bucket,
        objects.c.key,
        recordings.c.created_at,
    )
    .join(uploads, uploads.c.upload_id == recordings.c.upload_id)
    .join(objects, objects.c.upload_id == recordings.c.upload_id)
)
