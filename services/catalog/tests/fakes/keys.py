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

    async def keep_new(
        self, tenant: str, scope: str, asked: Idempotency, answer: JsonObject, at: datetime
    ) -> None:
        place = (tenant, scope, asked.key)
        self._tables.replays.setdefault(place, (asked.fingerprint, answer, at))
        self._tables.reservations.pop(place, None)

    async def kept(self, tenant: str, scope: str, key: str) -> tuple[str, JsonObject] | None:
        found = self._tables.replays.get((tenant, scope, key))
        return None if found is None else found[:2]

    async def reserve(
        self, tenant: str, scope: str, key: str, claim_id: str, now: datetime, until: datetime
    ) -> bool:
        place = (tenant, scope, key)
        holder, held_until = self._tables.reservations.get(place, (claim_id, until))
        if holder != claim_id and held_until >= now:
            return False
        self._tables.reservations[place] = (claim_id, until)
        return True

    async def free(self, tenant: str, scope: str, key: str, claim_id: str) -> None:
        place = (tenant, scope, key)
        if self._tables.reservations.get(place, ("",))[0] == claim_id:
            del self._tables.reservations[place]

    async def forget(self, before: datetime) -> bool:
        replays, reservations = self._tables.replays, self._tables.reservations
        for place in [place for place, kept in replays.items() if kept[2] < before]:
            del replays[place]
        for place in [place for place, held in reservations.items() if held[1] < before]:
            del reservations[place]
        return False


class FakeInbox:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def new_of(self, event_ids: Sequence[str]) -> set[str]:
        new = set(event_ids) - self._tables.inbox
        self._tables.inbox |= new
        return new

    async def forget(self) -> bool:
        return False
