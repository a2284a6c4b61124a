"""What storage tells the catalog about objects, and what reconciliation asks."""

from dataclasses import replace

from sluice_catalog.domain import (
    Batch,
    Recording,
    StoredObject,
    Upload,
    first_change,
)
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.batches import rederive
from sluice_catalog.usecases.recordings import advance, lock_recording, registered_fact
from sluice_contracts.envelope import Event
from sluice_contracts.facts import (
    ObjectCheckStarted,
    ObjectDamaged,
    ObjectDeleted,
    ObjectDiscarded,
    ObjectRejected,
    ObjectStored,
    ObjectVerified,
)
from sluice_contracts.questions import (
    Done,
    Failure,
    FailureDetail,
    FindOwners,
    ListOwnedObjects,
    OwnedObjects,
    ReportMissing,
    UploadOutcome,
)
from sluice_contracts.statuses import (
    TERMINAL,
    BatchStatus,
    Kind,
    RecordingStatus,
    UploadStatus,
)

_ACTOR = "storage"
_KEPT = (UploadStatus.STORED, UploadStatus.REGISTERED)


async def take_stored(event: Event[ObjectStored], deps: Deps) -> None:
    """Own the object from now on: its row, the upload registered, subscribers told.

    Bytes of a deleted batch are discarded; bytes of an upload nobody knows are a row that was
    lost, and their registration is enough to bring it back.
    """
    fact = event.data
    async with deps.work() as work:
        if await work.inbox.is_new(event.envelope.id):
            upload = await work.uploads.find(fact.upload_id)
            if upload is None and not await work.uploads.is_buried(fact.upload_id):
                upload = await _restore_upload(fact, work)
            if upload is None or upload.status is UploadStatus.FAILED:
                await _discard(fact, work)
            else:
                await _register(fact, upload, work)
            await work.commit()
    deps.wake_relay()
    if fact.reply_to:
        outcome = UploadOutcome(upload_id=fact.upload_id, state="registered")
        await deps.replies.reply(fact.reply_to, outcome)


async def _register(fact: ObjectStored, upload: Upload, work: Work) -> None:
    stored = _object_of(fact)
    await work.objects.add(stored)
    if upload.status not in _KEPT:
        now = await work.now()
        moved, changes = upload.move_to(UploadStatus.STORED, UploadStatus.REGISTERED)
        await work.uploads.save(replace(moved, claim_id=None, claimed_until=None))
        await work.record(changes, actor=_ACTOR, at=now)
    if fact.description is not None:
        await _restore_recording(fact, upload, stored, work)


def _object_of(fact: ObjectStored) -> StoredObject:
    return StoredObject(
        key=fact.bytes.key,
        upload_id=fact.upload_id,
        tenant=fact.tenant,
        bucket=fact.bytes.bucket,
        size_bytes=fact.bytes.size_bytes,
        sha256=fact.bytes.sha256,
        etag=fact.etag,
        content_type=fact.bytes.content_type,
        detected_type=fact.detected_type,
        state="stored",
        stored_at=fact.stored_at,
    )


async def _discard(fact: ObjectStored, work: Work) -> None:
    now = await work.now()
    await work.objects.add(replace(_object_of(fact), state="discarded"))
    gone = ObjectDiscarded(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        bucket=fact.bytes.bucket,
        key=fact.bytes.key,
    )
    await work.outbox.add(gone, at=now)


async def _restore_upload(fact: ObjectStored, work: Work) -> Upload:
    """The upload, and if need be the batch, that this registration speaks of."""
    told = fact.registration
    now = await work.now()
    batch = Batch(told.batch_id, fact.tenant, BatchStatus.OPEN, 1, fact.stored_at, told.created_by)
    if await work.batches.add(batch):
        born = first_change(
            Kind.BATCH, fact.tenant, batch.batch_id, batch.batch_id, BatchStatus.OPEN
        )
        await work.record([born], actor="reconcile", at=now)
    upload = Upload(
        upload_id=fact.upload_id,
        tenant=fact.tenant,
        batch_id=told.batch_id,
        recording_id=told.recording_id,
        filename=told.filename,
        content_type=fact.bytes.content_type,
        bucket=fact.bytes.bucket,
        key=fact.bytes.key,
        status=UploadStatus.CREATED,
        sequence=1,
        created_at=fact.stored_at,
        created_by=told.created_by,
        deadline=now,
    )
    await work.uploads.add([upload])
    born = first_change(Kind.UPLOAD, fact.tenant, upload.upload_id, upload.batch_id, upload.status)
    await work.record([born], actor="reconcile", at=now)
    return upload


