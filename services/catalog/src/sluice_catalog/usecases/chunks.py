"""Chunks: their birth from stored bytes, their status, reading them, and the holes between."""

from collections.abc import Sequence
from uuid import UUID

from sluice_catalog.domain import Chunk, chunk_of, first_change, known_uuid, moved
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.discarding import give_back
from sluice_contracts.envelope import Event
from sluice_contracts.facts import ChunkUpload, ObjectStored
from sluice_contracts.questions import (
    Chunks,
    ChunkView,
    FindGaps,
    Gaps,
    GetChunk,
    ListChunks,
    Page,
    ReportStatus,
)
from sluice_contracts.statuses import ChunkStatus, Kind
from sluice_contracts.tasks import ChunkTask
from sluice_runtime.trace import trace_of, tracing

_MOST_GAPS = 1000


async def take_chunks(events: Sequence[Event[ObjectStored]], work: Work) -> None:
    """Make chunks of stored bytes, each with the task of working through it.

    A chunk that is there already stays as it is: recorders repeat themselves. One that came again
    under another codec, and so lies at another key, is given back.
    """
    told = [(event, _chunk_upload(event.data)) for event in events]
    wanted: dict[UUID, tuple[Event[ObjectStored], ChunkUpload]] = {}
    for event, registration in told:
        wanted.setdefault(registration.chunk_id, (event, registration))
    known = await work.chunks.known({one: reg.start_ts for one, (_, reg) in wanted.items()})
    fresh = [pair for chunk_id, pair in wanted.items() if chunk_id not in known]
    steps = await work.steps_of(Kind.CHUNK, [str(reg.chunk_id) for _, reg in fresh])
    added: list[Chunk] = []
    for event, registration in fresh:
        first = steps.get(str(registration.chunk_id), 0) + 1
        chunk = chunk_of(event.data, registration, first)
        with tracing(trace_of(event.envelope)):
            added.append(_queue(chunk, event.data.bytes.bucket, registration, work))
    await work.chunks.add(added)
    keys = known | {one.chunk_id: one.file_path for one in added}
    for event, registration in told:
        if event.data.bytes.key != keys[registration.chunk_id]:
            give_back(event.data, work)
    await work.devices.seen({one.device_id: one.created_at for one in _by_age(told)})


def _chunk_upload(fact: ObjectStored) -> ChunkUpload:
    assert isinstance(fact.registration, ChunkUpload)
    return fact.registration


def _by_age(told: Sequence[tuple[Event[ObjectStored], ChunkUpload]]) -> list[ChunkUpload]:
    """The latest of each device comes last, and so wins."""
    return sorted((upload for _, upload in told), key=lambda one: one.created_at)


def _queue(chunk: Chunk, bucket: str, told: ChunkUpload, work: Work) -> Chunk:
    """Its birth, and the task, which is as durable as the row: the outbox holds both."""
    now = work.now()
    born = first_change(Kind.CHUNK, chunk.tenant, chunk.id, None, chunk.status, chunk.sequence)
    queued, changes = moved(chunk, ChunkStatus.QUEUED)
    work.record([born, *changes], actor=told.created_by, at=now)
    work.outbox.add_task(_task(chunk, bucket), tenant=chunk.tenant)
    return queued


def _task(chunk: Chunk, bucket: str) -> ChunkTask:
    return ChunkTask(
        chunk_id=chunk.chunk_id,
        device_id=chunk.device_id,
        s3_bucket=bucket,
        s3_key=chunk.file_path,
        codec=chunk.codec,
        sample_rate=chunk.sample_rate,
        channels=chunk.channels,
        start_ts=chunk.start_ts,
        end_ts=chunk.end_ts,
        size_bytes=chunk.file_size_bytes,
    )


async def get_chunk(question: GetChunk, deps: Deps) -> ChunkView:
    """Raises `NotFound` for a chunk of another tenant too."""
    async with deps.work() as work:
        return await work.chunks.view(question.tenant, question.chunk_id)


async def list_chunks(question: ListChunks, deps: Deps) -> Chunks:
    """A page of chunks, latest recording first."""
    async with deps.work() as work:
        found = await work.chunks.page(question, question.limit + 1)
    shown = found[: question.limit]
    more = len(found) > question.limit
    following = Page(created_at=shown[-1].start_ts, id=str(shown[-1].chunk_id)) if more else None
    return Chunks(chunks=tuple(shown), next=following)


async def find_gaps(question: FindGaps, deps: Deps) -> Gaps:
    """Where a device's recording has holes, oldest first."""
    async with deps.work() as work:
        found = await work.chunks.gaps(
            question.tenant,
            question.device_id,
            since=question.since,
            until=question.until,
            tolerance_ms=question.tolerance_ms,
            most=_MOST_GAPS + 1,
        )
    return Gaps(gaps=tuple(found[:_MOST_GAPS]), complete=len(found) <= _MOST_GAPS)


async def move_chunk(question: ReportStatus, status: ChunkStatus, work: Work) -> None:
    """Take a worker's word for how far it is. A chunk that is queued again gets a new task.

    Raises:
        NotFound: there is no such chunk.
        IllegalTransition: the table has no such move.
    """
    chunk = await work.chunks.lock(question.tenant, known_uuid(question.id, "chunk"))
    changed, changes = moved(chunk, status, reason=question.reason)
    if not changes:
        return
    await work.chunks.save(changed)
    work.record(changes, actor=question.actor, at=work.now())
    if changed.status is ChunkStatus.QUEUED:
        stored = (await work.objects.of_uploads([chunk.upload_id]))[chunk.upload_id]
        work.outbox.add_task(_task(chunk, stored.bucket), tenant=chunk.tenant)
