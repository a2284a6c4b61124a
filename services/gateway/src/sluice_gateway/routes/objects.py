"""Objects of every door: what is known of them, their bytes, and how they look."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sluice_contracts.api import MediaAnswer, ObjectAnswer, Problem, WaveformAnswer
from sluice_contracts.questions import GetObject, Inspection, ObjectView, Principal
from sluice_gateway.domain import SCOPE_UPLOADS_READ, object_id_of, upload_id_of
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import Edge, EdgeDep
from sluice_gateway.routes.media import PLAYED, ProxyParam, play
from sluice_gateway.usecases.media import Source
from sluice_runtime.errors import Conflict, NotFound, Rejected

router = APIRouter(
    prefix="/api/v1/objects",
    tags=["objects"],
    responses={401: {"model": Problem}, 404: {"model": Problem}, 503: {"model": Problem}},
)

Reader = Annotated[Principal, Depends(require(SCOPE_UPLOADS_READ))]


@router.get("/{object_id}", response_model_exclude_none=True)
async def get_object(object_id: str, principal: Reader, edge: EdgeDep) -> ObjectAnswer:
    """An object, and what it says of itself once somebody has looked into it."""
    found = await _find(principal, object_id, edge)
    shown = object_id_of(found.upload_id)
    return ObjectAnswer(
        object_id=shown,
        **found.model_dump(exclude={"upload_id", "key", "inspection"}),
        media=_media(found.inspection),
        content_url=f"/api/v1/objects/{shown}/content",
    )


def _media(read: Inspection | None) -> MediaAnswer | None:
    if read is None:
        return None
    told = read.media.model_dump(exclude={"peaks"}) if read.media else {}
    return MediaAnswer(
        readable=read.readable, reason=read.reason, inspected_at=read.inspected_at, **told
    )


@router.head("/{object_id}/content", include_in_schema=False)
@router.get("/{object_id}/content", **PLAYED)
async def play_object(
    request: Request, object_id: str, principal: Reader, edge: EdgeDep, proxy: ProxyParam = None
) -> Response:
    """The bytes of an object."""
    found = await _find(principal, object_id, edge)
    source = Source(
        key=found.key,
        filename=found.filename,
        content_type=found.content_type,
        size_bytes=found.size_bytes,
        sha256=found.sha256,
    )
    return await play(request, source, edge, proxy=proxy)


@router.get(
    "/{object_id}/waveform",
    response_model_exclude_none=True,
    responses={409: {"model": Problem}, 422: {"model": Problem}},
)
async def get_waveform(object_id: str, principal: Reader, edge: EdgeDep) -> WaveformAnswer:
    """How loud the audio of an object is, from its beginning to its end."""
    found = await _find(principal, object_id, edge, with_peaks=True)
    read = found.inspection
    if read is None:
        raise Conflict(
            "Nobody has looked into this object yet; ask again in a moment.",
            code="not-inspected",
            retry_after_seconds=2,
        )
    if not read.readable or read.media is None:
        raise Rejected(f"This object cannot be read: {read.reason}.", code="unreadable")
    if not read.media.peaks:
        raise NotFound("There is no audio in this object.", code="no-waveform")
    return WaveformAnswer(
        object_id=object_id_of(found.upload_id),
        duration_seconds=read.media.duration_seconds,
        peaks=read.media.peaks,
    )


async def _find(
    principal: Principal, object_id: str, edge: Edge, *, with_peaks: bool = False
) -> ObjectView:
    question = GetObject(
        tenant=principal.tenant, upload_id=upload_id_of(object_id), with_peaks=with_peaks
    )
    return await edge.deps.asker.ask(question)
