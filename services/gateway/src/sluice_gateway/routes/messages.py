"""Messages of threads, and the renders they carry. Source document 003."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from sluice_contracts.api import (
    AttachRequest,
    MessageAnswer,
    MessageGone,
    MessageList,
    MessageRequest,
    Problem,
    RenderAttached,
)
from sluice_contracts.base import LenientBody
from sluice_contracts.questions import (
    AddMessage,
    AttachRender,
    DeleteMessage,
    GetMessage,
    ListMessages,
    MessageView,
    Principal,
)
from sluice_gateway.domain import (
    SCOPE_RENDERS_READ,
    SCOPE_RENDERS_WRITE,
    decode_cursor,
    encode_cursor,
    known_message_id,
)
from sluice_gateway.routes.callers import find_principal, offered_in_head, require
from sluice_gateway.routes.edge import (
    CursorParam,
    Edge,
    EdgeDep,
    base_url,
    body_schema,
    header_idempotency,
    read_json,
)
from sluice_gateway.routes.forms import read_fields
from sluice_gateway.routes.moments import CalendarMoment
from sluice_gateway.routes.renders import render_answer

router = APIRouter(
    prefix="/api/v1/messages",
    tags=["messages"],
    responses={401: {"model": Problem}, 404: {"model": Problem}, 503: {"model": Problem}},
)

_TOKEN = "token"  # noqa: S105 - the name of a field

Reader = Annotated[Principal, Depends(require(SCOPE_RENDERS_READ, query_field=_TOKEN))]
Writer = Annotated[Principal, Depends(require(SCOPE_RENDERS_WRITE, query_field=_TOKEN))]


HeadPrincipal = Annotated[
    Principal | None, Depends(offered_in_head(SCOPE_RENDERS_WRITE, query_field=_TOKEN))
]


class _Signed(LenientBody):
    """So much of a body as tells who sent it."""

    token: Any = None


class _Message(MessageRequest):
    """The body of a new message."""

    timestamp: CalendarMoment | None = None


@router.post(
    "",
    response_model=MessageAnswer,
    openapi_extra=body_schema(MessageRequest),
    responses={409: {"model": Problem}, 422: {"model": Problem}},
)
async def add_message(request: Request, principal: HeadPrincipal, edge: EdgeDep) -> Response:
    """Keep a message, with the renders it names. The token may be a field of the body."""
    caller, value = await _named_and_read(request, principal, edge)
    asked = read_fields(_Message, value)
    # Before anything is kept: it refuses a request that does not say where it went.
    origin = base_url(request, edge)
    added = await edge.deps.asker.ask(
        AddMessage(
            tenant=caller.tenant,
            actor=caller.subject,
            message_id=edge.deps.new_id("msg"),
            parent_thread=asked.parent_thread,
            user_id=asked.user_id,
            snapshot=asked.snapshot,
            snapshot_metadata=asked.snapshot_metadata,
            timestamp=asked.timestamp,
            renders=tuple(render.id for render in asked.renders),
            idempotency=header_idempotency(request, value),
        )
    )
    return _response(_answer(added, origin, edge))


async def _named_and_read(
    request: Request, principal: Principal | None, edge: Edge
) -> tuple[Principal, dict[str, Any]]:
    """Who is calling, and the body without its token, which says who asks and not what for.

    Nothing else of the body is looked at before its sender is known.
    """
    told, value = await read_json(request, _Signed, edge)
    token = told.token if isinstance(told.token, str) else None
    caller = principal or await find_principal(token, edge, SCOPE_RENDERS_WRITE)
    return caller, {name: one for name, one in value.items() if name != _TOKEN}


@router.get("", response_model=MessageList, responses={422: {"model": Problem}})
async def list_messages(
    request: Request,
    principal: Reader,
    edge: EdgeDep,
    thread_id: Annotated[str | None, Query(max_length=255, pattern=r"^[^\x00]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    order: Literal["asc", "desc"] = "asc",
    include_snapshot: bool = True,
    cursor: CursorParam = None,
) -> Response:
    """The messages of a thread, or of all, by their timestamp."""
    question = ListMessages(
        tenant=principal.tenant,
        parent_thread=thread_id,
        order=order,
        with_snapshot=include_snapshot,
        after=decode_cursor(cursor),
        limit=limit,
    )
    page = await edge.deps.asker.ask(question)
    origin = base_url(request, edge)
    items = tuple(_answer(one, origin, edge) for one in page.messages)
    return _response(MessageList(messages=items, next_cursor=encode_cursor(page.next)))


@router.get("/{message_id}", response_model=MessageAnswer)
async def get_message(
    request: Request,
    message_id: str,
    principal: Reader,
    edge: EdgeDep,
    include_snapshot: bool = True,
) -> Response:
    """One message with its renders."""
    question = GetMessage(
        tenant=principal.tenant,
        message_id=known_message_id(message_id),
        with_snapshot=include_snapshot,
    )
    found = await edge.deps.asker.ask(question)
    return _response(_answer(found, base_url(request, edge), edge))


@router.post(
    "/{message_id}/renders",
    openapi_extra=body_schema(AttachRequest),
    responses={409: {"model": Problem}, 422: {"model": Problem}},
)
async def attach_render(
    request: Request, message_id: str, principal: HeadPrincipal, edge: EdgeDep
) -> RenderAttached:
    """Let a message carry a render that was uploaded. Doing it twice changes nothing."""
    caller, value = await _named_and_read(request, principal, edge)
    asked = read_fields(AttachRequest, value)
    await edge.deps.asker.ask(
        AttachRender(
            tenant=caller.tenant,
            actor=caller.subject,
            message_id=known_message_id(message_id),
            render_id=asked.render.id,
        )
    )
    return RenderAttached(message_id=message_id)


@router.delete("/{message_id}")
async def delete_message(message_id: str, principal: Writer, edge: EdgeDep) -> MessageGone:
    """Forget a message and its renders at once; their audio is removed soon after."""
    question = DeleteMessage(
        tenant=principal.tenant,
        actor=principal.subject,
        message_id=known_message_id(message_id),
    )
    gone = await edge.deps.asker.ask(question)
    return MessageGone(id=message_id, renders_deleted=gone.renders_deleted)


def _answer(message: MessageView, origin: str, edge: Edge) -> MessageAnswer:
    return MessageAnswer(
        id=message.message_id,
        created_at=message.created_at,
        timestamp=message.timestamp,
        user_id=message.user_id,
        parent_thread=message.parent_thread,
        snapshot=message.snapshot,
        snapshot_metadata=message.snapshot_metadata,
        renders=tuple(render_answer(one, origin, edge) for one in message.renders),
    )


def _response(answer: MessageAnswer | MessageList) -> Response:
    """Without the fields nobody set, as the clients of the source document expect them."""
    return JSONResponse(answer.model_dump(mode="json", exclude_none=True))
