"""Renders and the messages that carry them, in memory."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sluice_catalog.domain import Message, Render
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import ListMessages, MessageView, Page, RenderView
from sluice_contracts.statuses import Kind
from sluice_runtime.errors import NotFound

from .tables import FakeTables

_RENDER_SHOWN = RenderView.model_fields.keys() & Render.__dataclass_fields__.keys()
_MESSAGE_SHOWN = MessageView.model_fields.keys() & Message.__dataclass_fields__.keys()


class FakeRenders:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, added: Sequence[Render]) -> None:
        for one in added:
            assert one.render_id not in self._tables.renders
            self._tables.renders[one.render_id] = one

    async def known(self, render_ids: Sequence[UUID]) -> set[UUID]:
        return self._tables.renders.keys() & set(render_ids)

    async def lock(self, tenant: str, render_id: UUID) -> Render:
        return self._find(tenant, render_id)

    def _find(self, tenant: str | None, render_id: UUID) -> Render:
        found = self._tables.renders.get(render_id)
        if found is None or tenant not in (None, found.tenant):
            raise NotFound(f"There is no render {render_id}.", code="render-not-found")
        return found

    async def lock_of_message(self, message_id: str) -> list[Render]:
        found = [one for one in self._tables.renders.values() if one.message_id == message_id]
        return sorted(found, key=lambda one: one.render_id)

    async def lock_unclaimed(self, before: datetime, limit: int) -> list[Render]:
        heard_of_later = {
            one.id
            for one in self._tables.outbox
            if isinstance(one, StatusChanged)
            and (one.kind, one.changed_at >= before) == (Kind.RENDER, True)
        }
        found = [
            one
            for one in self._tables.renders.values()
            if one.message_id is None and one.created_at < before and one.id not in heard_of_later
        ]
        return sorted(found, key=lambda one: one.created_at)[:limit]

    async def save(self, render: Render) -> None:
        self._tables.renders[render.render_id] = replace(
            self._tables.renders[render.render_id],
            status=render.status,
            sequence=render.sequence,
            message_id=render.message_id,
            attached_at=render.attached_at,
        )

    async def delete(self, render_ids: Sequence[UUID]) -> None:
        for render_id in render_ids:
            self._tables.renders.pop(render_id, None)

    async def view(self, tenant: str | None, render_id: UUID) -> RenderView:
        return self._view(self._find(tenant, render_id))

    def _view(self, render: Render) -> RenderView:
        objects = self._tables.objects.values()
        stored = next(one for one in objects if one.upload_id == render.upload_id)
        return RenderView(
            **{name: getattr(render, name) for name in _RENDER_SHOWN},
            key=stored.key,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            content_type=stored.content_type,
        )

    async def count_of(self, message_id: str) -> int:
        return len(await self.lock_of_message(message_id))

    async def of_messages(self, message_ids: Sequence[str]) -> dict[str, list[RenderView]]:
        found: dict[str, list[RenderView]] = {}
        for message_id in message_ids:
            mine = await self.lock_of_message(message_id)
            mine.sort(key=lambda one: (one.attached_at, one.render_id))
            if mine:
                found[message_id] = [self._view(one) for one in mine]
        return found


class FakeMessages:
    def __init__(self, tables: FakeTables) -> None:
        self._tables = tables

    async def add(self, message: Message) -> None:
        assert message.message_id not in self._tables.messages
        self._tables.messages[message.message_id] = message

    async def lock(self, tenant: str, message_id: str) -> None:
        self._find(tenant, message_id)

    def _find(self, tenant: str, message_id: str) -> Message:
        found = self._tables.messages.get(message_id)
        if found is None or found.tenant != tenant:
            raise NotFound(f"There is no message {message_id}.", code="message-not-found")
        return found

    async def view(self, tenant: str, message_id: str, *, with_snapshot: bool) -> MessageView:
        return _shown(self._find(tenant, message_id), with_snapshot=with_snapshot)

    async def page(self, asked: ListMessages, limit: int) -> list[Page]:
        down = asked.order == "desc"
        found = sorted(
            (
                (one.timestamp, one.message_id)
                for one in self._tables.messages.values()
                if one.tenant == asked.tenant and asked.parent_thread in (None, one.parent_thread)
            ),
            reverse=down,
        )
        if asked.after is not None:
            after = (asked.after.created_at, asked.after.id)
            found = [one for one in found if (one < after if down else one > after)]
        return [Page(created_at=at, id=message_id) for at, message_id in found[:limit]]

    async def fitting(
        self, message_ids: Sequence[str], *, with_snapshot: bool, most_bytes: int
    ) -> int:
        total = 0
        for count, message_id in enumerate(message_ids):
            one = self._tables.messages[message_id]
            parts = (one.snapshot if with_snapshot else None, one.snapshot_metadata)
            total += sum(len(_written(part)) for part in parts if part is not None)
            if total > most_bytes and count > 0:
                return count
        return len(message_ids)

    async def views(
        self, message_ids: Sequence[str], *, with_snapshot: bool
    ) -> dict[str, MessageView]:
        found = self._tables.messages
        return {
            one: _shown(found[one], with_snapshot=with_snapshot)
            for one in message_ids
            if one in found
        }

    async def delete(self, message_id: str) -> None:
        self._tables.messages.pop(message_id, None)


def _shown(message: Message, *, with_snapshot: bool) -> MessageView:
    shown = {name: getattr(message, name) for name in _MESSAGE_SHOWN}
    return MessageView(**shown if with_snapshot else {**shown, "snapshot": None})


def _written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
