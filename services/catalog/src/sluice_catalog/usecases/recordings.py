"""Recordings: from uploaded blobs to things with a status."""

from collections.abc import Sequence
from datetime import datetime

from sluice_catalog.domain import Batch, Recording, StoredObject, Upload, first_change
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.batches import rederive
from sluice_contracts.facts import RecordingRegistered, StoredBytes
from sluice_contracts.questions import (
    BatchState,
    GetRecording,
    RecordingItem,
    RecordingView,
    RegisterRecordings,
    ReportStatus,
)
from sluice_contracts.statuses import TERMINAL, BatchStatus, Kind, RecordingStatus, UploadStatus
from sluice_runtime.errors import Conflict, Rejected

_REGISTER_SCOPE = "recordings.register"


async def register_recordings(question: RegisterRecordings, deps: Deps) -> BatchState:
    """Make recordings of uploaded blobs: all of the items, or none.

    Raises:
        NotFound: there is no such batch.
        Conflict: the batch is closed, or a blob is not (yet) one of its uploads.
    """
    tenant = question.principal.tenant
    async with deps.work() as work:
        for asked in question.idempotency:
            first = await work.replays.find(tenant, _REGISTER_SCOPE, asked)
            if first is not None:
                return BatchState.model_validate(first)
        uploads, objects, batch = await _check(question, work)
        now = work.now()
        recordings = [
            _recording(item, upload, now)
            for item, upload in zip(question.items, uploads, strict=True)
        ]
        await work.recordings.add(recordings)
        births = [
            first_change(Kind.RECORDING, tenant, one.recording_id, batch.batch_id, one.status)
            for one in recordings
        ]
        moved, changes = await rederive(work, batch)
        work.record([*births, *changes], actor=question.principal.subject, at=now)
        facts = [
            registered_fact(recording, stored)
            for recording, stored in zip(recordings, objects, strict=True)
        ]
        work.outbox.add(*facts, at=now)
        answer = _answer(moved, recordings)
        for asked in question.idempotency:
            kept = answer.model_dump(mode="json")
            await work.replays.keep(tenant, _REGISTER_SCOPE, asked, kept, now)
        await work.commit()
    deps.wake_relay()
    return answer


def _answer(batch: Batch, recordings: Sequence[Recording]) -> BatchState:
    """The batch as it is now, with the recordings of this request alone."""
    state = BatchState(batch_id=batch.batch_id, status=batch.status, created_at=batch.created_at)
    items = tuple(
        {
            "client_item_id": one.client_item_id,
            "recording_id": one.recording_id,
            "status": one.status,
        }
        for one in recordings
    )
    return BatchState.model_validate({**state.model_dump(), "items": items})


async def _check(
    question: RegisterRecordings, work: Work
) -> tuple[list[Upload], list[StoredObject], Batch]:
    """The uploads behind the items, in their order, their objects, and the locked batch."""
    if question.batch_id is None:
        raise _not_linked(question.items[0].blob_ref, None)
    _refuse_repeats(question.items)
    tenant = question.principal.tenant
    batch = await work.batches.lock(tenant, question.batch_id)
    keys = [_key_of(item.blob_ref) for item in question.items]
    by_key = await work.uploads.lock_keys(tenant, keys)
    uploads: list[Upload] = []
    for item, key in zip(question.items, keys, strict=True):
        upload = by_key.get(key)
        if upload is None or upload.blob_ref != item.blob_ref or upload.batch_id != batch.batch_id:
            raise _not_linked(item.blob_ref, batch.batch_id)
        uploads.append(upload)
    await _refuse_taken(batch, uploads, work)
    for upload in uploads:
        _refuse_unfinished(upload)
    objects = await work.objects.of_uploads([upload.upload_id for upload in uploads])
    return uploads, [objects[upload.upload_id] for upload in uploads], batch


def _key_of(blob_ref: str) -> str:
    """The key in `blob://s3/<bucket>/<key>`; anything else matches no upload."""
    return blob_ref.removeprefix("blob://s3/").partition("/")[2]


def _not_linked(blob_ref: str, batch_id: str | None) -> Conflict:
    batch = batch_id or "(none given)"
    return Conflict(
        f"Blob {blob_ref} is not linked to batch {batch}. Send the batch_id that presigned it.",
        code="blob-not-linked",
    )


def _refuse_repeats(items: Sequence[RecordingItem]) -> None:
    for name in ("blob_ref", "client_item_id"):
        values = [getattr(item, name) for item in items]
        if len(set(values)) < len(values):
            raise Rejected(f"Each item needs its own {name}.", code="duplicate-item")


