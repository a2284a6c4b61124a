"""Recorders: who they are, and whether they may upload."""

from sluice_catalog.domain import Device
from sluice_catalog.ports import Deps
from sluice_contracts.questions import (
    AddDevice,
    ChangeDevice,
    Devices,
    DeviceView,
    ListDevices,
    Page,
)
from sluice_runtime.errors import Conflict

_ADD_SCOPE = "devices.add"


async def add_device(question: AddDevice, deps: Deps) -> DeviceView:
    """Make a recorder known, and able to upload at once.

    Raises:
        Conflict: the device, or its token, is known already.
    """
    async with deps.work() as work:
        if question.idempotency:
            first = await work.replays.find(question.tenant, _ADD_SCOPE, question.idempotency)
            if first is not None:
                return DeviceView.model_validate(first)
        now = work.now()
        device = Device(
            device_id=question.device_id,
            tenant=question.tenant,
            point_id=question.point_id,
            register_id=question.register_id,
            token_hash=question.token_sha256,
            is_enabled=True,
            created_at=now,
        )
        taken = await work.keys.resolve(question.token_sha256) is not None
        if taken or not await work.devices.add(device):
            raise Conflict("This device, or this token, is known already.", code="device-exists")
        answer = _view(device)
        if question.idempotency:
            kept = answer.model_dump(mode="json")
            await work.replays.keep(question.tenant, _ADD_SCOPE, question.idempotency, kept, now)
        await work.commit()
    await deps.tell_auth_changed()
    return answer


async def list_devices(question: ListDevices, deps: Deps) -> Devices:
    """A page of recorders, newest first."""
    async with deps.work() as work:
        found = await work.devices.page(
            question.tenant, after=question.after, limit=question.limit + 1
        )
    shown = found[: question.limit]
    more = len(found) > question.limit
    following = Page(created_at=shown[-1].created_at, id=str(shown[-1].device_id)) if more else None
    return Devices(devices=tuple(_view(one) for one in shown), next=following)


async def change_device(question: ChangeDevice, deps: Deps) -> DeviceView:
    """Let a recorder in or out, or give it another token; gateways hear of it at once.

    Raises:
        NotFound: the tenant has no such device.
        Conflict: the token is somebody else's.
    """
    values = question.model_dump(
        include={"is_enabled", "token_sha256"}, exclude_none=True, exclude_unset=True
    )
    async with deps.work() as work:
        device = await work.devices.lock(question.tenant, question.device_id)
        digest = values.pop("token_sha256", None)
        if digest is not None and digest != device.token_hash:
            owner = await work.devices.with_token(digest)
            if owner is not None or await work.keys.resolve(digest) is not None:
                raise Conflict("This token is somebody else's.", code="device-exists")
            values["token_hash"] = digest
        if values:
            await work.devices.change(question.device_id, **values)
        changed = await work.devices.lock(question.tenant, question.device_id)
        await work.commit()
    await deps.tell_auth_changed()
    return _view(changed)


def _view(device: Device) -> DeviceView:
    return DeviceView(
        device_id=device.device_id,
        point_id=device.point_id,
        register_id=device.register_id,
        is_enabled=device.is_enabled,
        created_at=device.created_at,
        last_seen_at=device.last_seen_at,
    )
