"""The public event log: pages of it, and the endless stream without a gap."""

import re
import time
from collections.abc import AsyncIterator, Sequence

import structlog

from sluice_contracts.api import EventList, PublicEvent
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import ListEvents, LogEntries, LogEntry
from sluice_contracts.statuses import Kind
from sluice_gateway.ports import Deps, Listener
from sluice_runtime.errors import Rejected, Unavailable

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0
_RETRY_SECONDS = 1.0
_PAGE = 200
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Filter:
    """Which entries somebody asked for; empty lists ask for all."""

    def __init__(self, types: Sequence[str], ids: Sequence[str]) -> None:
        """`recording` stands for its full type.

        Raises:
            Rejected: there is no such type, or nothing could have such an id.
        """
        self.types = tuple(_full_type(name) for name in types)
        self.ids = tuple(_possible_id(text) for text in ids)

    def passes(self, event: PublicEvent) -> bool:
        if self.types and event.type not in self.types:
            return False
        return not self.ids or event.data.id in self.ids or event.data.batch_id in self.ids


def _full_type(name: str) -> str:
    for kind in Kind:
        if name in (kind, StatusChanged.type_of(kind)):
            return StatusChanged.type_of(kind)
    raise Rejected(
        f"There is no event type {name[:64]!r}; there are {', '.join(Kind)}.",
        code="unknown-event-type",
    )


def _possible_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise Rejected(f"Nothing can have the id {text[:64]!r}.", code="malformed-id")
    return text


async def list_events(tenant: str, after: int, limit: int, wanted: Filter, deps: Deps) -> EventList:
    """A page of the log.

    Raises:
        Rejected: `after` lies in the future; it came from another log.
    """
    page = await _page(tenant, after, limit, wanted, deps)
    _refuse_future(after, page)
    return EventList(
        items=tuple(_public(entry) for entry in page.entries),
        next_after=page.read_to,
        last_sequence=page.last,
    )


async def find_start(tenant: str, after: int | None, deps: Deps) -> int:
    """Where a stream begins: behind `after`, or at the end of the log.

    Raises:
        Rejected: `after` lies in the future; it came from another log.
    """
    page = await _page(tenant, after or 0, 1, Filter((), ()), deps)
    if after is None:
        return page.last
    _refuse_future(after, page)
    return after


def _refuse_future(after: int, page: LogEntries) -> None:
    """Who waits behind an entry of another log would miss, unnoticed, those of this one."""
    if after > page.last:
        raise Rejected(
            f"There is no event {after} yet; the newest is {page.last}.", code="unknown-event-id"
        )


async def follow(
    tenant: str, start: int, wanted: Filter, deps: Deps
) -> AsyncIterator[PublicEvent | None]:
    """Every entry after `start`, exactly once, in order; None is a heartbeat.

    Live entries are only a hint. Whenever one is missing between two others, and at each
    heartbeat, the log is read: what it holds is what is sent.
    """
    position, pulse = start, _Pulse()
    async with deps.live.listen(tenant) as listener:
        while not listener.ended:
            try:
                page = await _page(tenant, position, _PAGE, wanted, deps)
            except Unavailable as error:
                log.warning("stream waits", code=error.code)
                yield None
                await listener.next(_RETRY_SECONDS)
                continue
            for entry in page.entries:
                yield _public(entry)
            position = page.read_to
            if position < page.last:
                if not pulse.left_seconds():
                    pulse.beat()
                    yield None
                continue
            async for event in _while_gapless(listener, position, pulse):
                if event is not None:
                    position = event.sequence
                    if not wanted.passes(event):
                        continue
                yield event


class _Pulse:
    """When the next heartbeat is due, however much there is to send or to leave out: a reader
    takes silence for a lost connection, and its key is looked at with each."""

    def __init__(self) -> None:
        self.beat()

    def beat(self) -> None:
        self._due_at = time.monotonic() + HEARTBEAT_SECONDS

    def left_seconds(self) -> float:
        return max(0.0, self._due_at - time.monotonic())


async def _while_gapless(
    listener: Listener, position: int, pulse: _Pulse
) -> AsyncIterator[PublicEvent | None]:
    """Live entries as long as each follows the one before; ends with a heartbeat or a gap."""
    while not listener.ended:
        left = pulse.left_seconds()
        event = await listener.next(left) if left else None
        if event is None:
            pulse.beat()
            if not listener.ended:
                yield None
            return
        if event.sequence <= position:
            continue
        if event.sequence > position + 1:
            return
        position = event.sequence
        yield event


async def _page(tenant: str, after: int, limit: int, wanted: Filter, deps: Deps) -> LogEntries:
    return await deps.asker.ask(
        ListEvents(tenant=tenant, after=after, limit=limit, types=wanted.types, ids=wanted.ids)
    )


def _public(entry: LogEntry) -> PublicEvent:
    return PublicEvent(
        sequence=entry.sequence,
        id=entry.id,
        type=entry.type,
        subject=entry.data.id,
        time=entry.time,
        correlationid=entry.correlation_id,
        data=entry.data,
    )
