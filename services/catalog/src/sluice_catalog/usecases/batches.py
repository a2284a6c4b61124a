"""Batches: their derived status, reading and deleting them."""

from collections.abc import Sequence
from datetime import datetime

from sluice_catalog.domain import Batch, Change, Upload, first_change
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.discarding import discard_uploads
from sluice_contracts.questions import (
    BatchState,
    BatchStates,
    BatchView,
    BatchViews,
    DeleteBatch,
    Done,
    GetBatch,
    ListBatches,
    Page,
    ShowBatches,
)
from sluice_contracts.statuses import BatchStatus, Kind, UploadStatus, derive_batch

_MOST_BYTES = 2 * 1024**2


async def rederive(work: Work, batch: Batch) -> tuple[Batch, list[Change]]:
    """Save what the contents of a locked batch make of its status; the change, if any."""
    statuses, waiting = await work.batches.contents(batch.batch_id)
    moved, changes = batch.move_to(derive_batch(batch.status, statuses, waiting))
    if changes:
        await work.batches.save(moved)
    return moved, changes


async def state_of(work: Work, batch: Batch) -> BatchState:
    """A batch with the states of its recordings."""
    items = (await work.recordings.states([batch.batch_id])).get(batch.batch_id, [])
    return BatchState(
        batch_id=batch.batch_id,
        status=batch.status,
        created_at=batch.created_at,
        items=tuple(items),
    )


async def get_batch(question: GetBatch, deps: Deps) -> BatchState:
    """Raises `NotFound` for a batch of another tenant too."""
    async with deps.work() as work:
        return await state_of(work, await work.batches.get(question.tenant, question.batch_id))


async def list_batches(question: ListBatches, deps: Deps) -> BatchStates:
    """A page of batches, newest first; a short one where many recordings fill the answer."""
    async with deps.work() as work:
        found = await work.batches.page(
            question.tenant, status=question.status, after=question.after, limit=question.limit + 1
        )
        shown = found[: question.limit]
        items = await work.recordings.states([one.batch_id for one in shown])
    states = tuple(
        BatchState(
            batch_id=one.batch_id,
            status=one.status,
            created_at=one.created_at,
            items=tuple(items.get(one.batch_id, ())),
        )
        for one in shown
    )
    fitting = states[: _fit(states)]
    return BatchStates(batches=fitting, next=_next(found, len(fitting)))


async def show_batches(question: ShowBatches, deps: Deps) -> BatchViews:
    """As `list_batches`, with everything the web page shows."""
    async with deps.work() as work:
        found = await work.batches.page(
            question.tenant, status=None, after=question.after, limit=question.limit + 1
        )
        shown = found[: question.limit]
        views = await work.recordings.views([one.batch_id for one in shown])
    batches = tuple(
        BatchView(
            batch_id=one.batch_id,
            status=one.status,
            created_at=one.created_at,
            recordings=tuple(views.get(one.batch_id, ())),
        )
        for one in shown
    )
    fitting = _fitting(batches)
    return BatchViews(batches=fitting, next=_next(found, len(fitting)))


def _fitting(batches: tuple[BatchView, ...]) -> tuple[BatchView, ...]:
    """As many batches as one message can carry, and at least one.

    A batch that is too large by itself is shown, and the metadata that does not fit left out.
    """
    count = _fit(batches)
    return (_slim(batches[0]),) if count == 1 else batches[:count]


def _fit(batches: Sequence[BatchState | BatchView]) -> int:
    """How many of the batches one message can carry; at least one, however large that is."""
    size = 0
    for count, batch in enumerate(batches):
        size += len(batch.model_dump_json())
        if size > _MOST_BYTES:
            return max(count, 1)
    return len(batches)


def _slim(batch: BatchView) -> BatchView:
    size, shown = 0, []
    for recording in batch.recordings:
        size += len(recording.model_dump_json())
        fits = size <= _MOST_BYTES
        shown.append(recording if fits else recording.model_copy(update={"metadata": {}}))
    return batch.model_copy(update={"recordings": tuple(shown)})


def _next(found: list[Batch], limit: int) -> Page | None:
    """Where the next page begins, when one more than asked for was found."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return Page(created_at=last.created_at, id=last.batch_id)


async def restore_batch(
    work: Work, tenant: str, batch_id: str, born_at: datetime, created_by: str
) -> Batch:
    """The batch a registration speaks of, born again if the catalog lost it."""
    first = await work.steps_taken(Kind.BATCH, batch_id) + 1
    batch = Batch(batch_id, tenant, BatchStatus.OPEN, first, born_at, created_by)
    if await work.batches.add(batch):
        born = first_change(Kind.BATCH, tenant, batch_id, batch_id, BatchStatus.OPEN, first)
        work.record([born], actor="reconcile", at=work.now())
        return batch
    return await work.batches.lock(tenant, batch_id)


async def delete_batch(question: DeleteBatch, deps: Deps) -> Done:
    """Forget a batch at once and have its objects removed; raises `NotFound`."""
    async with deps.work() as work:
        batch = await work.batches.lock(question.tenant, question.batch_id)
        uploads = await work.uploads.of_batch(batch.batch_id)
        ids = [upload.upload_id for upload in uploads]
        await _cancel_unfinished(work, uploads, question.actor, work.now())
        await discard_uploads(work, batch.tenant, ids)
        await _forget_direct(work, batch.batch_id, question.actor)
        await work.batches.delete(batch.batch_id)
        await work.commit()
    deps.wake_relay()
    return Done()


async def _forget_direct(work: Work, batch_id: str, actor: str) -> None:
    """Direct uploads go with their batch; those that ended are in it like all the others."""
    found, now = await work.direct.lock_batch(batch_id), work.now()
    for upload in (one for one in found if one.is_open):
        _, changes = upload.move_to(UploadStatus.CANCELLED, reason="the batch was deleted")
        work.announce(changes, actor=actor, at=now)
        work.outbox.add(upload.discarded(), at=now)
    ids = [one.upload_id for one in found]
    await work.uploads.bury(ids, now)
    await work.direct.remove(ids)


async def _cancel_unfinished(work: Work, uploads: list[Upload], actor: str, now: datetime) -> None:
    """Tell subscribers of uploads that would never end otherwise."""
    unfinished = (UploadStatus.CREATED, UploadStatus.UPLOADING)
    for upload in (one for one in uploads if one.status in unfinished):
        _, changes = upload.move_to(UploadStatus.CANCELLED, reason="the batch was deleted")
        work.announce(changes, actor=actor, at=now)