async def _refuse_taken(batch: Batch, uploads: Sequence[Upload], work: Work) -> None:
    taken = await work.recordings.taken([upload.upload_id for upload in uploads])
    if not taken:
        return
    if batch.status not in (BatchStatus.OPEN, BatchStatus.PENDING):
        raise Conflict(
            f"Batch {batch.batch_id} is {batch.status} and takes no more recordings. "
            "Presign again to add to it.",
            code="batch-closed",
        )
    blob = next(upload.blob_ref for upload in uploads if upload.upload_id in taken)
    raise Conflict(f"Blob {blob} is a recording already.", code="blob-already-registered")


def _refuse_unfinished(upload: Upload) -> None:
    if upload.status is UploadStatus.REGISTERED:
        return
    if upload.status is UploadStatus.CREATED:
        raise Conflict(
            f"Blob {upload.blob_ref} was never uploaded. PUT its bytes first.",
            code="blob-not-uploaded",
        )
    if upload.status in (UploadStatus.UPLOADING, UploadStatus.STORED):
        raise Conflict(
            f"Blob {upload.blob_ref} is still being uploaded.",
            code="blob-not-uploaded",
            retry_after_seconds=1,
        )
    raise Conflict(
        f"The upload of blob {upload.blob_ref} is {upload.status}. Presign it again.",
        code="blob-not-uploaded",
    )


def _recording(item: RecordingItem, upload: Upload, now: datetime) -> Recording:
    return Recording(
        recording_id=upload.recording_id,
        tenant=upload.tenant,
        batch_id=upload.batch_id,
        upload_id=upload.upload_id,
        client_item_id=item.client_item_id,
        data=item.data,
        status=RecordingStatus.QUEUED,
        sequence=1,
        created_at=now,
    )


def registered_fact(recording: Recording, stored: StoredObject) -> RecordingRegistered:
    """The fact that has storage keep the description and prove the bytes."""
    return RecordingRegistered(
        tenant=recording.tenant,
        recording_id=recording.recording_id,
        batch_id=recording.batch_id,
        upload_id=recording.upload_id,
        client_item_id=recording.client_item_id,
        data=recording.data,
        bytes=StoredBytes(
            bucket=stored.bucket,
            key=stored.key,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            content_type=stored.content_type,
        ),
        registered_at=recording.created_at,
    )


async def get_recording(question: GetRecording, deps: Deps) -> RecordingView:
    """Raises `NotFound` for a recording of another tenant too."""
    async with deps.work() as work:
        return await work.recordings.view(question.tenant, question.recording_id)


async def move_recording(question: ReportStatus, status: RecordingStatus, work: Work) -> None:
    """Take a worker's word for how far it is.

    Raises:
        NotFound: there is no such recording.
        IllegalTransition: the table has no such move.
    """
    found = await work.recordings.find(question.tenant, question.id)
    batch, recording = await lock_recording(work, found)
    if recording is not None:
        await advance(
            work, batch, recording, (status,), actor=question.actor, reason=question.reason
        )


async def lock_recording(work: Work, found: Recording) -> tuple[Batch, Recording | None]:
    """A recording and its batch as they are now, held until this transaction ends.

    The batch comes first, as everywhere; the recording may have moved on, or be gone, since it
    was found.
    """
    batch = await work.batches.lock(found.tenant, found.batch_id)
    return batch, await work.recordings.lock(found.recording_id)


async def advance(
    work: Work,
    batch: Batch,
    recording: Recording,
    path: tuple[RecordingStatus, ...],
    *,
    actor: str,
    reason: str | None = None,
) -> None:
    """Move a locked recording along `path`, step by step, and its batch with it.

    Raises:
        IllegalTransition: the table has no such move.
    """
    now = work.now()
    for status in path:
        recording, changes = recording.move_to(status, reason=reason)
        if not changes:
            continue
        await work.recordings.save(recording)
        batch, batch_changes = await rederive(work, batch)
        work.record([*changes, *batch_changes], actor=actor, at=now)


async def advance_upload(
    work: Work,
    upload_id: str,
    path: tuple[RecordingStatus, ...],
    *,
    actor: str,
    reason: str | None = None,
) -> None:
    """Move the recording of an upload along the rest of `path`; one that has ended stays."""
    found = await work.recordings.of_upload(upload_id)
    if found is None:
        return
    batch, recording = await lock_recording(work, found)
    if recording is None or recording.status in TERMINAL[Kind.RECORDING]:
        return
    done = path.index(recording.status) + 1 if recording.status in path else 0
    await advance(work, batch, recording, path[done:], actor=actor, reason=reason)
