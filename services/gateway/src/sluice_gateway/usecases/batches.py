"""Batches with more recordings than one answer of the catalog holds."""

from collections.abc import AsyncIterator

from sluice_contracts.questions import (
    BatchState,
    BatchView,
    ListRecordings,
    RecordingState,
    RecordingView,
    ShowRecordings,
)
from sluice_gateway.ports import Deps


async def every_state(
    batch: BatchState, tenant: str, deps: Deps
) -> AsyncIterator[tuple[RecordingState, ...]]:
    """All recordings of a batch, part by part, beginning with those it came with.

    Each that was there when the batch was asked for comes once. Raises `SluiceError` when the rest
    is not to be had.
    """
    yield batch.items
    after = batch.next
    while after is not None:
        asked = ListRecordings(tenant=tenant, batch_id=batch.batch_id, after=after)
        more = await deps.asker.ask(asked)
        yield more.items
        after = more.next


async def every_view(
    batch: BatchView, tenant: str, deps: Deps
) -> AsyncIterator[tuple[RecordingView, ...]]:
    """As `every_state`, with everything the web page shows."""
    yield batch.recordings
    after = batch.next
    while after is not None:
        asked = ShowRecordings(tenant=tenant, batch_id=batch.batch_id, after=after)
        more = await deps.asker.ask(asked)
        yield more.recordings
        after = more.next
