"""`sluice watch`: the status changes of a tenant, as they happen."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from sluice_cli.client import Client
from sluice_cli.failures import UsageError
from sluice_cli.live import LiveLog
from sluice_cli.process import has_reader
from sluice_cli.reporting import Report
from sluice_contracts.api import PublicEvent
from sluice_contracts.facts import StatusChanged
from sluice_contracts.statuses import Kind

_PAGE = 200
# Of all names in one query: servers take addresses of some ten thousand letters.
_MOST_LETTERS = 8192


def checked_names(names: Sequence[str]) -> Sequence[str]:
    """Types or ids to ask for, which the server judges, if they can be sent there at all."""
    if not all(name.isascii() and name.isprintable() for name in names):
        raise UsageError("types and ids consist of ASCII letters, digits and signs")
    if sum(map(len, names)) > _MOST_LETTERS:
        raise UsageError("these are more types or ids than one request can name")
    return names


def full_types(names: Sequence[str]) -> list[str]:
    """CloudEvents types; the name of a kind stands for its status changes."""
    kinds = {kind.value: StatusChanged.type_of(kind) for kind in Kind}
    return [kinds.get(name, name) for name in names]


def describe(event: PublicEvent) -> str:
    """An event as one line for people."""
    change = event.data
    moment = event.time.isoformat(timespec="milliseconds")
    move = f"{change.previous} → {change.status}" if change.previous else change.status
    reason = f" ({change.reason})" if change.reason else ""
    return f"{moment} {change.kind} {change.id} {move}{reason}"


class Watch:
    """The log of one tenant, narrowed to some types and ids."""

    def __init__(
        self, client: Client, report: Report, types: Sequence[str], ids: Sequence[str]
    ) -> None:
        self._client = client
        self._report = report
        self._types = full_types(types)
        self._ids = ids

    async def forever(self, after: int | None) -> None:
        """Print everything behind `after`, or from now on, until somebody interrupts, or nobody
        reads it any more."""
        # Without a place to go on from, what happens during an early disconnect would be lost.
        start = await self._newest() if after is None else after
        log = LiveLog(self._client, self._report.notice, start, types=self._types, ids=self._ids)
        await self._show(log.events())

    async def once(self, after: int) -> None:
        """Print what there is behind `after`."""
        await self._show(self._history(after))

    async def _show(self, events: AsyncGenerator[PublicEvent]) -> None:
        async with aclosing(events):
            async for event in events:
                if self._report.as_json:
                    self._report.result(event)
                self._report.line(describe(event))
                if not has_reader():
                    return

    async def _history(self, after: int) -> AsyncGenerator[PublicEvent]:
        while True:
            page = await self._client.list_events(
                after=after, limit=_PAGE, types=self._types, ids=self._ids
            )
            for event in page.items:
                yield event
            # A page narrowed to nothing still goes on where the log does.
            if page.next_after <= after or page.next_after >= page.last_sequence:
                return
            after = page.next_after

    async def _newest(self) -> int:
        return (await self._client.list_events(after=0, limit=1)).last_sequence
