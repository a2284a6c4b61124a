"""What the notifier does: write the public log, and read from it."""

from collections.abc import Sequence
from datetime import datetime

from sluice_contracts.questions import ListEvents, LogEntries
from sluice_notifier.domain import Cursor, Read, number
from sluice_notifier.ports import Deps


async def find_position(stream_created: datetime, deps: Deps) -> int:
    """The stream position up to which the log is written."""
    async with deps.log() as log:
        return (await log.lock_cursor()).resume(stream_created).position


async def begin_anew(stream_created: datetime, deps: Deps) -> int:
    """Read the stream from its beginning: it lost its end, and gives its numbers out once more.

    What the log holds is known by id, and is not written again.
    """
    async with deps.log() as log:
        await log.lock_cursor()
        cursor = Cursor(stream_created, 0)
        await log.move_cursor(cursor)
        await log.commit()
    return cursor.position


async def write_log(
    reads: Sequence[Read], read_to: int, stream_created: datetime, deps: Deps
) -> None:
    """Append changes to the log, and remember in the same transaction how far that went.

    The cursor is what makes each change appear exactly once: what lies behind it was written,
    whoever reads it again. Ids are compared besides, for a stream that was lost and refilled.
    """
    async with deps.log() as log:
        cursor = (await log.lock_cursor()).resume(stream_created)
        unread = [read for read in reads if read.position > cursor.position]
        known = await log.known([read.event.envelope.id for read in unread])
        # A relay that was stopped for longer than the stream drops repeats says a change twice,
        # and both may lie in these reads; of each id the first one counts.
        first = {read.event.envelope.id: read for read in reversed(unread)}
        fresh = [
            read
            for read in unread
            if read.event.envelope.id not in known and first[read.event.envelope.id] is read
        ]
        tenants = sorted({read.event.data.tenant for read in fresh})
        entries = number(fresh, await log.last(tenants))
        await log.append(entries)
        await log.move_cursor(Cursor(stream_created, max(read_to, cursor.position)))
        await log.commit()
    await deps.live.tell(entries)


async def list_events(question: ListEvents, deps: Deps) -> LogEntries:
    """A stretch of one tenant's log."""
    async with deps.log() as log:
        return await log.page(
            question.tenant,
            after=question.after,
            limit=question.limit,
            types=question.types,
            ids=question.ids,
        )
