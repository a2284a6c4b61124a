"""Calls in memory."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sluice_catalog.domain import Call
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import CallView, ListCalls, StatusStep
from sluice_contracts.statuses import Kind
from sluice_runtime.errors import NotFound

from .tables import FakeTables

_SHOWN = CallView.model_fields.keys() & Call.__dataclass_fields__.keys()
_NARROWS = ("tenant", "status", "call_type", "company_name")


class FakeCalls:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Sequence[Call]) -> None:
        for one in added:
            assert one.call_id not in self._tables.calls
            self._tables.calls[one.call_id] = one

    async def known(self, call_ids: Sequence[UUID]) -> set[UUID]:
        return self._tables.calls.keys() & set(call_ids)

    async def lock(self, tenant: str, call_id: UUID) -> Call:
        found = self._tables.calls.get(call_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no call {call_id}.", code="call-not-found")
        return found

    async def save(self, call: Call) -> None:
        self._tables.calls[call.call_id] = replace(
            self._tables.calls[call.call_id],
            status=call.status,
            sequence=call.sequence,
            updated_at=call.updated_at,
        )

    async def view(self, tenant: str, call_id: UUID) -> CallView:
        return self._view(await self.lock(tenant, call_id))

    def _view(self, call: Call) -> CallView:
        objects = self._tables.objects.values()
        stored = next(one for one in objects if one.upload_id == call.upload_id)
        read = self._tables.media.get(call.upload_id)
        media = read.media if read is not None else None
        return CallView(
            **{name: getattr(call, name) for name in _SHOWN},
            bucket=stored.bucket,
            key=stored.key,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            content_type=stored.content_type,
            duration_seconds=media.duration_seconds if media is not None else None,
        )

    async def page(self, asked: ListCalls, limit: int) -> list[CallView]:
        after = asked.after
        before = None if after is None else (after.created_at, UUID(after.id))
        found = [
            one
            for one in self._tables.calls.values()
            if all(getattr(asked, name) in (None, getattr(one, name)) for name in _NARROWS)
            and (asked.since is None or one.created_at >= asked.since)
            and (asked.until is None or one.created_at < asked.until)
            and (before is None or (one.created_at, one.call_id) < before)
        ]
        found.sort(key=lambda one: (one.created_at, one.call_id), reverse=True)
        return [self._view(one) for one in found[:limit]]

    async def history(self, call_id: UUID) -> list[StatusStep]:
        steps = {
            one.sequence
            for one in self._tables.history
            if (one.kind, one.id) == (Kind.CALL, str(call_id))
        }
        told = [
            StatusStep.model_validate(one.model_dump())
            for one in self._tables.outbox
            if isinstance(one, StatusChanged) and one.id == str(call_id) and one.sequence in steps
        ]
        return sorted(told, key=lambda one: one.sequence)

    async def delete(self, call_id: UUID) -> None:
        del self._tables.calls[call_id]
        self._tables.history = [one for one in self._tables.history if one.id != str(call_id)]
