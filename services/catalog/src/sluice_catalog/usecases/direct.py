"""Direct uploads: their plan, their time, their end, and what is told of them afterwards."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from sluice_catalog.domain import Batch, Direct, Upload, lost_direct, planned_direct
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.batches import rederive, restore_batch
from sluice_contracts.base import JsonObject
from sluice_contracts.envelope import Event
from sluice_contracts.facts import DirectUpload, ObjectRejected, ObjectStored
from sluice_contracts.questions import (
    CancelDirect,
    DirectView,
    Done,
    GetDirect,
    OpenDirect,
    PlanDirect,
    ReopenDirect,
)
from sluice_contracts.statuses import Kind, UploadStatus
from sluice_runtime.errors import Conflict, NotFound
from sluice_runtime.trace import trace_of, tracing

_PLAN_SCOPE = "direct.plan"
_AT_ONCE = 200
_ACTOR = "storage"


async def plan_direct(question: PlanDirect, deps: Deps) -> DirectView:
    """Remember an upload to come; a repeated request gets the upload of the first, as it is now.

    Raises:
        NotFound: the named batch does not exist, or the first upload is gone.
    """
    tenant, actor = question.principal.tenant, question.principal.subject
    planned = question.upload
    async with deps.work() as work:
        if question.idempotency:
            first = await work.replays.find(tenant, _PLAN_SCOPE, question.idempotency)
            if first is not None:
                return (await work.direct.get(tenant, str(first["upload_id"]))).view()
        if planned.batch_id is not None:
            await work.batches.lock(tenant, planned.batch_id)
        now = work.now()
        deadline = await work.clock() + deps.upload_deadline
        upload = planned_direct(planned, tenant, actor, now, deadline)
        await work.direct.add(upload)
        work.record([upload.born()], actor=actor, at=now)
        if question.idempotency:
            kept: JsonObject = {"upload_id": upload.upload_id}
            await work.replays.keep(tenant, _PLAN_SCOPE, question.idempotency, kept, now)
        await work.commit()
    deps.wake_relay()
    return upload.view()


async def get_direct(question: GetDirect, deps: Deps) -> DirectView:
    """Raises `NotFound` for an upload of another tenant too."""
    async with deps.work() as work:
        upload = await work.direct.get(question.tenant, question.upload_id)
        code = await work.direct.failure_of(upload.upload_id)
    return await _view(upload, code, deps)


async def open_direct(question: OpenDirect, deps: Deps) -> DirectView:
    """Give an open upload its time anew, because its client is at work; raises `NotFound`."""
    code = None
    async with deps.work() as work:
        upload = await work.direct.lock(question.tenant, question.upload_id)
        if upload.is_open:
            moved, changes = upload.move_to(UploadStatus.UPLOADING)
            upload = replace(moved, deadline=await work.clock() + deps.upload_deadline)
            await work.direct.save(upload)
            work.record(changes, actor=question.actor, at=work.now())
            await work.commit()
        else:
            code = await work.direct.failure_of(upload.upload_id)
    deps.wake_relay()
    return await _view(upload, code, deps)


async def _view(upload: Direct, failure_code: str | None, deps: Deps) -> DirectView:
    """What is known of an upload; whether it is being completed is known to the stream alone."""
    completing = False
    if upload.status is UploadStatus.UPLOADING:
        completing = await deps.receipts.is_completing(upload.tenant, upload.upload_id)
    return upload.view(completing=completing, failure_code=failure_code)


async def reopen_direct(question: ReopenDirect, deps: Deps) -> DirectView:
    """Put a new session in the place of one the store lost, unless somebody did so before.

    Raises:
        NotFound: there is no such upload.
        Conflict: it has ended.
    """
    async with deps.work() as work:
        upload = await work.direct.lock(question.tenant, question.upload_id)
        if not upload.is_open:
            raise Conflict(f"Upload {upload.upload_id} is {upload.status}.", code="upload-ended")
        if upload.session_id == question.lost_session_id:
            upload = replace(upload, session_id=question.session_id)
            await work.direct.save(upload)
            await work.commit()
    return upload.view()


async def cancel_direct(question: CancelDirect, deps: Deps) -> Done:
    """End an upload and have everything of it removed; one that ended badly stays as it is.

    Raises:
        NotFound: there is no such upload.
        Conflict: it belongs to a batch, and goes with it.
    """
    async with deps.work() as work:
        upload = await work.direct.lock(question.tenant, question.upload_id)
        now = work.now()
        if upload.is_open:
            moved, changes = upload.move_to(UploadStatus.CANCELLED)
            await work.direct.save(moved)
            work.record(changes, actor=question.actor, at=now)
            work.outbox.add(upload.discarded(), at=now)
        elif upload.status is UploadStatus.REGISTERED:
            if upload.batch_id is not None:
                raise Conflict(
                    f"This upload is part of batch {upload.batch_id}; delete the batch.",
                    code="upload-in-batch",
                )
            await work.uploads.bury([upload.upload_id], now)
            await work.objects.mark([upload.upload_id], state="discarded")
            work.outbox.add(upload.discarded(), at=now)
            await work.direct.remove([upload.upload_id])
        await work.commit()
    deps.wake_relay()
    return Done()


async def take_direct(
    events: Sequence[Event[ObjectStored]], work: Work
) -> dict[str, Upload | None]:
    """Register direct uploads whose bytes were proven; those left out take no bytes any more.

    By upload: what stands for it in its batch, if it has one.
    """
    told = {event.data.upload_id: event for event in events}
    # Batches before uploads, as everywhere.
    batches = await _lock_batches(told.values(), work)
    rows = await work.direct.lock_many(list(told))
    missing = [one for one in told if one not in rows]
    buried = await work.uploads.buried(missing) if missing else set()
    kept: dict[str, Upload | None] = {}
    for upload_id, event in told.items():
        with tracing(trace_of(event.envelope)):
            upload = rows.get(upload_id)
            if upload is None and upload_id not in buried:
                upload = await _restore(event.data, batches, work)
            if upload is None:
                continue
            if upload.takes_bytes:
                kept[upload_id] = await _register(upload, event.data, batches, work)
            elif upload.status is UploadStatus.REGISTERED:
                kept[upload_id] = upload.member()
    return kept


async def _lock_batches(events: Iterable[Event[ObjectStored]], work: Work) -> dict[str, Batch]:
    wanted = {
        (event.data.tenant, event.data.registration.batch_id)
        for event in events
        if isinstance(event.data.registration, DirectUpload)
    }
    found: dict[str, Batch] = {}
    for tenant, batch_id in sorted((t, b) for t, b in wanted if b is not None):
        with suppress(NotFound):
            found[batch_id] = await work.batches.lock(tenant, batch_id)
    return found


async def _restore(fact: ObjectStored, batches: dict[str, Batch], work: Work) -> Direct:
    """The upload, and if need be the batch, that this registration speaks of."""
    registration = fact.registration
    assert isinstance(registration, DirectUpload)
    batch_id = registration.batch_id
    if batch_id is not None and batch_id not in batches:
        batches[batch_id] = await restore_batch(
            work, fact.tenant, batch_id, fact.stored_at, registration.created_by
        )
    first = await work.steps_taken(Kind.UPLOAD, fact.upload_id) + 1
    upload = lost_direct(fact, registration, first)
    await work.direct.add(upload)
    work.record([upload.born()], actor="reconcile", at=work.now())
    return upload


async def _register(
    upload: Direct, fact: ObjectStored, batches: dict[str, Batch], work: Work
) -> Upload | None:
    registered, changes = upload.registered(fact)
    await work.direct.save(registered)
    work.record(changes, actor=_ACTOR, at=work.now())
    member = registered.member()
    # It may be there although the rest of its upload was lost.
    if member is not None and await work.uploads.find(member.upload_id) is None:
        await work.uploads.add([member])
        batch, changes = await rederive(work, batches[member.batch_id])
        batches[member.batch_id] = batch
        work.record(changes, actor=_ACTOR, at=work.now())
    return member


async def reject_direct(fact: ObjectRejected, work: Work) -> None:
    """Bytes that are not what was promised end an upload; bytes that are missing may still come."""
    upload = (await work.direct.lock_many([fact.upload_id])).get(fact.upload_id)
    if upload is None or not upload.is_open or not fact.final:
        return
    failed, changes = upload.move_to(UploadStatus.FAILED, reason=fact.code)
    await work.direct.save(failed)
    work.record(changes, actor=_ACTOR, at=work.now())
    work.outbox.add(upload.discarded(), at=work.now())


async def expire_direct(deps: Deps) -> int:
    """End uploads whose time is over, unless their bytes are being read back; returns how many."""
    async with deps.work() as work:
        overdue = await work.direct.overdue(await work.clock(), _AT_ONCE)
    idle = [
        one.upload_id
        for one in overdue
        if not await deps.receipts.is_completing(one.tenant, one.upload_id)
    ]
    if not idle:
        return 0
    async with deps.work() as work:
        now = await work.clock()
        found = await work.direct.lock_many(idle)
        ended = [one for one in found.values() if one.is_open and one.deadline < now]
        for upload in ended:
            expired, changes = upload.move_to(UploadStatus.EXPIRED, reason="deadline passed")
            await work.direct.save(expired)
            work.record(changes, actor="catalog", at=now)
            work.outbox.add(upload.discarded(), at=now)
        await work.commit()
    deps.wake_relay()
    return len(ended)
