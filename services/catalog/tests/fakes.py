"""The catalog's unit of work, in memory.

It keeps the promises in `promises.py`, which also run against the real one.
"""

import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sluice_catalog.domain import Batch, Change, Recording, StoredObject, Upload
from sluice_catalog.ports import Deps
from sluice_contracts.base import JsonObject
from sluice_contracts.facts import Fact, StatusChanged
from sluice_contracts.questions import (
    Idempotency,
    OwnedObject,
    Page,
    Principal,
    RecordingState,
    RecordingView,
    UploadOutcome,
)
from sluice_contracts.statuses import BatchStatus, Kind, RecordingStatus
from sluice_runtime.errors import NotFound, Rejected, Unavailable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_WAITING = ("created", "uploading", "stored", "registered")
_UNSENT = ("created", "uploading")


@dataclass
class FakeTables:
    """What a commit leaves behind."""

    batches: dict[str, Batch] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    objects: dict[str, StoredObject] = field(default_factory=dict)
    keys: dict[str, Principal] = field(default_factory=dict)
    replays: dict[tuple[str, str, str], tuple[str, JsonObject, datetime]] = field(
        default_factory=dict
    )
    inbox: set[str] = field(default_factory=set)
    buried: set[str] = field(default_factory=set)
    history: list[Change] = field(default_factory=list)
    outbox: list[Fact] = field(default_factory=list)


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

    async def of_batch(self, batch_id: str) -> list[Upload]:
        return [one for one in self._tables.uploads.values() if one.batch_id == batch_id]

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
            if one.status in _UNSENT
            and one.deadline < now
            and (one.claimed_until is None or one.claimed_until < now)
        ]

    async def overdue_batches(self, now: datetime, limit: int) -> list[tuple[str, str]]:
        return list({(one.tenant, one.batch_id): None for one in self._overdue(now)})[:limit]

    async def lock_overdue(self, batch_id: str, now: datetime) -> list[Upload]:
        return [one for one in self._overdue(now) if one.batch_id == batch_id]

    async def bury(self, upload_ids: Sequence[str], now: datetime) -> None:
        self._tables.buried |= set(upload_ids)

    async def buried(self, upload_ids: Sequence[str]) -> set[str]:
        return self._tables.buried & set(upload_ids)


class FakeRecordings:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    def _of(self, batch_ids: Sequence[str]) -> list[Recording]:
        mine = [one for one in self._tables.recordings.values() if one.batch_id in batch_ids]
        return sorted(mine, key=lambda one: (one.created_at, one.recording_id))

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

    async def states(self, batch_ids: Sequence[str]) -> dict[str, list[RecordingState]]:
        found: dict[str, list[RecordingState]] = {}
        for one in self._of(batch_ids):
            state = RecordingState(
                client_item_id=one.client_item_id, recording_id=one.recording_id, status=one.status
            )
            found.setdefault(one.batch_id, []).append(state)
        return found

    async def views(self, batch_ids: Sequence[str]) -> dict[str, list[RecordingView]]:
        found: dict[str, list[RecordingView]] = {}
        for one in self._of(batch_ids):
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


class FakeObjects:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Sequence[StoredObject]) -> None:
        for one in added:
            self._tables.objects.setdefault(one.key, one)

    async def of_uploads(self, upload_ids: Sequence[str]) -> dict[str, StoredObject]:
        found = self._tables.objects.values()
        return {one.upload_id: one for one in found if one.upload_id in upload_ids}

    async def by_key(self, key: str) -> StoredObject | None:
        return self._tables.objects.get(key)

    async def mark(self, upload_ids: Sequence[str], **values: Any) -> None:
        for one in (await self.of_uploads(upload_ids)).values():
            if one.state != "discarded":
                self._tables.objects[one.key] = replace(one, **values)

    async def remove_discarded(self, key: str) -> None:
        found = self._tables.objects.get(key)
        if found is not None and found.state == "discarded":
            del self._tables.objects[key]

    def _owned(self) -> list[OwnedObject]:
        owned = [
            OwnedObject(
                key=one.key,
                upload_id=one.upload_id,
                size_bytes=one.size_bytes,
                sha256=one.sha256,
                state=one.state,
            )
            for one in self._tables.objects.values()
        ]
        owned += [
            OwnedObject(
                key=one.key,
                upload_id=one.upload_id,
                size_bytes=None,
                sha256=None,
                state="expected",
            )
            for one in self._tables.uploads.values()
            if one.status in _UNSENT
        ]
        return sorted(owned, key=lambda one: one.key.encode())

    async def page(self, after: str, limit: int) -> list[OwnedObject]:
        return [one for one in self._owned() if one.key.encode() > after.encode()][:limit]

    async def find(self, keys: Sequence[str]) -> list[OwnedObject]:
        return [one for one in self._owned() if one.key in keys]


class FakeKeys:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def resolve(self, token_sha256: str) -> Principal | None:
        return self._tables.keys.get(token_sha256)

    async def put(
        self, token_sha256: str, *, name: str, tenant: str, scopes: Sequence[str], at: datetime
    ) -> None:
        self._tables.keys[token_sha256] = Principal(
            tenant=tenant, subject=name, scopes=frozenset(scopes)
        )

    async def any_of(self, digests: Sequence[str]) -> bool:
        return not self._tables.keys.keys().isdisjoint(digests)


