"""The public event log: as a list, and as server-sent events that resume without a gap."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from sluice_contracts.api import EventList, Problem, PublicEvent
from sluice_contracts.questions import Principal
from sluice_gateway.domain import SCOPE_EVENTS
from sluice_gateway.routes.callers import Unauthorized, find_principal, offered_token, require
from sluice_gateway.routes.edge import Edge, EdgeDep, LimitParam
from sluice_gateway.usecases.events import Filter, find_start, follow, list_events
from sluice_runtime.errors import Rejected, Unavailable

router = APIRouter(tags=["events"])

_MOST_SEQUENCE = 2**63 - 1
_SEQUENCE = re.compile(r"[0-9]{1,19}")
_STREAM = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY_MILLISECONDS = 2000


@router.get(
    "/api/v1/events",
    response_model=EventList,
    responses={200: {"content": {_STREAM: {}}}, 422: {"model": Problem}},
)
async def read_events(
    request: Request,
    principal: Annotated[Principal, Depends(require(SCOPE_EVENTS))],
    edge: EdgeDep,
    types: Annotated[list[str], Query(max_length=16)] = [],  # noqa: B006 - FastAPI copies it
    ids: Annotated[list[str], Query(max_length=64)] = [],  # noqa: B006 - FastAPI copies it
    after: Annotated[int | None, Query(ge=0, le=_MOST_SEQUENCE)] = None,
    limit: LimitParam = 50,
) -> Response:
    """With `Accept: text/event-stream` an endless stream that resumes behind `Last-Event-ID`,
    beginning at the end of the log; otherwise a page of the log behind `after`."""
    wanted = Filter(_split(types), _split(ids))
    if _STREAM not in request.headers.get("accept", ""):
        page = await list_events(principal.tenant, after or 0, limit, wanted, edge.deps)
        return JSONResponse(page.model_dump(mode="json"))
    start = await find_start(principal.tenant, _last_event_id(request, after), edge.deps)
    events = follow(principal.tenant, start, wanted, edge.deps)
    frames = _frames(events, start, partial(_may_listen, request, edge))
    return StreamingResponse(frames, media_type=_STREAM, headers=_HEADERS)


async def _may_listen(request: Request, edge: Edge) -> bool:
    """Whether the key that opened the stream is still good for it."""
    try:
        principal = await find_principal(offered_token(request), edge)
    except Unauthorized:
        return False
    except Unavailable:
        return True
    return SCOPE_EVENTS in principal.scopes


def _split(values: list[str]) -> list[str]:
    """Repeated parameters and lists with commas mean the same."""
    return [part for value in values for part in value.split(",") if part]


def _last_event_id(request: Request, after: int | None) -> int | None:
    text = request.headers.get("last-event-id")
    if text is None:
        return after
    if not _SEQUENCE.fullmatch(text) or int(text) > _MOST_SEQUENCE:
        raise Rejected("Last-Event-ID is not a sequence of this log.", code="unknown-event-id")
    return int(text)


async def _frames(
    events: AsyncIterator[PublicEvent | None], start: int, may_go_on: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """Server-sent events, for as long as the key is good; it is looked at with each heartbeat.

    Source: HTML Living Standard, section 9.2.
    """
    yield f"retry: {_RETRY_MILLISECONDS}\nid: {start}\n\n"
    async for event in events:
        if event is None:
            if not await may_go_on():
                return
            yield ": still here\n\n"
        else:
            body = event.model_dump_json()
            yield f"id: {event.sequence}\nevent: {event.type}\ndata: {body}\n\n"
