"""Objects and what was read from them, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sluice_catalog.domain import StoredObject
from sluice_contracts.facts import ObjectInspected
from sluice_contracts.questions import OwnedObject

from .tables import UNSENT, FakeTables


class FakeObjects:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Sequence[StoredObject]) -> None:
        for one in added:
            if not await self.of_uploads([one.upload_id]):
                self._tables.objects.setdefault(one.key, one)

    async def of_uploads(self, upload_ids: Sequence[str]) -> dict[str, StoredObject]:
        found = self._tables.objects.values()
        return {one.upload_id: one for one in found if one.upload_id in upload_ids}

    async def by_key(self, key: str) -> StoredObject | None:
        return self._tables.objects.get(key)

    async def mark(self, upload_ids: Sequence[str], **values: Any) -> None:
        for one in (await self.of_uploads(upload_ids)).values():
            if one.state != "discarded":
                self._tables.objects[one.key] = replace(one, **values)

    async def remove_discarded(self, key: str) -> None:
        found = self._tables.objects.get(key)
        if found is not None and found.state == "discarded":
            del self._tables.objects[key]

    def _owned(self) -> list[OwnedObject]:
        owned = [
            OwnedObject(
                key=one.key,
                upload_id=one.upload_id,
                size_bytes=one.size_bytes,
                sha256=one.sha256,
                state=one.state,
            )
            for one in self._tables.objects.values()
        ]
        owned += [
            OwnedObject(
                key=one.key,
                upload_id=one.upload_id,
                size_bytes=None,
                sha256=None,
                state="expected",
            )
            for one in (*self._tables.uploads.values(), *self._tables.direct.values())
            if one.status in UNSENT
        ]
        return sorted(owned, key=lambda one: one.key.encode())

    async def page(self, after: str, limit: int) -> list[OwnedObject]:
        return [one for one in self._owned() if one.key.encode() > after.encode()][:limit]

    async def find(self, keys: Sequence[str]) -> list[OwnedObject]:
        return [one for one in self._owned() if one.key in keys]


class FakeMedia:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def keep(self, facts: Sequence[ObjectInspected]) -> None:
        self._tables.media |= {fact.upload_id: fact for fact in facts}

    async def forget(self, upload_id: str) -> None:
        if all(one.upload_id != upload_id for one in self._tables.objects.values()):
            self._tables.media.pop(upload_id, None)