async def _restore_recording(
    fact: ObjectStored, upload: Upload, stored: StoredObject, work: Work
) -> None:
    """The recording that was described beside the object, unless it is there."""
    told = fact.description
    if told is None or await work.recordings.of_upload(upload.upload_id) is not None:
        return
    now = await work.now()
    batch = await work.batches.lock(upload.tenant, upload.batch_id)
    recording = Recording(
        recording_id=upload.recording_id,
        tenant=upload.tenant,
        batch_id=upload.batch_id,
        upload_id=upload.upload_id,
        client_item_id=told.client_item_id,
        data=told.data,
        status=RecordingStatus.QUEUED,
        sequence=1,
        created_at=told.registered_at,
    )
    await work.recordings.add([recording])
    born = first_change(
        Kind.RECORDING, upload.tenant, recording.recording_id, batch.batch_id, recording.status
    )
    _, changes = await rederive(work, batch)
    await work.record([born, *changes], actor="reconcile", at=now)
    await work.outbox.add(registered_fact(recording, stored), at=now)


async def take_rejected(event: Event[ObjectRejected], deps: Deps) -> None:
    """End an upload that cannot be kept, or free it for another attempt."""
    fact = event.data
    async with deps.work() as work:
        if await work.inbox.is_new(event.envelope.id):
            upload = await work.uploads.find(fact.upload_id)
            if upload is not None and upload.status not in (*_KEPT, *TERMINAL[Kind.UPLOAD]):
                free = replace(upload, claim_id=None, claimed_until=None)
                if not fact.retryable:
                    free, changes = free.move_to(UploadStatus.FAILED, reason=fact.detail)
                    await work.record(changes, actor=_ACTOR, at=await work.now())
                await work.uploads.save(free)
            await work.commit()
    deps.wake_relay()
    if fact.reply_to:
        failure = FailureDetail(
            failure=Failure.UNAVAILABLE if fact.retryable else Failure.REJECTED,
            code=fact.code,
            detail=fact.detail,
            retry_after_seconds=1 if fact.retryable else None,
        )
        outcome = UploadOutcome(upload_id=fact.upload_id, state="rejected", failure=failure)
        await deps.replies.reply(fact.reply_to, outcome)


async def take_check_started(event: Event[ObjectCheckStarted], deps: Deps) -> None:
    """The bytes are being read back: the recording is processing."""
    await _advance(event, (RecordingStatus.PROCESSING,), deps)


async def take_verified(event: Event[ObjectVerified], deps: Deps) -> None:
    """The bytes are proven: the recording is completed, even if this came first."""
    path = (RecordingStatus.PROCESSING, RecordingStatus.COMPLETED)
    await _advance(event, path, deps, verified_at=event.data.verified_at)


async def take_damaged(event: Event[ObjectDamaged], deps: Deps) -> None:
    """The bytes are not what they were: the recording failed."""
    path = (RecordingStatus.FAILED,)
    await _advance(event, path, deps, reason=event.data.detail, state="damaged")


async def _advance(
    event: Event[ObjectCheckStarted] | Event[ObjectVerified] | Event[ObjectDamaged],
    path: tuple[RecordingStatus, ...],
    deps: Deps,
    *,
    reason: str | None = None,
    **marks: object,
) -> None:
    """Move the recording of this object along `path`; one that has ended stays as it is."""
    fact = event.data
    async with deps.work() as work:
        if await work.inbox.is_new(event.envelope.id):
            if marks:
                await work.objects.mark([fact.upload_id], **marks)
            await _advance_recording(work, fact.upload_id, path, actor=_ACTOR, reason=reason)
            await work.commit()
    deps.wake_relay()


async def _advance_recording(
    work: Work,
    upload_id: str,
    path: tuple[RecordingStatus, ...],
    *,
    actor: str,
    reason: str | None,
) -> None:
    """Move the recording of an upload along the rest of `path`, unless it has ended."""
    found = await work.recordings.of_upload(upload_id)
    if found is None:
        return
    batch, recording = await lock_recording(work, found)
    if recording is None or recording.status in TERMINAL[Kind.RECORDING]:
        return
    done = path.index(recording.status) + 1 if recording.status in path else 0
    await advance(work, batch, recording, path[done:], actor=actor, reason=reason)


async def take_deleted(event: Event[ObjectDeleted], deps: Deps) -> None:
    """The bytes of a discarded object are gone: forget it."""
    async with deps.work() as work:
        await work.objects.remove_discarded(event.data.key)
        await work.commit()


async def list_owned(question: ListOwnedObjects, deps: Deps) -> OwnedObjects:
    """A page of the objects the catalog owns or waits for, in key order."""
    async with deps.work() as work:
        return OwnedObjects(objects=tuple(await work.objects.page(question.after, question.limit)))


async def find_owners(question: FindOwners, deps: Deps) -> OwnedObjects:
    """Those of the keys that the catalog owns or waits for."""
    async with deps.work() as work:
        return OwnedObjects(objects=tuple(await work.objects.find(question.keys)))


async def report_missing(question: ReportMissing, deps: Deps) -> Done:
    """An object is gone from the store: mark it, and fail what stands on it."""
    async with deps.work() as work:
        stored = await work.objects.by_key(question.key)
        if stored is not None and stored.state == "stored":
            await work.objects.mark([stored.upload_id], state="damaged")
            path = (RecordingStatus.FAILED,)
            reason = "the object is missing"
            await _advance_recording(work, stored.upload_id, path, actor="reconcile", reason=reason)
            await work.commit()
    deps.wake_relay()
    return Done()
