"""The public event log: values and rules. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sluice_contracts.envelope import Event
from sluice_contracts.facts import StatusChanged


@dataclass(frozen=True)
class Cursor:
    """How far the log has read its stream.

    `stream_created` tells a stream from another of the same name: numbers of a stream that was
    lost and made anew mean nothing.
    """

    stream_created: datetime | None
    position: int

    def resume(self, stream_created: datetime) -> "Cursor":
        """Where to read on in the stream that was created then."""
        if self.stream_created == stream_created:
            return self
        return Cursor(stream_created, 0)


@dataclass(frozen=True)
class Read:
    """One status change as it stands in the stream."""

    position: int
    event: Event[StatusChanged]


@dataclass(frozen=True)
class Entry:
    """One status change in the log; `sequence` counts those of its tenant without a gap."""

    sequence: int
    event: Event[StatusChanged]


def number(reads: Iterable[Read], last: Mapping[str, int]) -> list[Entry]:
    """Give each change the next sequence of its tenant, in stream order.

    `last` is the newest sequence of each tenant so far; a tenant without one begins at 1.
    """
    counts = dict(last)
    entries: list[Entry] = []
    for read in reads:
        tenant = read.event.data.tenant
        counts[tenant] = counts.get(tenant, 0) + 1
        entries.append(Entry(counts[tenant], read.event))
    return entries
