"""What the inspector found in stored files."""

from collections.abc import Sequence

from sluice_catalog.ports import Deps
from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectInspected


async def take_findings(events: Sequence[Event[ObjectInspected]], deps: Deps) -> None:
    """Keep what was read from files: all of it in one transaction, each fact once.

    It may come before the news that the file is stored, and is shown once that is there; of what
    was deleted meanwhile nothing is kept.
    """
    async with deps.work() as work:
        new = await work.inbox.new_of([event.envelope.id for event in events])
        gone = await work.uploads.buried([event.data.upload_id for event in events])
        fresh = [event.data for event in events if event.envelope.id in new]
        await work.media.keep([fact for fact in fresh if fact.upload_id not in gone])
        await work.commit()
