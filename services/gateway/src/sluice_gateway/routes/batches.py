"""The other half of the recordings door: batches, as they are read and deleted. Source document
000."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sluice_contracts.api import (
    BatchAnswer,
    BatchList,
    Problem,
    RecordingAnswerItem,
    ShownBatch,
    ShownRecording,
)
from sluice_contracts.questions import (
    BatchState,
    BatchView,
    DeleteBatch,
    GetBatch,
    ListBatches,
    Principal,
    RecordingState,
    RecordingView,
    ShowBatches,
)
from sluice_contracts.statuses import BatchStatus
from sluice_gateway.domain import (
    SCOPE_READ,
    SCOPE_WRITE,
    decode_cursor,
    encode_cursor,
    known_batch_id,
)
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import CursorParam, EdgeDep, LimitParam, link_next
from sluice_gateway.routes.parts import in_parts
from sluice_gateway.usecases.batches import every_state, every_view

router = APIRouter(
    tags=["recordings"], responses={401: {"model": Problem}, 503: {"model": Problem}}
)

# A batch has as many recordings as its clients like. NATS carries no answer that comes later.
_DELETION_SECONDS = 60.0

Writer = Annotated[Principal, Depends(require(SCOPE_WRITE))]
Reader = Annotated[Principal, Depends(require(SCOPE_READ))]
PageReader = Annotated[Principal, Depends(require(SCOPE_READ, query_field="key"))]


@router.get("/batches/{batch_id}", response_model=BatchAnswer, responses={404: {"model": Problem}})
async def get_batch(batch_id: str, principal: Reader, edge: EdgeDep) -> BatchAnswer | Response:
    """How far a batch is."""
    tenant = principal.tenant
    question = GetBatch(tenant=tenant, batch_id=known_batch_id(batch_id), in_parts=True)
    batch = await edge.deps.asker.ask(question)
    if batch.next is None:
        return _answer(batch)
    frame = _answer(batch, with_items=False).model_dump_json()
    parts = every_state(batch, tenant, edge.deps)
    return in_parts(frame, (_items(part) async for part in parts))


@router.get("/batches", response_model=BatchList)
async def list_batches(
    request: Request,
    response: Response,
    principal: Reader,
    edge: EdgeDep,
    status: BatchStatus | None = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> BatchList | Response:
    """Batches, newest first."""
    question = ListBatches(
        tenant=principal.tenant,
        status=status,
        after=decode_cursor(cursor),
        limit=limit,
        in_parts=True,
    )
    page = await edge.deps.asker.ask(question)
    following = encode_cursor(page.next)
    link_next(request, response, following)
    first = next(iter(page.batches), None)
    if first is None or first.next is None:
        return BatchList(items=tuple(_answer(one) for one in page.batches), next_cursor=following)
    frame = BatchList(items=(_answer(first, with_items=False),), next_cursor=following)
    parts = every_state(first, principal.tenant, edge.deps)
    return in_parts(
        frame.model_dump_json(), (_items(part) async for part in parts), response.headers
    )


@router.delete(
    "/batches/{batch_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={404: {"model": Problem}},
)
async def delete_batch(batch_id: str, principal: Writer, edge: EdgeDep) -> Response:
    """Forget a batch at once; its objects are removed soon after."""
    question = DeleteBatch(
        tenant=principal.tenant, batch_id=known_batch_id(batch_id), actor=principal.subject
    )
    await edge.deps.asker.ask(question, timeout_seconds=_DELETION_SECONDS)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/jsonui", response_model=tuple[ShownBatch, ...])
async def show_batches(
    request: Request,
    response: Response,
    principal: PageReader,
    edge: EdgeDep,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> tuple[ShownBatch, ...] | Response:
    """Batches with everything the web page shows, newest first."""
    question = ShowBatches(
        tenant=principal.tenant, after=decode_cursor(cursor), limit=limit, in_parts=True
    )
    page = await edge.deps.asker.ask(question)
    link_next(request, response, encode_cursor(page.next))
    first = next(iter(page.batches), None)
    if first is None or first.next is None:
        return tuple(_shown(batch) for batch in page.batches)
    frame = f"[{_shown(first, with_recordings=False).model_dump_json()}]"
    parts = every_view(first, principal.tenant, edge.deps)
    return in_parts(frame, (_shown_recordings(part) async for part in parts), response.headers)


def _shown(batch: BatchView, *, with_recordings: bool = True) -> ShownBatch:
    return ShownBatch(
        batch_id=batch.batch_id,
        status=batch.status,
        created_at=batch.created_at,
        recordings=_shown_recordings(batch.recordings) if with_recordings else (),
    )


def _shown_recordings(views: Iterable[RecordingView]) -> tuple[ShownRecording, ...]:
    return tuple(_shown_recording(one) for one in views)


def _shown_recording(one: RecordingView) -> ShownRecording:
    return ShownRecording(
        recording_id=one.recording_id,
        client_item_id=one.client_item_id,
        status=one.status,
        filename=one.filename,
        metadata=one.metadata,
        size_bytes=one.size_bytes,
        content_type=one.content_type,
        created_at=one.created_at,
        media_url=f"/media/{one.recording_id}",
    )


def _answer(batch: BatchState, *, with_items: bool = True) -> BatchAnswer:
    return BatchAnswer(
        batch_id=batch.batch_id,
        status=batch.status,
        created_at=batch.created_at,
        items=_items(batch.items) if with_items else (),
    )


def _items(states: Iterable[RecordingState]) -> tuple[RecordingAnswerItem, ...]:
    return tuple(RecordingAnswerItem(**state.model_dump()) for state in states)
