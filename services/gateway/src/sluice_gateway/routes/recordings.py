"""The recordings door: presign, PUT, register. Source document 000."""

import math
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from sluice_contracts.api import (
    Poll,
    PresignAnswer,
    PresignedItem,
    PresignRequest,
    Problem,
    RecordingAnswerItem,
    RecordingsAnswer,
    RecordingsRequest,
)
from sluice_contracts.questions import (
    Idempotency,
    PlannedUpload,
    Principal,
    RecordingItem,
    RegisterRecordings,
)
from sluice_gateway.domain import (
    SCOPE_WRITE,
    check_metadata,
    known_batch_id,
    promised_md5,
)
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import (
    EdgeDep,
    base_url,
    body_schema,
    content_length,
    edge_of,
    fingerprint,
    header_idempotency,
    is_encoded,
    read_json,
)
from sluice_gateway.routes.straight import StraightRoute, parameter
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.presign import presign
from sluice_gateway.usecases.uploads import Offer, receive_upload
from sluice_runtime.errors import Rejected

router = APIRouter(
    tags=["recordings"], responses={401: {"model": Problem}, 503: {"model": Problem}}
)

Writer = Annotated[Principal, Depends(require(SCOPE_WRITE))]


@router.post("/uploads/presign", openapi_extra=body_schema(PresignRequest))
async def presign_uploads(request: Request, principal: Writer, edge: EdgeDep) -> PresignAnswer:
    """Ask for upload URLs, one for each file, in a new batch or an existing one."""
    asked, value = await read_json(request, PresignRequest, edge)
    origin = base_url(request, edge)
    idempotency = header_idempotency(request, value)
    done = await presign(principal, asked.batch_id, asked.items, idempotency, edge.deps)
    left = done.planned.expires_at - edge.deps.now()
    return PresignAnswer(
        batch_id=done.planned.batch_id,
        expires_in_seconds=max(0, math.ceil(left.total_seconds())),
        items=tuple(
            _presigned(upload, f"{origin}/mock-upload/{upload.upload_id}?token={token}")
            for upload, token in zip(done.planned.uploads, done.tokens, strict=True)
        ),
    )


def _presigned(upload: PlannedUpload, url: str) -> PresignedItem:
    return PresignedItem(
        temp_id="tmp_" + upload.upload_id.removeprefix("upl_"),
        upload_url=url,
        required_headers={"Content-Type": upload.content_type},
        blob_ref=f"blob://s3/{upload.bucket}/{upload.key}",
    )


async def put_upload(request: Request) -> Response:
    """Send the bytes. 201: stored and registered. 202: stored, and registered soon."""
    edge = edge_of(request)
    if is_encoded(request):
        raise Rejected(
            "Send the bytes as they are, with no Content-Encoding.",
            code="content-encoding-unsupported",
        )
    offer = Offer(
        upload_id=request.path_params["upload_id"],
        token=request.query_params.get("token", ""),
        content_type=request.headers.get("content-type", ""),
        size_bytes=content_length(request),
        md5=promised_md5(request.headers.get("content-md5")),
    )
    try:
        with edge.uploads.place():
            received = await receive_upload(offer, request.stream(), edge.deps)
    except ClientDisconnect:
        # Nobody reads this answer; what was sent is removed already.
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    if received.answer is Answer.REGISTERED:
        return Response(status_code=HTTPStatus.CREATED)
    where = {"Location": f"/batches/{received.batch_id}"}
    return Response(status_code=HTTPStatus.ACCEPTED, headers=where)


router.add_api_route(
    "/mock-upload/{upload_id}",
    put_upload,
    methods=["PUT"],
    status_code=HTTPStatus.CREATED,
    response_class=Response,
    responses={202: {"description": "Stored; will be registered."}, 400: {"model": Problem}},
    route_class_override=StraightRoute,
    openapi_extra={
        "parameters": [
            parameter("upload_id", "path", "The upload, as its URL names it."),
            parameter("token", "query", "Allows to send this upload, once.", required=True),
        ],
        "requestBody": {
            "required": True,
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)


@router.post(
    "/recordings",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=body_schema(RecordingsRequest),
    responses={409: {"model": Problem}, 422: {"model": Problem}},
)
async def register(request: Request, principal: Writer, edge: EdgeDep) -> RecordingsAnswer:
    """Describe uploaded blobs: they become recordings of their batch, all or none."""
    asked, value = await read_json(request, RecordingsRequest, edge)
    for item in asked.items:
        check_metadata(item.data)
    promises = [
        Idempotency(
            key=f"body:{asked.idempotency_key}",
            fingerprint=fingerprint([value.get("batch_id"), value["items"]]),
        )
    ]
    if (header := header_idempotency(request, value)) is not None:
        promises.append(header)
    batch = await edge.deps.asker.ask(
        RegisterRecordings(
            principal=principal,
            batch_id=None if asked.batch_id is None else known_batch_id(asked.batch_id),
            items=tuple(RecordingItem(**item.model_dump()) for item in asked.items),
            idempotency=tuple(promises),
        )
    )
    return RecordingsAnswer(
        batch_id=batch.batch_id,
        status=batch.status,
        items=tuple(RecordingAnswerItem(**item.model_dump()) for item in batch.items),
        poll=Poll(href=f"/batches/{batch.batch_id}"),
    )