class FakeReplays:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def find(self, tenant: str, scope: str, asked: Idempotency) -> JsonObject | None:
        kept = self._tables.replays.get((tenant, scope, asked.key))
        if kept is None:
            return None
        if kept[0] != asked.fingerprint:
            raise Rejected("Used for another request.", code="idempotency-key-reused")
        return kept[1]

    async def keep(
        self, tenant: str, scope: str, asked: Idempotency, answer: JsonObject, at: datetime
    ) -> None:
        place = (tenant, scope, asked.key)
        assert place not in self._tables.replays
        self._tables.replays[place] = (asked.fingerprint, answer, at)

    async def forget(self, before: datetime) -> None:
        replays = self._tables.replays
        for place in [place for place, kept in replays.items() if kept[2] < before]:
            del replays[place]


class FakeInbox:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def new_of(self, event_ids: Sequence[str]) -> set[str]:
        new = set(event_ids) - self._tables.inbox
        self._tables.inbox |= new
        return new

    async def forget(self) -> bool:
        return False


class FakeOutbox:
    def __init__(self) -> None:
        self.added: list[Fact] = []

    def add(self, *facts: Fact, at: datetime) -> None:
        self.added += facts


class FakeWork:
    """One transaction on a copy of the tables; `commit()` puts the copy in their place."""

    def __init__(self, world: "FakeWorld") -> None:
        self._world = world
        self._tables = copy.deepcopy(world.tables)
        self._recorded: list[Change] = []
        self.batches = FakeBatches(self._tables)
        self.uploads = FakeUploads(self._tables)
        self.recordings = FakeRecordings(self._tables)
        self.objects = FakeObjects(self._tables)
        self.keys = FakeKeys(self._tables)
        self.replays = FakeReplays(self._tables)
        self.inbox = FakeInbox(self._tables)
        self.outbox = FakeOutbox()

    def record(self, changes: Sequence[Change], *, actor: str, at: datetime) -> None:
        self._recorded += changes
        self.announce(changes, actor=actor, at=at)

    def announce(self, changes: Sequence[Change], *, actor: str, at: datetime) -> None:
        for change in changes:
            self.outbox.add(
                StatusChanged(
                    tenant=change.tenant,
                    kind=change.kind,
                    id=change.id,
                    batch_id=change.batch_id,
                    sequence=change.sequence,
                    previous=change.previous,
                    status=change.status,
                    reason=change.reason,
                    actor=actor,
                    changed_at=at,
                ),
                at=at,
            )

    async def steps_taken(self, kind: Kind, id_: str) -> int:
        history = self._tables.history
        return max(
            (one.sequence for one in history if (one.kind, one.id) == (kind, id_)), default=0
        )

    def now(self) -> datetime:
        return self._world.now

    async def clock(self) -> datetime:
        return self._world.now

    async def ping(self) -> None:
        pass

    async def commit(self) -> None:
        known = {(one.kind, one.id, one.sequence) for one in self._tables.history}
        for change in self._recorded:
            step = (change.kind, change.id, change.sequence)
            assert step not in known, f"two changes with one number: {step}"
            known.add(step)
        self._tables.history += self._recorded
        self._tables.outbox += self.outbox.added
        self._recorded, self.outbox.added = [], []
        self._world.tables = copy.deepcopy(self._tables)


@dataclass
class FakeWorld:
    """A database, a clock, a relay and whoever waits for an answer."""

    tables: FakeTables = field(default_factory=FakeTables)
    now: datetime = NOW
    away: bool = False
    wakes: int = 0
    told: int = 0
    replies: list[tuple[str, UploadOutcome]] = field(default_factory=list)
    received: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def work(self) -> AsyncIterator[FakeWork]:
        if self.away:
            raise Unavailable("The database is not reachable.", code="database-unavailable")
        yield FakeWork(self)

    def _wake(self) -> None:
        self.wakes += 1

    async def _tell(self) -> None:
        self.told += 1

    async def reply(self, subject: str, outcome: UploadOutcome) -> None:
        self.replies.append((subject, outcome))

    async def is_pending(self, upload: Upload) -> bool:
        return upload.upload_id in self.received

    def deps(self) -> Deps:
        return Deps(
            work=self.work,
            wake_relay=self._wake,
            tell_auth_changed=self._tell,
            replies=self,
            receipts=self,
            claim_lease=timedelta(seconds=10),
            upload_deadline=timedelta(days=1),
        )

    def facts(self, kind: type[Fact]) -> list[Any]:
        return [one for one in self.tables.outbox if isinstance(one, kind)]

    def steps(self, id_: str) -> list[str]:
        """The statuses a thing went through, checked to be numbered without a gap."""
        mine = [one for one in self.tables.history if one.id == id_]
        assert [one.sequence for one in mine] == list(range(1, len(mine) + 1))
        for earlier, later in pairwise(mine):
            assert later.previous == earlier.status
        told = [one.status for one in self.facts(StatusChanged) if one.id == id_]
        assert told == [one.status for one in mine]
        return told
