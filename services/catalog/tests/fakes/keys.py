"""Keys, kept answers and the inbox, in memory."""

from collections.abc import Sequence
from datetime import datetime

from sluice_contracts.base import JsonObject
from sluice_contracts.questions import Idempotency, Principal
from sluice_runtime.errors import Rejected

from .tables import FakeTables


class FakeKeys:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def resolve(self, token_sha256: str) -> Principal | None:
        return self._tables.keys.get(token_sha256)

    async def put(
        self, token_sha256: str, *, name: str, tenant: str, scopes: Sequence[str], at: datetime
    ) -> None:
        self._tables.keys[token_sha256] = Principal(
            tenant=tenant, subject=name, scopes=frozenset(scopes)
        )

    async def any_of(self, digests: Sequence[str]) -> bool:
        return not self._tables.keys.keys().isdisjoint(digests)


class FakeReplays:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def find(self, tenant: str, scope: str, asked: Idempotency) -> JsonObject | None:
        kept = self._tables.replays.get((tenant, scope, asked.key))
        if kept is None:
            return None
        if kept[0] != asked.fingerprint:
            raise Rejected("Used for another request.", code="idempotency-key-reused")
        return kept[1]

    async def keep(
        self, tenant: str, scope: str, asked: Idempotency, answer: JsonObject, at: datetime
    ) -> None:
        place = (tenant, scope, asked.key)
        assert place not in self._tables.replays
        self._tables.replays[place] = (asked.fingerprint, answer, at)

    async def forget(self, before: datetime) -> None:
        replays = self._tables.replays
        for place in [place for place, kept in replays.items() if kept[2] < before]:
            del replays[place]


class FakeInbox:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def new_of(self, event_ids: Sequence[str]) -> set[str]:
        new = set(event_ids) - self._tables.inbox
        self._tables.inbox |= new
        return new

    async def forget(self) -> bool:
        return False
