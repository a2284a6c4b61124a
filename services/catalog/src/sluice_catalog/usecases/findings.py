"""What the inspector found in stored files."""

from collections.abc import Sequence

from sluice_catalog.ports import Deps, Work
from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectInspected
from sluice_contracts.statuses import UploadStatus

_ENDED = (UploadStatus.CANCELLED, UploadStatus.FAILED)


async def take_findings(events: Sequence[Event[ObjectInspected]], deps: Deps) -> None:
    """Keep what was read from files: all of it in one transaction, each fact once.

    It may come before the news that the file is stored, and is shown once that is there; of what
    was deleted meanwhile nothing is kept.
    """
    async with deps.work() as work:
        new = await work.inbox.new_of([event.envelope.id for event in events])
        gone = await _gone([event.data.upload_id for event in events], work)
        fresh = [event.data for event in events if event.envelope.id in new]
        await work.media.keep([fact for fact in fresh if fact.upload_id not in gone])
        await work.commit()


async def _gone(upload_ids: Sequence[str], work: Work) -> set[str]:
    """Those whose object was removed: they were deleted, or ended badly as direct uploads."""
    direct = await work.direct.lock_many(upload_ids)
    ended = {upload_id for upload_id, one in direct.items() if one.status in _ENDED}
    return ended | await work.uploads.buried(upload_ids)
