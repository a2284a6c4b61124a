"""What storage tells the catalog about objects."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeGuard

from sluice_catalog.domain import StoredObject, Upload
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.batches import rederive
from sluice_catalog.usecases.calls import take_calls
from sluice_catalog.usecases.chunks import take_chunks
from sluice_catalog.usecases.direct import reject_direct, take_direct
from sluice_catalog.usecases.discarding import give_back
from sluice_catalog.usecases.recordings import advance_upload
from sluice_catalog.usecases.renders import take_renders
from sluice_catalog.usecases.reservations import keep_answer
from sluice_catalog.usecases.restoring import restore_recording, restore_upload
from sluice_contracts.envelope import Event
from sluice_contracts.facts import (
    ObjectCheckStarted,
    ObjectDamaged,
    ObjectDeleted,
    ObjectRejected,
    ObjectStored,
    ObjectVerified,
)
from sluice_contracts.questions import Failure, FailureDetail, UploadOutcome
from sluice_contracts.statuses import RecordingStatus, UploadStatus
from sluice_runtime.trace import trace_of, tracing

_ACTOR = "storage"
_PROVEN = (RecordingStatus.PROCESSING, RecordingStatus.COMPLETED)
_UNOWNED = FailureDetail(
    failure=Failure.CONFLICT,
    code="upload-taken-over",
    detail="The batch of this upload was deleted, or another request sent its bytes.",
)
_KEPT = (UploadStatus.STORED, UploadStatus.REGISTERED)

News = (
    ObjectStored
    | ObjectRejected
    | ObjectCheckStarted
    | ObjectVerified
    | ObjectDamaged
    | ObjectDeleted
)


async def take_news(events: Sequence[Event[News]], deps: Deps) -> None:
    """Let what storage said take effect: all of it in one transaction, each fact once."""
    async with deps.work() as work:
        new = await work.inbox.new_of([event.envelope.id for event in events])
        fresh = {event.envelope.id: event for event in events if event.envelope.id in new}
        # What locks batches comes before what locks uploads, as elsewhere. Two catalogs may still
        # meet the other way round; Postgres ends one of them, and its facts come again.
        for event in fresh.values():
            with tracing(trace_of(event.envelope)):
                await _take(event.data, work)
        stored = [one for one in fresh.values() if _is_stored(one)]
        repeated = [one for one in events if _is_stored(one) and one.envelope.id not in new]
        unowned = await _take_stored(stored, work) | await _disowned(repeated, work)
        await work.commit()
    deps.wake_relay()
    for event in events:
        await _reply(event, event.envelope.id not in unowned, deps)


def _is_stored(event: Event[News]) -> TypeGuard[Event[ObjectStored]]:
    return isinstance(event.data, ObjectStored)


async def _take(fact: News, work: Work) -> None:
    """One fact; stored objects are taken together afterwards."""
    match fact:
        case ObjectRejected():
            await _take_rejected(fact, work)
        case ObjectCheckStarted():
            await advance_upload(work, fact.upload_id, (RecordingStatus.PROCESSING,), actor=_ACTOR)
        case ObjectVerified():
            await work.objects.mark([fact.upload_id], verified_at=fact.verified_at)
            await advance_upload(work, fact.upload_id, _PROVEN, actor=_ACTOR)
        case ObjectDamaged():
            await work.objects.mark([fact.upload_id], state="damaged")
            failed = (RecordingStatus.FAILED,)
            await advance_upload(work, fact.upload_id, failed, actor=_ACTOR, reason=fact.detail)
        case ObjectDeleted():
            await work.objects.remove_discarded(fact.key)
            await work.media.forget(fact.upload_id)


async def _reply(event: Event[News], owned: bool, deps: Deps) -> None:
    """Tell the gateway that waits; a repeated fact is answered again."""
    fact = event.data
    match fact:
        case ObjectStored(reply_to=str() as subject):
            await deps.replies.reply(subject, _outcome(fact, None if owned else _UNOWNED))
        case ObjectRejected(reply_to=str() as subject):
            failure = FailureDetail(
                failure=Failure.REJECTED if fact.final else Failure.UNAVAILABLE,
                code=fact.code,
                detail=fact.detail,
                retry_after_seconds=None if fact.final else 1,
            )
            await deps.replies.reply(subject, _outcome(fact, failure))


def _outcome(fact: ObjectStored | ObjectRejected, failure: FailureDetail | None) -> UploadOutcome:
    return UploadOutcome(
        upload_id=fact.upload_id,
        claim_id=fact.claim_id,
        state="rejected" if failure else "registered",
        failure=failure,
    )


async def _take_stored(events: Sequence[Event[ObjectStored]], work: Work) -> set[str]:
    """Own objects from now on, each in the way of its door.

    Returns the ids of the events whose object is nobody's.
    """
    by_kind: dict[str, list[Event[ObjectStored]]] = {}
    for event in events:
        by_kind.setdefault(event.data.registration.kind, []).append(event)
    unowned: set[str] = set()
    for kind, stored in by_kind.items():
        unowned |= await _DOORS[kind](stored, work)
    return unowned


async def _disowned(events: Sequence[Event[ObjectStored]], work: Work) -> set[str]:
    """Ids of the events, all of which took effect before, whose object is nobody's: whoever sent
    it may not have heard of that yet."""
    if not events:
        return set()
    ids = [event.data.upload_id for event in events]
    objects, uploads = await work.objects.of_uploads(ids), await work.uploads.lock_many(ids)

    def is_disowned(fact: ObjectStored) -> bool:
        stored, upload = objects.get(fact.upload_id), uploads.get(fact.upload_id)
        is_taken_over = upload is not None and _is_of_another_attempt(fact, upload)
        return is_taken_over or stored is None or stored.state == "discarded"

    return {event.envelope.id for event in events if is_disowned(event.data)}


async def _take_form_files(
    events: Sequence[Event[ObjectStored]],
    work: Work,
    make: Callable[[Sequence[Event[ObjectStored]], Work], Awaitable[None]],
) -> set[str]:
    """Files that came through a form: what they are is made in one step with owning them."""
    buried = await work.uploads.buried([event.data.upload_id for event in events])
    owned = [event for event in events if event.data.upload_id not in buried]
    objects = [_object_of(event.data) for event in owned]
    for event in events:
        if event.data.upload_id in buried:
            with tracing(trace_of(event.envelope)):
                objects.append(_discard(event.data, work))
    # What has to be asked comes first: all that is written then goes out at once.
    await make(owned, work)
    await work.objects.add(objects)
    for event in owned:
        await keep_answer(event.data, work)
    return {event.envelope.id for event in events if event.data.upload_id in buried}


async def _take_direct(events: Sequence[Event[ObjectStored]], work: Work) -> set[str]:
    """Own what clients sent to the store themselves; returns the ids of the events whose object is
    nobody's any more."""
    kept = await take_direct(events, work)
    unowned: set[str] = set()
    objects: list[StoredObject] = []
    for event in events:
        fact = event.data
        with tracing(trace_of(event.envelope)):
            if fact.upload_id in kept:
                objects.append(_object_of(fact))
            else:
                unowned.add(event.envelope.id)
                objects.append(_discard(fact, work))
    await work.objects.add(objects)
    for event in events:
        member = kept.get(event.data.upload_id)
        if member is not None:
            with tracing(trace_of(event.envelope)):
                await restore_recording(
                    event.data, member, _object_of(event.data), work.now(), work
                )
    return unowned


