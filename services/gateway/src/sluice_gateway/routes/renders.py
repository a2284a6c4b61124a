"""The renders door: audio of an app, played by whoever has its link. Source document 003."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from sluice_contracts.api import Problem, RenderAnswer, RenderForm
from sluice_contracts.questions import GetRender, Principal, RenderView
from sluice_gateway.domain import (
    SCOPE_RENDERS_READ,
    SCOPE_RENDERS_WRITE,
    check_filename,
    known_uuid,
    uuid_of,
)
from sluice_gateway.forms import Form, FormRules
from sluice_gateway.ports import Body
from sluice_gateway.routes.callers import Unauthorized, find_principal, offered_in_head, require
from sluice_gateway.routes.edge import Edge, EdgeDep, base_url, idempotency_key
from sluice_gateway.routes.forms import check_fields, form_schema, read_fields, take_form
from sluice_gateway.routes.media import PLAYED, ProxyParam, play
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import hold
from sluice_gateway.usecases.media import Source
from sluice_gateway.usecases.once import only_once
from sluice_gateway.usecases.renders import (
    NewRender,
    check_content,
    receive_render,
)
from sluice_runtime.errors import NotFound, Rejected

router = APIRouter(tags=["renders"], responses={401: {"model": Problem}, 503: {"model": Problem}})

_FILE = "file"
_TOKEN = "token"  # noqa: S105 - the name of a field

Reader = Annotated[Principal, Depends(require(SCOPE_RENDERS_READ, query_field=_TOKEN))]


HeadPrincipal = Annotated[
    Principal | None, Depends(offered_in_head(SCOPE_RENDERS_WRITE, query_field=_TOKEN))
]
Early = tuple[bytes, Body | None] | None


@dataclass(frozen=True)
class _Asked:
    """What the head of a request says besides: its idempotency key, and where it found us."""

    key: str | None
    origin: str
    edge: Edge


@router.post(
    "/api/v1/upload/audio",
    response_model=RenderAnswer,
    responses={
        202: {"model": RenderAnswer, "description": "Stored; will be registered."},
        413: {"model": Problem},
        422: {"model": Problem},
    },
    openapi_extra=form_schema(RenderForm, _FILE),
)
async def upload_render(request: Request, principal: HeadPrincipal, edge: EdgeDep) -> Response:
    """Send the audio of a render. The token may be a field of the form, before the file."""
    asked = _Asked(idempotency_key(request), base_url(request, edge), edge)

    async def work(form: Form) -> Response:
        if principal is not None:
            return await _receive(form, principal, None, asked)
        early: Early = None
        if form.file is None or _TOKEN in form.fields:
            caller = await find_principal(form.fields.get(_TOKEN), edge, SCOPE_RENDERS_WRITE)
        else:
            early = await hold(form.file_chunks())
            caller = await _named_behind(form, early[1], edge)
        with edge.uploads.place():
            return await _receive(form, caller, early, asked)

    rules = FormRules(_FILE, edge.deps.limits.max_render_bytes)
    # Whoever does not say who they are must not keep a place from those who do.
    places = None if principal else edge.strangers
    return await take_form(request, rules, edge, work, places=places)


async def _receive(form: Form, caller: Principal, early: Early, asked: _Asked) -> Response:
    """Take the file of a form whose sender is known; `early` is what was read of it before."""
    edge = asked.edge
    if form.file is None:
        raise Rejected(f"Send the audio as a file in the field {_FILE!r}.", code="file-missing")
    check_fields(RenderForm, form.fields)
    filename = check_filename(form.file.filename or "render")
    held, rest = early or await hold(form.file_chunks())
    found = check_content(held)
    async with only_once(asked.key, caller.tenant, "render", form, edge.deps) as once:
        first = await once.replayed(held) if once else None
        if first is not None:
            return await _again(uuid_of(first), caller, asked.origin, edge)
        render = NewRender(uuid4(), filename, found, held, rest, once)
        return await _take(render, form, caller, asked.origin, edge)


async def _named_behind(form: Form, rest: Body | None, edge: Edge) -> Principal:
    """Who is calling, if the token comes behind a file small enough to be held meanwhile."""
    if rest is not None:
        raise Unauthorized("Send the token before the file, or in a header.")
    fields = await form.finish()
    return await find_principal(fields.get(_TOKEN), edge, SCOPE_RENDERS_WRITE)


async def _take(
    render: NewRender, form: Form, caller: Principal, origin: str, edge: Edge
) -> Response:
    async def fields() -> RenderForm:
        return read_fields(RenderForm, await form.finish())

    received = await receive_render(render, caller, fields, edge.deps)
    answer = RenderAnswer(
        id=render.render_id,
        url=link_of(render.render_id, render.found, origin, edge),
        format=render.found,
        bitrate=received.fields.bitrate,
        duration=received.fields.duration,
        size_bytes=received.size_bytes,
        created_at=received.created_at,
    )
    registered = received.answer is Answer.REGISTERED
    status = HTTPStatus.OK if registered else HTTPStatus.ACCEPTED
    headers = {} if registered else {"Location": f"/api/v1/renders/{render.render_id}/audio"}
    return JSONResponse(answer.model_dump(mode="json", exclude_none=True), status, headers)


async def _again(render_id: UUID, caller: Principal, origin: str, edge: Edge) -> Response:
    """The answer to a request that came before; raises `NotFound` when it was deleted since."""
    try:
        view = await edge.deps.asker.ask(GetRender(tenant=caller.tenant, render_id=render_id))
    except NotFound as error:
        raise NotFound(
            "The render of the first request with this idempotency key was deleted; to send it"
            " again, take a new key.",
            code=error.code,
        ) from error
    answer = render_answer(view, origin, edge)
    return JSONResponse(answer.model_dump(mode="json", exclude_none=True))


def link_of(render_id: UUID, extension: str, origin: str, edge: Edge) -> str:
    """Where whoever has the link can play a render, for as long as there is one."""
    return f"{origin}/r/{render_id}/{edge.deps.tokens.sign_render(render_id)}.{extension}"


def render_answer(view: RenderView, origin: str, edge: Edge) -> RenderAnswer:
    """A render as apps keep it."""
    return RenderAnswer(
        id=view.render_id,
        url=link_of(view.render_id, view.format, origin, edge),
        format=view.format,
        bitrate=view.bitrate,
        duration=view.duration,
        size_bytes=view.size_bytes,
        created_at=view.created_at,
    )


@router.head("/r/{render_id}/{capability}", include_in_schema=False)
@router.get("/r/{render_id}/{capability}", **PLAYED)
async def play_link(
    request: Request, render_id: str, capability: str, edge: EdgeDep, proxy: ProxyParam = None
) -> Response:
    """The audio of a render, for whoever has its link."""
    wanted = known_uuid(render_id, "render")
    if not edge.deps.tokens.is_render_of(wanted, capability.partition(".")[0]):
        raise NotFound(f"There is no render {wanted}.", code="render-not-found")
    return await _play(request, None, wanted, edge, proxy)


@router.head("/api/v1/renders/{render_id}/audio", include_in_schema=False)
@router.get("/api/v1/renders/{render_id}/audio", **PLAYED)
async def play_render(
    request: Request, render_id: str, principal: Reader, edge: EdgeDep, proxy: ProxyParam = None
) -> Response:
    """The audio of a render."""
    wanted = known_uuid(render_id, "render")
    return await _play(request, principal.tenant, wanted, edge, proxy)


async def _play(
    request: Request, tenant: str | None, render_id: UUID, edge: Edge, proxy: bool | None
) -> Response:
    render = await edge.deps.asker.ask(GetRender(tenant=tenant, render_id=render_id))
    source = Source(
        key=render.key,
        filename=render.filename,
        content_type=render.content_type,
        size_bytes=render.size_bytes,
        sha256=render.sha256,
    )
    return await play(request, source, edge, proxy=proxy)
