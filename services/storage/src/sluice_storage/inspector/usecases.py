"""What the inspector does: look into a file, and say what it found."""

import asyncio
from collections.abc import Sequence

import structlog

from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectInspected, ObjectStored, StoredBytes
from sluice_contracts.questions import LinkObject
from sluice_runtime.facts import derived_id
from sluice_runtime.trace import trace_of, tracing
from sluice_storage.inspector.ports import Deps, Finding

log = structlog.get_logger(__name__)


async def inspect_objects(events: Sequence[Event[ObjectStored]], deps: Deps) -> None:
    """Look into several files side by side; ends when all have ended, well or not."""
    ended = await asyncio.gather(
        *(_inspect_traced(event, deps) for event in events), return_exceptions=True
    )
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


async def _inspect_traced(event: Event[ObjectStored], deps: Deps) -> None:
    with tracing(trace_of(event.envelope)):
        await inspect_object(event, deps)


async def inspect_object(event: Event[ObjectStored], deps: Deps) -> None:
    """Say what is in a stored file, or that it cannot be read. Safe to repeat.

    An object that was deleted meanwhile is passed over: nobody asks what was in it.
    """
    fact = event.data
    finding = await _look(fact.bytes, deps)
    if finding is None:
        log.info("object gone", key=fact.bytes.key)
        return
    if not finding.readable:
        log.info("file unreadable", key=fact.bytes.key, reason=finding.reason)
    inspected = ObjectInspected(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        readable=finding.readable,
        reason=finding.reason,
        media=finding.media,
        inspected_at=deps.now(),
    )
    await deps.announcer.announce(inspected, event_id=derived_id(event.envelope.id, "inspected"))


async def _look(stored: StoredBytes, deps: Deps) -> Finding | None:
    if stored.size_bytes > deps.most_bytes:
        return Finding(readable=False, reason="too-large")
    question = LinkObject(
        key=stored.key, content_type="application/octet-stream", disposition="attachment"
    )
    link = await deps.asker.ask(question)
    async with deps.downloads.fetch(link.internal_url, stored.size_bytes) as file:
        return None if file is None else await deps.reader.read(file)