async def _take_planned(events: Sequence[Event[ObjectStored]], work: Work) -> set[str]:
    """Own the bytes of planned uploads: their rows, the uploads registered, subscribers told.

    Returns the ids of the events whose object is nobody's.

    Bytes of a deleted batch are discarded; bytes of an upload nobody knows are a row that was
    lost, and their registration is enough to bring it back.
    """
    unowned: set[str] = set()
    ids = [event.data.upload_id for event in events]
    uploads = await work.uploads.lock_many(ids)
    missing = [one for one in ids if one not in uploads]
    buried = await work.uploads.buried(missing) if missing else set()
    now = work.now()
    objects: list[StoredObject] = []
    # A batch that gave up on an upload takes recordings again when its bytes come after all.
    late = [one for one in uploads.values() if one.status is UploadStatus.EXPIRED]
    for event in events:
        fact = event.data
        with tracing(trace_of(event.envelope)):
            upload = uploads.get(fact.upload_id)
            if upload is None and fact.upload_id not in buried:
                upload = await restore_upload(fact, now, work)
            if upload is not None and _is_of_another_attempt(fact, upload):
                unowned.add(event.envelope.id)
                continue
            if upload is None:
                unowned.add(event.envelope.id)
                objects.append(_discard(fact, work))
                continue
            stored = _object_of(fact)
            objects.append(stored)
            uploads[fact.upload_id] = _register(upload, now, work)
            if fact.description is not None:
                await restore_recording(fact, upload, stored, now, work)
    await work.objects.add(objects)
    await work.uploads.save(list(uploads.values()))
    for upload in late:
        batch = await work.batches.lock(upload.tenant, upload.batch_id)
        work.record((await rederive(work, batch))[1], actor=_ACTOR, at=now)
    return unowned


def _is_of_another_attempt(fact: ObjectStored | ObjectRejected, upload: Upload) -> bool:
    """Whether somebody else claimed the upload since: this attempt was never acknowledged."""
    return (
        upload.claim_id is not None
        and fact.claim_id is not None
        and fact.claim_id != upload.claim_id
    )


def _register(upload: Upload, now: datetime, work: Work) -> Upload:
    if upload.status in _KEPT:
        return upload
    moved, changes = upload.move_to(UploadStatus.STORED, UploadStatus.REGISTERED)
    work.record(changes, actor=_ACTOR, at=now)
    return replace(moved, claimed_until=None)


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
        verified_at=fact.verified_at,
    )


def _discard(fact: ObjectStored, work: Work) -> StoredObject:
    give_back(fact, work)
    return replace(_object_of(fact), state="discarded")


async def _take_rejected(fact: ObjectRejected, work: Work) -> None:
    """Free an upload for another attempt: the store does not hold what this one sent."""
    upload = await work.uploads.find(fact.upload_id)
    if upload is None:
        await reject_direct(fact, work)
        return
    if _is_of_another_attempt(fact, upload):
        return
    if upload.status is UploadStatus.UPLOADING:
        await work.uploads.save([replace(upload, claimed_until=None)])


# How each door owns what was stored for it.
_DOORS: Mapping[str, Callable[[Sequence[Event[ObjectStored]], Work], Awaitable[set[str]]]] = {
    "recording": _take_planned,
    "direct": _take_direct,
    "chunk": partial(_take_form_files, make=take_chunks),
    "call": partial(_take_form_files, make=take_calls),
    "render": partial(_take_form_files, make=take_renders),
}
