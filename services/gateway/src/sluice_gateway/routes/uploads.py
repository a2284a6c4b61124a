"""Direct uploads: for clients that send their bytes to the object store themselves."""

from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from sluice_contracts.api import (
    CompleteRequest,
    MultipartUrls,
    PartsAnswer,
    PartsRequest,
    PartUrl,
    Problem,
    SinglePut,
    StoredPart,
    TimelineAnswer,
    TimelineItem,
    UploadCreated,
    UploadRequest,
    UploadState,
)
from sluice_contracts.base import Body
from sluice_contracts.questions import DirectContents, DirectView, GetTimeline, Principal
from sluice_gateway.domain import (
    SCOPE_UPLOADS_READ,
    SCOPE_UPLOADS_WRITE,
    known_upload_id,
    object_id_of,
)
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import (
    Edge,
    EdgeDep,
    body_schema,
    content_length,
    header_idempotency,
    read_json,
)
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.completing import complete_direct
from sluice_gateway.usecases.direct import (
    Signed,
    cancel_direct,
    show_direct,
    sign_again,
    start_direct,
)

B = TypeVar("B", bound=Body)

router = APIRouter(
    prefix="/api/v1/uploads",
    tags=["uploads"],
    responses={401: {"model": Problem}, 404: {"model": Problem}, 503: {"model": Problem}},
)

Writer = Annotated[Principal, Depends(require(SCOPE_UPLOADS_WRITE))]
Reader = Annotated[Principal, Depends(require(SCOPE_UPLOADS_READ))]


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model_exclude_none=True,
    openapi_extra=body_schema(UploadRequest),
    responses={413: {"model": Problem}, 422: {"model": Problem}},
)
async def create_upload(
    request: Request, response: Response, principal: Writer, edge: EdgeDep
) -> UploadCreated:
    """Ask where to send a file: one URL, or one for each of its first parts."""
    asked, value = await read_json(request, UploadRequest, edge)
    idempotency = header_idempotency(request, value)
    signed = await start_direct(principal, asked, idempotency, edge.deps)
    upload = signed.upload
    response.headers["Location"] = f"{request.url.path}/{upload.upload_id}"
    return UploadCreated(
        upload_id=upload.upload_id,
        object_id=object_id_of(upload.upload_id),
        status=upload.status,
        expires_at=upload.deadline,
        put=_put(signed),
        multipart=_multipart(signed),
        blob_ref=_blob_ref(upload),
    )


def _put(signed: Signed) -> SinglePut | None:
    if signed.put_url is None:
        return None
    headers = {"Content-Type": signed.upload.content_type}
    return SinglePut(url=signed.put_url, headers=headers)


def _multipart(signed: Signed) -> MultipartUrls | None:
    if signed.upload.part_size is None or not signed.parts:
        return None
    return MultipartUrls(part_size=signed.upload.part_size, parts=_urls(signed))


def _urls(signed: Signed) -> tuple[PartUrl, ...]:
    return tuple(PartUrl(number=one.number, url=one.url) for one in signed.parts)


def _blob_ref(upload: DirectView) -> str | None:
    if upload.batch_id is None:
        return None
    return f"blob://s3/{upload.bucket}/{upload.key}"


@router.post(
    "/{upload_id}/parts",
    response_model_exclude_none=True,
    openapi_extra=body_schema(PartsRequest),
    responses={409: {"model": Problem}, 422: {"model": Problem}},
)
async def sign_parts(
    request: Request, upload_id: str, principal: Writer, edge: EdgeDep
) -> PartsAnswer:
    """Fresh URLs: signatures expire within minutes, an upload lives as long as it is worked on."""
    asked = await _read(request, PartsRequest, edge)
    signed = await sign_again(principal, upload_id, asked.numbers, edge.deps)
    return PartsAnswer(
        expires_at=signed.upload.deadline,
        put=_put(signed),
        part_size=signed.upload.part_size,
        parts=_urls(signed),
    )


async def _read(request: Request, model: type[B], edge: Edge) -> B:
    """The body; nothing at all is a body in which nothing is asked for."""
    if content_length(request) in (None, 0) and "transfer-encoding" not in request.headers:
        return model()
    asked, _ = await read_json(request, model, edge)
    return asked


@router.get("/{upload_id}", response_model_exclude_none=True)
async def get_upload(upload_id: str, principal: Reader, edge: EdgeDep) -> UploadState:
    """How far an upload is, and which of its parts are in the store: what is needed to resume."""
    upload, contents = await show_direct(principal, upload_id, edge.deps)
    return _state(upload, contents)


@router.post(
    "/{upload_id}/complete",
    response_model=UploadState,
    response_model_exclude_none=True,
    openapi_extra=body_schema(CompleteRequest),
    responses={
        202: {"model": UploadState, "description": "All was sent, and is being verified."},
        409: {"model": Problem},
        422: {"model": Problem},
    },
)
async def complete_upload(
    request: Request, upload_id: str, principal: Writer, edge: EdgeDep
) -> Response:
    """Say that all was sent. 200: verified and registered. 202: verified soon; ask `Location`."""
    asked = await _read(request, CompleteRequest, edge)
    completed = await complete_direct(principal, upload_id, asked, edge.deps)
    body = _state(completed.upload).model_dump(mode="json", exclude_none=True)
    if completed.answer is Answer.REGISTERED:
        return JSONResponse(body)
    headers = {"Location": f"/api/v1/uploads/{completed.upload.upload_id}", "Retry-After": "2"}
    return JSONResponse(body, HTTPStatus.ACCEPTED, headers)


def _state(upload: DirectView, contents: DirectContents | None = None) -> UploadState:
    found = contents.parts if contents else ()
    return UploadState(
        upload_id=upload.upload_id,
        object_id=object_id_of(upload.upload_id),
        status=upload.status,
        filename=upload.filename,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        part_size=upload.part_size,
        parts=tuple(StoredPart(**one.model_dump()) for one in found),
        completing=upload.completing,
        failure_code=upload.failure_code,
        batch_id=upload.batch_id,
        blob_ref=_blob_ref(upload),
        metadata=upload.metadata,
        created_at=upload.created_at,
        expires_at=upload.deadline,
    )


@router.delete(
    "/{upload_id}", status_code=HTTPStatus.NO_CONTENT, responses={409: {"model": Problem}}
)
async def delete_upload(upload_id: str, principal: Writer, edge: EdgeDep) -> Response:
    """End an upload and remove what was sent; one that is registered is removed altogether."""
    await cancel_direct(principal, upload_id, edge.deps)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/{upload_id}/timeline")
async def get_timeline(upload_id: str, principal: Reader, edge: EdgeDep) -> TimelineAnswer:
    """Everything that happened to an upload, in order."""
    question = GetTimeline(tenant=principal.tenant, upload_id=known_upload_id(upload_id))
    found = await edge.deps.asker.ask(question)
    return TimelineAnswer(items=tuple(TimelineItem(**one.model_dump()) for one in found.entries))
