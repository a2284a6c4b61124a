"""The calls door: what sales teams send to be transcribed. Source document 002."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from sluice_contracts.api import (
    CallAnswer,
    CallAudio,
    CallForm,
    CallList,
    CallMetadata,
    CallUploaded,
    FieldProblem,
    HistoryList,
    HistoryStep,
    Problem,
)
from sluice_contracts.questions import (
    CallView,
    DeleteCall,
    GetCall,
    GetCallHistory,
    ListCalls,
    Principal,
)
from sluice_contracts.statuses import CallStatus
from sluice_gateway.domain import (
    SCOPE_CALLS_READ,
    SCOPE_CALLS_WRITE,
    check_filename,
    decode_uuid_cursor,
    encode_cursor,
    known_uuid,
    uuid_of,
)
from sluice_gateway.forms import Form, FormRules
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import (
    CursorParam,
    EdgeDep,
    InvalidForm,
    LimitParam,
    idempotency_key,
    link_next,
)
from sluice_gateway.routes.forms import check_fields, form_schema, read_fields, take_form
from sluice_gateway.routes.media import PLAYED, ProxyParam, play
from sluice_gateway.routes.moments import CalendarMoment
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.calls import NewCall, receive_call
from sluice_gateway.usecases.media import Source
from sluice_gateway.usecases.once import only_once
from sluice_runtime.errors import Rejected

router = APIRouter(
    prefix="/api/v1/calls",
    tags=["calls"],
    responses={401: {"model": Problem}, 503: {"model": Problem}},
)

_FILE = "file"
_UPLOADED = "Audio file uploaded successfully. Processing will begin shortly."
_ACCEPTED = "Audio file stored safely. It will be registered and processed shortly."

Reader = Annotated[Principal, Depends(require(SCOPE_CALLS_READ))]
Writer = Annotated[Principal, Depends(require(SCOPE_CALLS_WRITE))]
# Postgres keeps no NUL, and so nothing that holds one can be found.
TextParam = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.post(
    "/upload",
    status_code=HTTPStatus.CREATED,
    response_model=CallUploaded,
    responses={
        202: {"model": CallUploaded, "description": "Stored; will be registered."},
        400: {"model": Problem},
        413: {"model": Problem},
    },
    openapi_extra=form_schema(CallForm, _FILE),
)
async def upload_call(request: Request, principal: Writer, edge: EdgeDep) -> Response:
    """Send the recording of a call, as MP3, WAV, M4A or FLAC. It is transcribed soon after."""
    key = idempotency_key(request)

    async def work(form: Form) -> Response:
        async def fields() -> CallForm:
            return read_fields(CallForm, await form.finish(), InvalidForm)

        # What came before the file is looked at before the file is read.
        check_fields(CallForm, form.fields, InvalidForm)
        filename = _filename(form)
        async with only_once(key, principal.tenant, "call", form, edge.deps) as once:
            first = await once.replayed() if once else None
            if first is not None:
                return _uploaded(uuid_of(first), Answer.REGISTERED)
            call = NewCall(uuid4(), filename, once)
            answer = await receive_call(call, principal, form, fields, edge.deps)
            return _uploaded(call.call_id, answer)

    return await take_form(request, FormRules(_FILE, edge.deps.limits.max_call_bytes), edge, work)


def _filename(form: Form) -> str:
    """The name of the file of a form; this door answers 400 when it is missing or doubtful."""
    if form.file is None:
        missing = FieldProblem(field=_FILE, reason="send the recording as a file of this name")
        raise InvalidForm([missing])
    try:
        return check_filename(form.file.filename)
    except Rejected as error:
        raise InvalidForm([FieldProblem(field=_FILE, reason=str(error))]) from error


def _uploaded(call_id: UUID, answer: Answer) -> Response:
    registered = answer is Answer.REGISTERED
    body = CallUploaded(
        call_id=call_id,
        status="uploaded" if registered else "accepted",
        message=_UPLOADED if registered else _ACCEPTED,
    )
    status = HTTPStatus.CREATED if registered else HTTPStatus.ACCEPTED
    headers = {"Location": f"/api/v1/calls/{call_id}"}
    return JSONResponse(body.model_dump(mode="json"), status, headers)


@router.get("", responses={422: {"model": Problem}})
async def list_calls(
    request: Request,
    response: Response,
    principal: Reader,
    edge: EdgeDep,
    status: CallStatus | None = None,
    call_type: TextParam = None,
    company_name: TextParam = None,
    since: Annotated[CalendarMoment | None, Query(alias="from")] = None,
    until: Annotated[CalendarMoment | None, Query(alias="to")] = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> CallList:
    """Calls, newest first. `from` is included, `to` is not."""
    question = ListCalls(
        tenant=principal.tenant,
        status=status,
        call_type=call_type,
        company_name=company_name,
        since=since,
        until=until,
        after=decode_uuid_cursor(cursor),
        limit=limit,
    )
    page = await edge.deps.asker.ask(question)
    following = encode_cursor(page.next)
    link_next(request, response, following)
    return CallList(items=tuple(_answer(one) for one in page.calls), next_cursor=following)


@router.get("/{call_id}", responses={404: {"model": Problem}})
async def get_call(call_id: str, principal: Reader, edge: EdgeDep) -> CallAnswer:
    """One call, as it is now."""
    return _answer(await _find(principal, call_id, edge))


@router.head("/{call_id}/audio", include_in_schema=False)
@router.get("/{call_id}/audio", **PLAYED)
async def play_call(
    request: Request, call_id: str, principal: Reader, edge: EdgeDep, proxy: ProxyParam = None
) -> Response:
    """The recording of a call."""
    call = await _find(principal, call_id, edge)
    source = Source(
        key=call.key,
        filename=call.filename,
        content_type=call.content_type,
        size_bytes=call.size_bytes,
        sha256=call.sha256,
    )
    return await play(request, source, edge, proxy=proxy)


@router.get("/{call_id}/history", responses={404: {"model": Problem}})
async def show_history(call_id: str, principal: Reader, edge: EdgeDep) -> HistoryList:
    """Every status the call had, oldest first: when, why, and who said so."""
    question = GetCallHistory(tenant=principal.tenant, call_id=known_uuid(call_id, "call"))
    found = await edge.deps.asker.ask(question)
    items = (
        {
            "sequence": step.sequence,
            "from": step.previous,
            "to": step.status,
            "reason": step.reason,
            "actor": step.actor,
            "at": step.changed_at,
        }
        for step in found.steps
    )
    return HistoryList(items=tuple(HistoryStep.model_validate(one) for one in items))


@router.delete("/{call_id}", status_code=HTTPStatus.NO_CONTENT, responses={404: {"model": Problem}})
async def delete_call(call_id: str, principal: Writer, edge: EdgeDep) -> Response:
    """Forget a call at once; its recording is removed soon after."""
    question = DeleteCall(tenant=principal.tenant, call_id=known_uuid(call_id, "call"))
    await edge.deps.asker.ask(question)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _find(principal: Principal, call_id: str, edge: EdgeDep) -> CallView:
    question = GetCall(tenant=principal.tenant, call_id=known_uuid(call_id, "call"))
    return await edge.deps.asker.ask(question)


def _answer(call: CallView) -> CallAnswer:
    return CallAnswer(
        call_id=call.call_id,
        uploaded_at=call.uploaded_at,
        uploaded_by=call.uploaded_by,
        status=call.status,
        audio=CallAudio(
            s3_bucket=call.bucket,
            s3_key=call.key,
            format=call.format,
            file_size_bytes=call.size_bytes,
            duration_seconds=call.duration_seconds,
        ),
        metadata=CallMetadata(
            company_name=call.company_name,
            contact_email=call.contact_email,
            call_type=call.call_type,
        ),
        created_at=call.created_at,
        updated_at=call.updated_at,
    )
