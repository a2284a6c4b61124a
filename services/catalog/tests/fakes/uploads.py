"""Batches, uploads and recordings in memory."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sluice_catalog.domain import Batch, PlacedState, Recording, Upload
from sluice_contracts.questions import Page, RecordingView
from sluice_contracts.statuses import BatchStatus, RecordingStatus
from sluice_runtime.errors import NotFound

from .tables import UNSENT, FakeTables

_WAITING = ("created", "uploading", "stored", "registered")


class FakeBatches:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, batch: Batch) -> bool:
        is_new = batch.batch_id not in self._tables.batches
        self._tables.batches.setdefault(batch.batch_id, batch)
        return is_new

    async def get(self, tenant: str, batch_id: str) -> Batch:
        found = self._tables.batches.get(batch_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no batch {batch_id}.", code="batch-not-found")
        return found

    async def lock(self, tenant: str, batch_id: str) -> Batch:
        return await self.get(tenant, batch_id)

    async def save(self, batch: Batch) -> None:
        found = self._tables.batches[batch.batch_id]
        self._tables.batches[batch.batch_id] = replace(
            found, status=batch.status, sequence=batch.sequence
        )

    async def contents(self, batch_id: str) -> tuple[Sequence[RecordingStatus], bool]:
        mine = [one for one in self._tables.recordings.values() if one.batch_id == batch_id]
        taken = {one.upload_id for one in self._tables.recordings.values()}
        waiting = any(
            one.batch_id == batch_id and one.status in _WAITING and one.upload_id not in taken
            for one in self._tables.uploads.values()
        )
        return [one.status for one in mine], waiting

    async def page(
        self, tenant: str, *, status: BatchStatus | None, after: Page | None, limit: int
    ) -> list[Batch]:
        found = [
            one
            for one in self._tables.batches.values()
            if one.tenant == tenant
            and status in (None, one.status)
            and (after is None or (one.created_at, one.batch_id) < (after.created_at, after.id))
        ]
        found.sort(key=lambda one: (one.created_at, one.batch_id), reverse=True)
        return found[:limit]

    async def delete(self, batch_id: str) -> None:
        tables = self._tables
        for rows in (tables.batches, tables.uploads, tables.recordings):
            for key in [key for key, row in rows.items() if row.batch_id == batch_id]:
                del rows[key]  # type: ignore[attr-defined]
        tables.history[:] = [one for one in tables.history if one.batch_id != batch_id]


class FakeUploads:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Sequence[Upload]) -> None:
        for one in added:
            for known in self._tables.uploads.values():
                assert one.upload_id != known.upload_id
                assert one.recording_id != known.recording_id
                assert one.key != known.key
            self._tables.uploads[one.upload_id] = one

    async def find(self, upload_id: str) -> Upload | None:
        return self._tables.uploads.get(upload_id)

    async def lock_many(self, upload_ids: Sequence[str]) -> dict[str, Upload]:
        known = self._tables.uploads
        return {one: known[one] for one in sorted(set(upload_ids)) if one in known}

    async def lock_keys(self, tenant: str, keys: Sequence[str]) -> dict[str, Upload]:
        return {
            one.key: one
            for one in self._tables.uploads.values()
            if one.tenant == tenant and one.key in keys
        }

    async def lock_page(self, batch_id: str, after: str, limit: int) -> list[Upload]:
        every = sorted(self._tables.uploads.items())
        return [one for id_, one in every if one.batch_id == batch_id and id_ > after][:limit]

    async def save(self, saved: Sequence[Upload]) -> None:
        for one in saved:
            found = self._tables.uploads.get(one.upload_id)
            if found is not None:
                self._tables.uploads[one.upload_id] = replace(
                    found,
                    status=one.status,
                    sequence=one.sequence,
                    deadline=one.deadline,
                    claim_id=one.claim_id,
                    claimed_until=one.claimed_until,
                )

    async def extend_claim(self, upload_id: str, claim_id: str, until: datetime) -> bool:
        found = self._tables.uploads.get(upload_id)
        if found is None or found.claim_id != claim_id:
            return False
        self._tables.uploads[upload_id] = replace(found, claimed_until=until)
        return True

    def _overdue(self, now: datetime) -> list[Upload]:
        return [
            one
            for one in self._tables.uploads.values()
            if one.status in UNSENT
            and one.deadline < now
            and (one.claimed_until is None or one.claimed_until < now)
        ]

    async def overdue_batches(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        found = {(one.tenant, one.batch_id) for one in self._overdue(now)}
        return random.sample(sorted(found), min(limit, len(found)))

    async def lock_overdue(self, batch_id: str, now: datetime) -> list[Upload]:
        return [one for one in self._overdue(now) if one.batch_id == batch_id]

    async def bury(self, upload_ids: Sequence[str], now: datetime) -> None:
        self._tables.buried |= set(upload_ids)

    async def buried(self, upload_ids: Sequence[str]) -> set[str]:
        return self._tables.buried & set(upload_ids)


class FakeRecordings:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    def _of(
        self, batch_ids: Sequence[str], after: Page | None, limit: int | None
    ) -> list[Recording]:
        mine = [
            one
            for one in self._tables.recordings.values()
            if one.batch_id in batch_ids
            and (after is None or (one.created_at, one.recording_id) > (after.created_at, after.id))
        ]
        mine.sort(key=lambda one: (batch_ids.index(one.batch_id), one.created_at, one.recording_id))
        return mine[:limit]

    async def add(self, added: Sequence[Recording]) -> None:
        for one in added:
            assert one.recording_id not in self._tables.recordings
            assert not await self.taken([one.upload_id])
            self._tables.recordings[one.recording_id] = one

    async def taken(self, upload_ids: Sequence[str]) -> set[str]:
        return {one.upload_id for one in self._tables.recordings.values()} & set(upload_ids)

    async def of_upload(self, upload_id: str) -> Recording | None:
        recordings = self._tables.recordings.values()
        return next((one for one in recordings if one.upload_id == upload_id), None)

    async def lock(self, recording_id: str) -> Recording | None:
        return self._tables.recordings.get(recording_id)

    async def find(self, tenant: str, recording_id: str) -> Recording:
        found = self._tables.recordings.get(recording_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no recording {recording_id}.", code="recording-not-found")
        return found

    async def save(self, recording: Recording) -> None:
        found = self._tables.recordings[recording.recording_id]
        self._tables.recordings[recording.recording_id] = replace(
            found, status=recording.status, sequence=recording.sequence
        )

    async def states(
        self, batch_ids: Sequence[str], *, after: Page | None = None, limit: int | None = None
    ) -> dict[str, list[PlacedState]]:
        found: dict[str, list[PlacedState]] = {}
        for one in self._of(batch_ids, after, limit):
            state = PlacedState(
                client_item_id=one.client_item_id,
                recording_id=one.recording_id,
                status=one.status,
                created_at=one.created_at,
            )
            found.setdefault(one.batch_id, []).append(state)
        return found

    async def views(
        self, batch_ids: Sequence[str], *, after: Page | None = None, limit: int | None = None
    ) -> dict[str, list[RecordingView]]:
        found: dict[str, list[RecordingView]] = {}
        for one in self._of(batch_ids, after, limit):
            found.setdefault(one.batch_id, []).append(self._view(one))
        return found

    async def view(self, tenant: str, recording_id: str) -> RecordingView:
        return self._view(await self.find(tenant, recording_id))

    def _view(self, one: Recording) -> RecordingView:
        upload = self._tables.uploads[one.upload_id]
        stored = self._tables.objects[upload.key]
        return RecordingView(
            recording_id=one.recording_id,
            batch_id=one.batch_id,
            client_item_id=one.client_item_id,
            status=one.status,
            metadata=one.data,
            filename=upload.filename,
            size_bytes=stored.size_bytes,
            content_type=upload.content_type,
            sha256=stored.sha256,
            bucket=stored.bucket,
            key=stored.key,
            created_at=one.created_at,
        )
