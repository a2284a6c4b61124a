"""The chunks door: what recorders send, and what operators see of it. Source document 001."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from sluice_contracts.api import (
    ChunkAnswer,
    ChunkForm,
    ChunkList,
    ChunkUploaded,
    DeviceSelf,
    GapAnswer,
    GapList,
    Problem,
)
from sluice_contracts.questions import (
    ChunkView,
    FindGaps,
    GetChunk,
    ListChunks,
    Principal,
)
from sluice_contracts.statuses import ChunkStatus
from sluice_gateway.domain import (
    SCOPE_CHUNKS_READ,
    decode_uuid_cursor,
    encode_cursor,
    known_uuid,
)
from sluice_gateway.forms import Form, FormRules
from sluice_gateway.routes.callers import (
    BY_HEADER,
    Forbidden,
    find_principal,
    offered_token,
    require,
)
from sluice_gateway.routes.edge import CursorParam, EdgeDep, LimitParam, edge_of, link_next
from sluice_gateway.routes.forms import form_schema, read_fields, take_form
from sluice_gateway.routes.media import PLAYED, ProxyParam, play
from sluice_gateway.routes.moments import CalendarMoment
from sluice_gateway.routes.straight import StraightRoute
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.chunks import ChunkReceived, receive_chunk
from sluice_gateway.usecases.filing import hold
from sluice_gateway.usecases.media import Source
from sluice_runtime.errors import Rejected

router = APIRouter(
    prefix="/api/v1", tags=["chunks"], responses={401: {"model": Problem}, 503: {"model": Problem}}
)

_FILE = "chunk_file"

Reader = Annotated[Principal, Depends(require(SCOPE_CHUNKS_READ))]


def _recorder(principal: Principal) -> Principal:
    """The caller, who must be a device that may upload."""
    if principal.device is None:
        raise Forbidden("Only the token of a device uploads chunks.")
    return principal


class _Form(ChunkForm):
    """The form of this door."""

    start_ts: CalendarMoment
    end_ts: CalendarMoment


async def upload_chunk(request: Request) -> Response:
    """Send a chunk. The same chunk again is the same chunk: repeating is safe."""
    edge = edge_of(request)
    principal = _recorder(await find_principal(offered_token(request), edge))
    most = edge.deps.limits.max_chunk_bytes

    async def work(form: Form) -> ChunkReceived:
        if form.file is None:
            raise Rejected(f"Send the chunk as a file in the field {_FILE!r}.", code="file-missing")
        # Chunks are small, and all of one has to be known to tell whether it came before.
        data, _ = await hold(form.file_chunks(), most)
        fields = await form.finish()
        return await receive_chunk(principal, read_fields(_Form, fields), data, edge.deps)

    received = await take_form(request, FormRules(_FILE, most), edge, work)
    return received if isinstance(received, Response) else _uploaded(received)


router.add_api_route(
    "/chunks",
    upload_chunk,
    methods=["POST"],
    response_model=ChunkUploaded,
    responses={
        202: {"model": ChunkUploaded, "description": "Stored; will be registered."},
        403: {"model": Problem},
        413: {"model": Problem},
        422: {"model": Problem},
    },
    route_class_override=StraightRoute,
    openapi_extra=form_schema(ChunkForm, _FILE) | BY_HEADER,
)


def _uploaded(received: ChunkReceived) -> Response:
    registered = received.answer is Answer.REGISTERED
    body = ChunkUploaded(
        status="ok" if registered else "accepted",
        chunk_id=received.chunk_id,
        stored_path=received.stored_path,
        queued=registered,
    )
    headers = {} if registered else {"Location": f"/api/v1/chunks/{received.chunk_id}"}
    status = HTTPStatus.OK if registered else HTTPStatus.ACCEPTED
    return JSONResponse(body.model_dump(mode="json"), status, headers)


@router.get("/devices/me")
async def show_device(principal: Annotated[Principal, Depends(require(None))]) -> DeviceSelf:
    """Where the device with this token was put up."""
    if principal.device is None:
        raise Forbidden("This is not the token of a device.")
    return DeviceSelf(**principal.device.model_dump())


@router.get("/chunks", responses={422: {"model": Problem}})
async def list_chunks(
    request: Request,
    response: Response,
    principal: Reader,
    edge: EdgeDep,
    point_id: UUID | None = None,
    register_id: UUID | None = None,
    device_id: UUID | None = None,
    status: ChunkStatus | None = None,
    since: Annotated[CalendarMoment | None, Query(alias="from")] = None,
    until: Annotated[CalendarMoment | None, Query(alias="to")] = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> ChunkList:
    """Chunks, latest recording first. `from` is included, `to` is not."""
    question = ListChunks(
        tenant=principal.tenant,
        point_id=point_id,
        register_id=register_id,
        device_id=_own(principal, device_id),
        status=status,
        since=since,
        until=until,
        after=decode_uuid_cursor(cursor),
        limit=limit,
    )
    page = await edge.deps.asker.ask(question)
    following = encode_cursor(page.next)
    link_next(request, response, following)
    return ChunkList(items=tuple(_answer(one) for one in page.chunks), next_cursor=following)


@router.get("/chunks/gaps", responses={422: {"model": Problem}})
async def find_gaps(
    principal: Reader,
    edge: EdgeDep,
    device_id: UUID,
    since: Annotated[CalendarMoment | None, Query(alias="from")] = None,
    until: Annotated[CalendarMoment | None, Query(alias="to")] = None,
    tolerance_ms: Annotated[int, Query(ge=0, le=86_400_000)] = 500,
) -> GapList:
    """Where the recording of a device has holes longer than the tolerance, oldest first."""
    question = FindGaps(
        tenant=principal.tenant,
        device_id=_own(principal, device_id) or device_id,
        since=since,
        until=until,
        tolerance_ms=tolerance_ms,
    )
    found = await edge.deps.asker.ask(question)
    items = tuple(GapAnswer(**gap.model_dump()) for gap in found.gaps)
    return GapList(items=items, complete=found.complete)


@router.get("/chunks/{chunk_id}", responses={404: {"model": Problem}})
async def get_chunk(chunk_id: str, principal: Reader, edge: EdgeDep) -> ChunkAnswer:
    """One chunk, as it is now."""
    return _answer(await _find(principal, chunk_id, edge))


@router.head("/chunks/{chunk_id}/audio", include_in_schema=False)
@router.get("/chunks/{chunk_id}/audio", **PLAYED)
async def play_chunk(
    request: Request, chunk_id: str, principal: Reader, edge: EdgeDep, proxy: ProxyParam = None
) -> Response:
    """The bytes of a chunk."""
    chunk = await _find(principal, chunk_id, edge)
    source = Source(
        key=chunk.file_path,
        filename=chunk.file_path.rpartition("/")[2],
        content_type=chunk.content_type,
        size_bytes=chunk.file_size_bytes,
        sha256=chunk.sha256,
    )
    return await play(request, source, edge, proxy=proxy)


async def _find(principal: Principal, chunk_id: str, edge: EdgeDep) -> ChunkView:
    question = GetChunk(tenant=principal.tenant, chunk_id=known_uuid(chunk_id, "chunk"))
    found = await edge.deps.asker.ask(question)
    _own(principal, found.device_id)
    return found


def _own(principal: Principal, device_id: UUID | None) -> UUID | None:
    """A device sees what it sent and nothing else."""
    device = principal.device
    if device is None or device_id == device.device_id:
        return device_id
    if device_id is None:
        return device.device_id
    raise Forbidden("A device sees its own chunks alone.")


def _answer(chunk: ChunkView) -> ChunkAnswer:
    return ChunkAnswer(
        **chunk.model_dump(exclude={"content_type", "bucket", "upload_id"}),
        audio_url=f"/api/v1/chunks/{chunk.chunk_id}/audio",
    )
