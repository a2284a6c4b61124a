"""Administration of recorders."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from sluice_contracts.api import (
    DeviceAnswer,
    DeviceChange,
    DeviceList,
    DeviceRequest,
    Problem,
)
from sluice_contracts.questions import (
    AddDevice,
    ChangeDevice,
    DeviceView,
    ListDevices,
    Principal,
)
from sluice_gateway.domain import (
    SCOPE_ADMIN,
    decode_uuid_cursor,
    encode_cursor,
    known_uuid,
    token_digest,
)
from sluice_gateway.routes.callers import require
from sluice_gateway.routes.edge import (
    CursorParam,
    EdgeDep,
    LimitParam,
    body_schema,
    header_idempotency,
    link_next,
    read_json,
)

router = APIRouter(
    prefix="/api/v1/admin/devices",
    tags=["devices"],
    responses={401: {"model": Problem}, 403: {"model": Problem}, 503: {"model": Problem}},
)

Administrator = Annotated[Principal, Depends(require(SCOPE_ADMIN))]


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    openapi_extra=body_schema(DeviceRequest),
    responses={409: {"model": Problem}, 422: {"model": Problem}},
)
async def add_device(
    request: Request, response: Response, principal: Administrator, edge: EdgeDep
) -> DeviceAnswer:
    """Make a recorder known. Its token is kept as a digest and never shown."""
    asked, value = await read_json(request, DeviceRequest, edge)
    added = await edge.deps.asker.ask(
        AddDevice(
            tenant=principal.tenant,
            **asked.model_dump(exclude={"token_plain"}),
            token_sha256=token_digest(asked.token_plain),
            idempotency=header_idempotency(request, value),
        )
    )
    response.headers["Location"] = f"{request.url.path}/{added.device_id}"
    return _answer(added)


@router.get("")
async def list_devices(
    request: Request,
    response: Response,
    principal: Administrator,
    edge: EdgeDep,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> DeviceList:
    """Recorders, newest first."""
    question = ListDevices(tenant=principal.tenant, after=decode_uuid_cursor(cursor), limit=limit)
    page = await edge.deps.asker.ask(question)
    following = encode_cursor(page.next)
    link_next(request, response, following)
    return DeviceList(items=tuple(_answer(one) for one in page.devices), next_cursor=following)


@router.patch(
    "/{device_id}",
    openapi_extra=body_schema(DeviceChange),
    responses={404: {"model": Problem}, 409: {"model": Problem}, 422: {"model": Problem}},
)
async def change_device(
    request: Request, device_id: str, principal: Administrator, edge: EdgeDep
) -> DeviceAnswer:
    """Let a recorder in or out, or give it another token. Takes effect at once."""
    asked, _ = await read_json(request, DeviceChange, edge)
    changed = await edge.deps.asker.ask(
        ChangeDevice(
            tenant=principal.tenant,
            device_id=_known(device_id),
            is_enabled=asked.is_enabled,
            token_sha256=token_digest(asked.token_plain) if asked.token_plain else None,
        )
    )
    return _answer(changed)


def _known(text: str) -> UUID:
    return known_uuid(text, "device")


def _answer(device: DeviceView) -> DeviceAnswer:
    return DeviceAnswer(**device.model_dump())
