"""What workers outside say of how far they are."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.calls import move_call
from sluice_catalog.usecases.chunks import move_chunk
from sluice_catalog.usecases.recordings import move_recording
from sluice_contracts.questions import Done, ReportStatus
from sluice_contracts.statuses import CallStatus, ChunkStatus, Kind, RecordingStatus
from sluice_runtime.errors import Rejected

Move = Callable[[ReportStatus, Any, Work], Awaitable[None]]

_MOVES: Mapping[Kind, tuple[type[StrEnum], Move]] = {
    Kind.RECORDING: (RecordingStatus, move_recording),
    Kind.CHUNK: (ChunkStatus, move_chunk),
    Kind.CALL: (CallStatus, move_call),
}


async def report_status(question: ReportStatus, deps: Deps) -> Done:
    """Move a thing to its next status, because a worker says so.

    Raises:
        NotFound: there is no such thing.
        Rejected: things of its kind have no such status.
        Conflict: the table has no such move; nothing changed.
    """
    statuses, move = _MOVES[question.kind]
    try:
        status = statuses(question.status)
    except ValueError as error:
        raise Rejected(
            f"A {question.kind} cannot be {question.status!r}; it can be {', '.join(statuses)}.",
            code="unknown-status",
        ) from error
    async with deps.work() as work:
        await move(question, status, work)
        await work.commit()
    deps.wake_relay()
    return Done()
