"""Queries on recorders. Only digests of their tokens are kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from sluice_catalog.database.rows import columns_of
from sluice_catalog.database.tables import devices
from sluice_catalog.domain import Device
from sluice_contracts.questions import Page
from sluice_runtime.errors import NotFound
from sluice_runtime.session import Session

_SEEN = """
    update devices set last_seen_at = given.at
    from unnest(cast(:device_id as uuid[]), cast(:at as timestamptz[])) as given(device_id, at)
    where devices.device_id = given.device_id
        and (devices.last_seen_at is null or devices.last_seen_at < given.at)
"""


class DeviceNotFound(NotFound):
    code = "device-not-found"


class SqlDevices:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, device: Device) -> bool:
        """Insert a device; False when its id or its token is taken."""
        statement = (
            insert(devices)
            .values(columns_of(device))
            .on_conflict_do_nothing()
            .returning(devices.c.device_id)
        )
        return (await self._session.execute(statement)).first() is not None

    async def lock(self, tenant: str, device_id: UUID) -> Device:
        """The device, its row held until this transaction ends; raises `DeviceNotFound`."""
        query = select(devices).where(devices.c.device_id == device_id, devices.c.tenant == tenant)
        row = (await self._session.execute(query.with_for_update())).first()
        if row is None:
            raise DeviceNotFound(f"There is no device {device_id}.")
        return Device(**row._mapping)

    async def with_token(self, token_hash: str) -> Device | None:
        query = select(devices).where(devices.c.token_hash == token_hash)
        row = (await self._session.execute(query)).first()
        return None if row is None else Device(**row._mapping)

    async def change(self, device_id: UUID, **values: Any) -> None:
        statement = update(devices).where(devices.c.device_id == device_id).values(**values)
        await self._session.execute(statement)

    async def seen(self, at: Mapping[UUID, datetime]) -> None:
        """Remember when devices last sent something; an older moment changes nothing."""
        if not at:
            return
        ids = sorted(at)
        columns = {"device_id": ids, "at": [at[one] for one in ids]}
        await self._session.write("devices", _SEEN, columns)

    async def page(self, tenant: str, *, after: Page | None, limit: int) -> list[Device]:
        """The newest devices, or those that follow `after`."""
        newest_first = (devices.c.created_at.desc(), devices.c.device_id.desc())
        query = select(devices).where(devices.c.tenant == tenant)
        if after is not None:
            place = tuple_(devices.c.created_at, devices.c.device_id)
            query = query.where(place < (after.created_at, UUID(after.id)))
        rows = await self._session.execute(query.order_by(*newest_first).limit(limit))
        return [Device(**row._mapping) for row in rows]
