"""Batches: their derived status, reading and deleting them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sluice_catalog.domain import Batch, Change, Direct, PlacedState, Upload, first_change
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.discarding import discard_uploads
from sluice_contracts.base import Contract
from sluice_contracts.questions import (
    BatchState,
    BatchStates,
    BatchView,
    BatchViews,
    DeleteBatch,
    Done,
    GetBatch,
    ListBatches,
    ListRecordings,
    Page,
    RecordingState,
    RecordingStates,
    RecordingView,
    RecordingViews,
    ShowBatches,
    ShowRecordings,
)
from sluice_contracts.statuses import BatchStatus, Kind, UploadStatus, derive_batch

R = TypeVar("R", PlacedState, RecordingView)
U = TypeVar("U", Upload, Direct)

# Of one answer. NATS carries four times as much; but while an answer is put together, nobody else
# is given one.
_MOST_BYTES = 2 * 1024**2
_MOST_STATES = 5_000
# With their metadata, which may be 64 KiB each.
_MOST_VIEWS = 1_000
# What is said of so many uploads in one go holds up all others for a moment that nobody notices.
_AT_ONCE = 500


async def rederive(work: Work, batch: Batch) -> tuple[Batch, list[Change]]:
    """Save what the contents of a locked batch make of its status; the change, if any."""
    statuses, waiting = await work.batches.contents(batch.batch_id)
    moved, changes = batch.move_to(derive_batch(batch.status, statuses, waiting))
    if changes:
        await work.batches.save(moved)
    return moved, changes


async def get_batch(question: GetBatch, deps: Deps) -> BatchState:
    """Raises `NotFound` for a batch of another tenant too."""
    async with deps.work() as work:
        batch = await work.batches.get(question.tenant, question.batch_id)
        items = await work.recordings.states([batch.batch_id], limit=_limit(question))
    return _part_of_state(batch, items) if question.in_parts else _state(batch, items)


async def list_batches(question: ListBatches, deps: Deps) -> BatchStates:
    """A page of batches, newest first; a short one where many recordings fill the answer."""
    async with deps.work() as work:
        found = await work.batches.page(
            question.tenant, status=question.status, after=question.after, limit=question.limit + 1
        )
        shown = found[: question.limit]
        ids = [one.batch_id for one in shown]
        items = await work.recordings.states(ids, limit=_limit(question))
    states = [_state(one, items) for one in shown]
    fitting = states[: _fit(states)]
    if question.in_parts and len(fitting) == 1:
        fitting = [_part_of_state(shown[0], items)]
    return BatchStates(batches=tuple(fitting), next=_next(found, len(fitting)))


async def show_batches(question: ShowBatches, deps: Deps) -> BatchViews:
    """As `list_batches`, with everything the web page shows."""
    async with deps.work() as work:
        found = await work.batches.page(
            question.tenant, status=None, after=question.after, limit=question.limit + 1
        )
        shown = found[: question.limit]
        ids = [one.batch_id for one in shown]
        recordings = await work.recordings.views(ids, limit=_limit(question))
    views = [_view(one, recordings) for one in shown]
    fitting = views[: _fit(views)]
    if len(fitting) == 1:
        in_parts = question.in_parts
        fitting = [_part_of_view(shown[0], recordings) if in_parts else _slim(fitting[0])]
    return BatchViews(batches=tuple(fitting), next=_next(found, len(fitting)))


async def list_recordings(question: ListRecordings, deps: Deps) -> RecordingStates:
    """More of a batch that is read in parts; raises `NotFound` once it is gone."""
    async with deps.work() as work:
        found = await work.recordings.states(
            [question.batch_id], after=question.after, limit=_MOST_STATES + 1
        )
        # Asked afterwards: a batch that is still there was whole when its recordings were read.
        await work.batches.get(question.tenant, question.batch_id)
    items, following = _part(found.get(question.batch_id, []))
    return RecordingStates(items=items, next=following)


async def show_recordings(question: ShowRecordings, deps: Deps) -> RecordingViews:
    """As `list_recordings`, with everything the web page shows."""
    async with deps.work() as work:
        found = await work.recordings.views(
            [question.batch_id], after=question.after, limit=_MOST_VIEWS + 1
        )
        await work.batches.get(question.tenant, question.batch_id)
    shown, following = _part(found.get(question.batch_id, []))
    return RecordingViews(recordings=shown, next=following)


def _limit(question: GetBatch | ListBatches | ShowBatches) -> int | None:
    """How many recordings to read: one more than a part holds tells that there are more.

    Who does not ask for parts (a gateway of an earlier version) would take one for the whole.
    """
    most = _MOST_VIEWS if isinstance(question, ShowBatches) else _MOST_STATES
    return most + 1 if question.in_parts else None


def _state(batch: Batch, items: Mapping[str, Sequence[PlacedState]]) -> BatchState:
    return BatchState(
        batch_id=batch.batch_id,
        status=batch.status,
        created_at=batch.created_at,
        items=tuple(items.get(batch.batch_id, ())),
    )


def _view(batch: Batch, recordings: Mapping[str, Sequence[RecordingView]]) -> BatchView:
    return BatchView(
        batch_id=batch.batch_id,
        status=batch.status,
        created_at=batch.created_at,
        recordings=tuple(recordings.get(batch.batch_id, ())),
    )


def _part_of_state(batch: Batch, items: Mapping[str, Sequence[PlacedState]]) -> BatchState:
    shown, following = _part(items.get(batch.batch_id, ()))
    return _state(batch, {batch.batch_id: shown}).model_copy(update={"next": following})


def _part_of_view(batch: Batch, recordings: Mapping[str, Sequence[RecordingView]]) -> BatchView:
    shown, following = _part(recordings.get(batch.batch_id, ()))
    return _view(batch, {batch.batch_id: shown}).model_copy(update={"next": following})


def _part(found: Sequence[R]) -> tuple[tuple[R, ...], Page | None]:
    """As many recordings as one message can carry, and where the others begin."""
    count = _fit(found)
    if count == len(found):
        return tuple(found), None
    last = found[count - 1]
    return tuple(found[:count]), Page(created_at=last.created_at, id=last.recording_id)


def _fit(things: Sequence[BatchState | BatchView | RecordingState | RecordingView]) -> int:
    """How many of the things one message can carry; at least one, however large that is."""
    size, recordings = 0, 0
    for count, thing in enumerate(things):
        size += _size(thing)
        recordings += _recordings_in(thing)
        most = _MOST_VIEWS if isinstance(thing, BatchView | RecordingView) else _MOST_STATES
        if size > _MOST_BYTES or recordings > most:
            return max(count, 1)
    return len(things)


def _size(thing: Contract) -> int:
    return len(thing.model_dump_json().encode())


def _recordings_in(thing: BatchState | BatchView | RecordingState | RecordingView) -> int:
    if isinstance(thing, BatchState):
        return len(thing.items)
    return len(thing.recordings) if isinstance(thing, BatchView) else 1


def _slim(batch: BatchView) -> BatchView:
    """The whole batch, without the metadata that does not fit into one message."""
    size, shown = 0, []
    for recording in batch.recordings:
        size += _size(recording)
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
        async for uploads in _pages(work.uploads.lock_page, batch.batch_id):
            _cancel_unfinished(work, uploads, question.actor, work.now())
            await discard_uploads(work, batch.tenant, [upload.upload_id for upload in uploads])
            await work.outbox.flush()
        async for direct in _pages(work.direct.lock_page, batch.batch_id):
            await _forget_direct(work, direct, question.actor)
            await work.outbox.flush()
        await work.batches.delete(batch.batch_id)
        await work.commit()
    deps.wake_relay()
    return Done()


async def _pages(
    lock_page: Callable[[str, str, int], Awaitable[list[U]]], batch_id: str
) -> AsyncIterator[list[U]]:
    """All uploads of a batch, locked. To read them at once would hold up every other question, and
    a statement that wrote all that is said of them could run into its time limit."""
    after = ""
    while page := await lock_page(batch_id, after, _AT_ONCE):
        yield page
        after = page[-1].upload_id


async def _forget_direct(work: Work, uploads: list[Direct], actor: str) -> None:
    """Direct uploads go with their batch; those that ended are in it like all the others."""
    now = work.now()
    for upload in (one for one in uploads if one.is_open):
        _, changes = upload.move_to(UploadStatus.CANCELLED, reason="the batch was deleted")
        work.announce(changes, actor=actor, at=now)
        work.outbox.add(upload.discarded(), at=now)
    ids = [one.upload_id for one in uploads]
    await work.uploads.bury(ids, now)
    await work.direct.remove(ids)


def _cancel_unfinished(work: Work, uploads: list[Upload], actor: str, now: datetime) -> None:
    """Tell subscribers of uploads that would never end otherwise."""
    unfinished = (UploadStatus.CREATED, UploadStatus.UPLOADING)
    for upload in (one for one in uploads if one.status in unfinished):
        _, changes = upload.move_to(UploadStatus.CANCELLED, reason="the batch was deleted")
        work.announce(changes, actor=actor, at=now)
