"""Playing: a redirect to a short-lived link, or the bytes through the gateway."""

from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.background import BackgroundTask

from sluice_contracts.api import Problem
from sluice_contracts.questions import GetRecording, Principal
from sluice_gateway.domain import (
    SCOPE_READ,
    ByteRange,
    Unsatisfiable,
    is_inline,
    known_recording_id,
    parse_range,
)
from sluice_gateway.ports import Deps
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import Edge, EdgeDep
from sluice_gateway.usecases.media import Playable, Source, link
from sluice_runtime.web import problem_response

router = APIRouter(tags=["media"])

_SANDBOX = "default-src 'none'; sandbox"
_BYTES = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}

ProxyParam = Annotated[bool | None, Query()]

PLAYED: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {"description": "The bytes.", **_BYTES},
        206: {"description": "The range of them that was asked for.", **_BYTES},
        304: {"description": "The same as the client has."},
        307: {"description": "Where the object store has them, for some minutes."},
        404: {"model": Problem},
    },
}
"""What `play` answers, for OpenAPI."""


@router.head("/media/{recording_id}", include_in_schema=False)
@router.get("/media/{recording_id}", **PLAYED)
async def play_recording(
    request: Request,
    recording_id: str,
    principal: Annotated[Principal, Depends(require(SCOPE_READ, query_field="key"))],
    edge: EdgeDep,
    proxy: ProxyParam = None,
) -> Response:
    """The bytes of a recording; `?proxy=1` sends them through the gateway, with ranges."""
    question = GetRecording(tenant=principal.tenant, recording_id=known_recording_id(recording_id))
    recording = await edge.deps.asker.ask(question)
    source = Source(
        key=recording.key,
        filename=recording.filename,
        content_type=recording.content_type,
        size_bytes=recording.size_bytes,
        sha256=recording.sha256,
    )
    return await play(request, source, edge, proxy=proxy)


async def play(
    request: Request, source: Source, edge: Edge, *, proxy: bool | None = None
) -> Response:
    """A redirect to the object store, or the bytes; the setting decides where nobody asked."""
    playable = await link(source, edge.deps)
    wanted = edge.media_proxy if proxy is None else proxy
    # The store's link is signed for GET alone, and what HEAD asks for is known here.
    if wanted or request.method == "HEAD":
        return await _stream(request, playable, edge.deps)
    headers = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}
    status = HTTPStatus.TEMPORARY_REDIRECT
    return RedirectResponse(playable.link.public_url, status, headers=headers)


async def _stream(request: Request, playable: Playable, deps: Deps) -> Response:
    size = playable.source.size_bytes
    headers = _headers(playable)
    known = request.headers.get("if-none-match", "")
    if playable.etag in known or known.strip() == "*":
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    try:
        wanted = parse_range(_range_header(request, playable), size)
    except Unsatisfiable:
        return problem_response(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range-not-satisfiable",
            f"There are {size} bytes.",
            instance=request.url.path,
            headers={"Content-Range": f"bytes */{size}"},
        )
    status = HTTPStatus.OK if wanted is None else HTTPStatus.PARTIAL_CONTENT
    if wanted is not None:
        headers["Content-Range"] = f"bytes {wanted.first}-{wanted.last}/{size}"
    wanted = wanted or ByteRange(0, size - 1)
    headers["Content-Length"] = str(wanted.length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=playable.content_type)
    # The store answers before we do: a store that is away is a 503, not a broken body.
    opened = AsyncExitStack()
    body = await opened.enter_async_context(deps.media.get(playable.link.internal_url, wanted))
    return StreamingResponse(
        body,
        status,
        headers,
        media_type=playable.content_type,
        background=BackgroundTask(opened.aclose),
    )


def _range_header(request: Request, playable: Playable) -> str | None:
    """The range, unless it was meant for other bytes than these."""
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() != playable.etag:
        return None
    return request.headers.get("range")


def _headers(playable: Playable) -> dict[str, str]:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": playable.disposition,
        "ETag": playable.etag,
        "X-Content-Type-Options": "nosniff",
    }
    if not is_inline(playable.content_type):
        headers["Content-Security-Policy"] = _SANDBOX
    return headers
