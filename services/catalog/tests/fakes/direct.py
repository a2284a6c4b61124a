"""Direct uploads in memory."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sluice_catalog.domain import Direct
from sluice_contracts.statuses import Kind, UploadStatus
from sluice_runtime.errors import NotFound

from .tables import UNSENT, FakeTables

_SAVED = ("session_id", "size_bytes", "sha256", "status", "sequence", "deadline")


class FakeDirect:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Direct) -> None:
        for known in self._tables.direct.values():
            assert added.upload_id != known.upload_id
            assert added.key != known.key
        self._tables.direct[added.upload_id] = added

    async def get(self, tenant: str, upload_id: str) -> Direct:
        found = self._tables.direct.get(upload_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no upload {upload_id}.", code="upload-not-found")
        return found

    async def lock(self, tenant: str, upload_id: str) -> Direct:
        return await self.get(tenant, upload_id)

    async def lock_many(self, upload_ids: Sequence[str]) -> dict[str, Direct]:
        known = self._tables.direct
        return {one: known[one] for one in sorted(set(upload_ids)) if one in known}

    async def lock_page(self, batch_id: str, after: str, limit: int) -> list[Direct]:
        every = sorted(self._tables.direct.items())
        return [one for id_, one in every if one.batch_id == batch_id and id_ > after][:limit]

    async def save(self, saved: Direct) -> None:
        found = self._tables.direct.get(saved.upload_id)
        if found is not None:
            changed = {name: getattr(saved, name) for name in _SAVED}
            self._tables.direct[saved.upload_id] = replace(found, **changed)

    async def remove(self, upload_ids: Sequence[str]) -> None:
        for upload_id in upload_ids:
            self._tables.direct.pop(upload_id, None)

    async def overdue(self, now: datetime, limit: int) -> list[Direct]:
        found = [
            one
            for one in self._tables.direct.values()
            if one.status in UNSENT and one.deadline < now
        ]
        return random.sample(found, min(limit, len(found)))

    async def failure_of(self, upload_id: str) -> str | None:
        failed = [
            one
            for one in self._tables.history
            if (one.kind, one.id, one.status) == (Kind.UPLOAD, upload_id, UploadStatus.FAILED)
        ]
        return max(failed, key=lambda one: one.sequence).reason if failed else None
