"""Recorders and chunks in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sluice_catalog.domain import Chunk, Device
from sluice_contracts.questions import ChunkView, Gap, ListChunks, Page
from sluice_runtime.errors import NotFound

from .tables import FakeTables

_SHOWN = ChunkView.model_fields.keys() & Chunk.__dataclass_fields__.keys()
_NARROWS = ("tenant", "point_id", "register_id", "device_id", "status")


class FakeDevices:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, device: Device) -> bool:
        if device.device_id in self._tables.devices or await self.with_token(device.token_hash):
            return False
        self._tables.devices[device.device_id] = device
        return True

    async def lock(self, tenant: str, device_id: UUID) -> Device:
        found = self._tables.devices.get(device_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no device {device_id}.", code="device-not-found")
        return found

    async def with_token(self, token_hash: str) -> Device | None:
        devices = self._tables.devices.values()
        return next((one for one in devices if one.token_hash == token_hash), None)

    async def change(self, device_id: UUID, **values: Any) -> None:
        found = self._tables.devices.get(device_id)
        if found is not None:
            self._tables.devices[device_id] = replace(found, **values)

    async def seen(self, at: Mapping[UUID, datetime]) -> None:
        for device_id, moment in at.items():
            found = self._tables.devices.get(device_id)
            if found is not None and (found.last_seen_at is None or found.last_seen_at < moment):
                await self.change(device_id, last_seen_at=moment)

    async def page(self, tenant: str, *, after: Page | None, limit: int) -> list[Device]:
        before = None if after is None else (after.created_at, UUID(after.id))
        found = [
            one
            for one in self._tables.devices.values()
            if one.tenant == tenant and (before is None or (one.created_at, one.device_id) < before)
        ]
        found.sort(key=lambda one: (one.created_at, one.device_id), reverse=True)
        return found[:limit]


class FakeChunks:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Sequence[Chunk]) -> None:
        for one in added:
            assert one.chunk_id not in self._tables.chunks
            self._tables.chunks[one.chunk_id] = one

    async def known(self, starts: Mapping[UUID, datetime]) -> dict[UUID, str]:
        found = self._tables.chunks
        return {one: found[one].file_path for one in starts if one in found}

    async def lock(self, tenant: str, chunk_id: UUID) -> Chunk:
        found = self._tables.chunks.get(chunk_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no chunk {chunk_id}.", code="chunk-not-found")
        return found

    async def save(self, chunk: Chunk) -> None:
        found = self._tables.chunks[chunk.chunk_id]
        changed = replace(found, status=chunk.status, sequence=chunk.sequence)
        self._tables.chunks[chunk.chunk_id] = changed

    async def view(self, tenant: str, chunk_id: UUID) -> ChunkView:
        return self._view(await self.lock(tenant, chunk_id))

    def _view(self, chunk: Chunk) -> ChunkView:
        objects = self._tables.objects.values()
        stored = next(one for one in objects if one.upload_id == chunk.upload_id)
        read = self._tables.media.get(chunk.upload_id)
        media = read.media if read is not None else None
        return ChunkView(
            **{name: getattr(chunk, name) for name in _SHOWN},
            true_duration_seconds=media.duration_seconds if media is not None else None,
            sha256=stored.sha256,
            content_type=stored.content_type,
            bucket=stored.bucket,
        )

    async def page(self, asked: ListChunks, limit: int) -> list[ChunkView]:
        after = asked.after
        before = None if after is None else (after.created_at, UUID(after.id))
        found = [
            one
            for one in self._tables.chunks.values()
            if all(getattr(asked, name) in (None, getattr(one, name)) for name in _NARROWS)
            and _begins_within(one, asked.since, asked.until)
            and (before is None or (one.start_ts, one.chunk_id) < before)
        ]
        found.sort(key=lambda one: (one.start_ts, one.chunk_id), reverse=True)
        return [self._view(one) for one in found[:limit]]

    async def gaps(
        self,
        tenant: str,
        device_id: UUID,
        *,
        since: datetime | None,
        until: datetime | None,
        tolerance_ms: int,
        most: int,
    ) -> list[Gap]:
        mine = [
            one
            for one in self._tables.chunks.values()
            if (one.tenant, one.device_id) == (tenant, device_id)
        ]
        mine.sort(key=lambda one: (one.start_ts, one.chunk_id))
        found: list[Gap] = []
        for n, one in enumerate(mine[1:], start=1):
            covered_to = max(earlier.end_ts for earlier in mine[:n])
            hole = one.start_ts - covered_to
            if not _begins_within(one, since, until):
                continue
            if hole > timedelta(milliseconds=tolerance_ms):
                found.append(
                    Gap(
                        start_ts=covered_to,
                        end_ts=one.start_ts,
                        duration_sec=hole / timedelta(seconds=1),
                    )
                )
        return found[:most]


def _begins_within(chunk: Chunk, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or chunk.start_ts >= since) and (until is None or chunk.start_ts < until)
