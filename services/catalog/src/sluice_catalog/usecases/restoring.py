"""Rows that were lost, made again from what is registered beside their object."""

from datetime import datetime

from sluice_catalog.domain import Recording, StoredObject, Upload, first_change
from sluice_catalog.ports import Work
from sluice_catalog.usecases.batches import rederive, restore_batch
from sluice_catalog.usecases.recordings import registered_fact
from sluice_contracts.facts import ObjectStored, RecordingUpload
from sluice_contracts.statuses import Kind, RecordingStatus, UploadStatus

_ACTOR = "reconcile"


async def restore_upload(fact: ObjectStored, now: datetime, work: Work) -> Upload:
    """The upload, and if need be the batch, that this registration speaks of."""
    told = fact.registration
    assert isinstance(told, RecordingUpload)
    await restore_batch(work, fact.tenant, told.batch_id, fact.stored_at, told.created_by)
    first = await work.steps_taken(Kind.UPLOAD, fact.upload_id) + 1
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
        sequence=first,
        created_at=fact.stored_at,
        created_by=told.created_by,
        deadline=now,
    )
    await work.uploads.add([upload])
    born = first_change(
        Kind.UPLOAD, fact.tenant, upload.upload_id, upload.batch_id, upload.status, first
    )
    work.record([born], actor=_ACTOR, at=now)
    return upload


async def restore_recording(
    fact: ObjectStored, upload: Upload, stored: StoredObject, now: datetime, work: Work
) -> None:
    """The recording that was described beside the object, unless it is there."""
    told = fact.description
    if told is None or await work.recordings.of_upload(upload.upload_id) is not None:
        return
    batch = await work.batches.lock(upload.tenant, upload.batch_id)
    first = await work.steps_taken(Kind.RECORDING, upload.recording_id) + 1
    recording = Recording(
        recording_id=upload.recording_id,
        tenant=upload.tenant,
        batch_id=upload.batch_id,
        upload_id=upload.upload_id,
        client_item_id=told.client_item_id,
        data=told.data,
        status=RecordingStatus.QUEUED,
        sequence=first,
        created_at=told.registered_at,
    )
    await work.recordings.add([recording])
    born = first_change(
        Kind.RECORDING,
        upload.tenant,
        recording.recording_id,
        batch.batch_id,
        recording.status,
        first,
    )
    _, changes = await rederive(work, batch)
    work.record([born, *changes], actor=_ACTOR, at=now)
    work.outbox.add(registered_fact(recording, stored), at=now)
