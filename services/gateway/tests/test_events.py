"""The endless stream: every entry once and in order, whatever becomes of the live hints."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.api import PublicEvent
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import ListEvents, LogEntries, LogEntry
from sluice_contracts.statuses import Kind
from sluice_gateway.usecases.events import Filter, find_start, follow, list_events
from sluice_runtime.errors import Rejected, Unavailable

from .fakes import FakeListener, FakeWorld

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KINDS = (Kind.BATCH, Kind.UPLOAD, Kind.RECORDING)


def entry(sequence: int) -> LogEntry:
    kind = KINDS[sequence % 3]
    fact = StatusChanged(
        tenant="dev",
        kind=kind,
        id=f"x{sequence % 4}",
        batch_id=f"rb_0000000{sequence % 2}",
        sequence=1,
        previous=None,
        status="open",
        actor="me",
        changed_at=NOW,
    )
    type_ = StatusChanged.type_of(kind)
    return LogEntry(sequence=sequence, id=f"e{sequence}", type=type_, time=NOW, data=fact)


def public(sequence: int) -> PublicEvent:
    one = entry(sequence)
    return PublicEvent(
        sequence=sequence, id=one.id, type=one.type, subject=one.data.id, time=NOW, data=one.data
    )


class FakeLog:
    """The log and its live hints. Hints get lost, come twice, come late and come too early;
    entries are written while a page is read; now and then nobody answers."""

    def __init__(self, seed: int, length: int, page: int = 200) -> None:
        self._random = random.Random(seed)
        self._length = length
        self._page = page
        self._silent = 2
        self.last = 0
        self.listener: FakeListener | None = None
        self.world = FakeWorld(live=self, answers={ListEvents: self.read})

    @asynccontextmanager
    async def listen(self, tenant: str) -> AsyncIterator[FakeListener]:
        assert tenant == "dev"
        self.listener = FakeListener(self._step)
        yield self.listener

    def _write(self, listener: FakeListener | None) -> None:
        if self.last == self._length:
            return
        self.last += 1
        if listener is not None:
            copies = self._random.choice((0, 1, 1, 1, 2))
            listener.queue += [public(self.last)] * copies
            if self._random.random() < 0.2:  # an old one, or a later one overtaking it
                listener.queue.insert(0, public(self._random.randint(1, self.last)))

    def _step(self, listener: FakeListener) -> bool:
        """Go on by one step; False stands for a heartbeat."""
        if self.last == self._length:
            listener.ended = self._silent == 0
            self._silent -= 1
            return False
        self._write(listener)
        return self._random.random() > 0.1

    async def read(self, asked: ListEvents) -> LogEntries:
        for _ in range(self._random.randint(0, 2)):
            self._write(self.listener)
        if self.last < self._length and self._random.random() < 0.2:
            raise Unavailable("nobody answers")
        found = [
            one
            for one in map(entry, range(asked.after + 1, self.last + 1))
            if (not asked.types or one.type in asked.types)
            and (not asked.ids or {one.data.id, one.data.batch_id} & set(asked.ids))
        ][: min(asked.limit, self._page)]
        is_full = len(found) == min(asked.limit, self._page)
        read_to = found[-1].sequence if is_full else max(self.last, asked.after)
        answer = LogEntries(entries=tuple(found), read_to=read_to, last=self.last)
        for _ in range(self._random.randint(0, 2)):
            self._write(self.listener)
        return answer


async def stream(log: FakeLog, start: int, wanted: Filter) -> list[int]:
    return [
        event.sequence
        async for event in follow("dev", start, wanted, log.world.deps())
        if event is not None
    ]


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 9))
async def test_no_gap_and_no_repeat_whatever_hints_get_lost(
    seed: int, length: int, page: int
) -> None:
    log = FakeLog(seed, length, page)
    assert await stream(log, 0, Filter((), ())) == list(range(1, length + 1))


@given(
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.sampled_from([(), ("upload",), ("upload", "org.sluice.batch.status_changed.v1")]),
    st.sampled_from([(), ("x1",), ("rb_00000001", "x2")]),
)
async def test_a_filter_leaves_out_and_loses_nothing_else(
    seed: int, length: int, types: tuple[str, ...], ids: tuple[str, ...]
) -> None:
    wanted = Filter(types, ids)
    expected = [n for n in range(1, length + 1) if wanted.passes(public(n))]
    assert await stream(FakeLog(seed, length, page=3), 0, wanted) == expected


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 40))
async def test_a_stream_resumes_behind_what_was_seen(seed: int, length: int, seen: int) -> None:
    log = FakeLog(seed, length)
    log.last = seen = min(seen, length)
    assert await stream(log, seen, Filter((), ())) == list(range(seen + 1, length + 1))


async def test_a_heartbeat_shows_that_the_stream_lives() -> None:
    log = FakeLog(1, 0)
    beats = [event async for event in follow("dev", 0, Filter((), ()), log.world.deps())]
    assert beats
    assert set(beats) == {None}


@pytest.mark.parametrize("passes", [True, False])
async def test_a_busy_stream_has_heartbeats_too(
    monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    """A reader takes silence for a lost connection, and a key is looked at with each heartbeat."""
    monkeypatch.setattr("sluice_gateway.usecases.events.HEARTBEAT_SECONDS", 0.02)
    wanted = Filter((), ()) if passes else Filter((), ("rb_nobodys00",))
    busy = Busy()
    world = FakeWorld(live=busy, answers={ListEvents: busy.read})
    seen: list[PublicEvent | None] = []
    async with asyncio.timeout(10):
        async for event in follow("dev", 0, wanted, world.deps()):
            seen.append(event)
            if seen.count(None) == 3:
                break
    assert (len(seen) > 3) is passes


class Busy:
    """A tenant of whom there is always something new."""

    def __init__(self) -> None:
        self._last = 0

    @asynccontextmanager
    async def listen(self, _tenant: str) -> AsyncIterator[FakeListener]:
        yield FakeListener(self._step)

    def _step(self, listener: FakeListener) -> bool:
        self._last += 1
        listener.queue.append(public(self._last))
        return True

    async def read(self, _: ListEvents) -> LogEntries:
        return LogEntries(entries=(), read_to=self._last, last=self._last)


async def test_a_stream_begins_at_the_end_or_where_it_was_told() -> None:
    async def read(asked: ListEvents) -> LogEntries:
        return LogEntries(entries=(), read_to=asked.after, last=7)

    deps = FakeWorld(answers={ListEvents: read}).deps()
    assert await find_start("dev", None, deps) == 7
    assert await find_start("dev", 0, deps) == 0
    assert await find_start("dev", 7, deps) == 7
    with pytest.raises(Rejected) as caught:
        await find_start("dev", 8, deps)
    assert caught.value.code == "unknown-event-id"


async def test_a_page_of_the_log_says_where_the_next_one_begins() -> None:
    log = FakeLog(0, 0)
    log.last = log._length = 9
    page = await list_events("dev", 2, 3, Filter((), ()), log.world.deps())
    assert [event.sequence for event in page.items] == [3, 4, 5]
    assert (page.next_after, page.last_sequence) == (5, 9)
    assert page.items[0] == public(3)


@pytest.mark.parametrize("wanted", [Filter((), ()), Filter(("upload",), ("rb_unknown00",))])
async def test_a_page_behind_the_end_of_the_log_is_refused_as_a_stream_is(wanted: Filter) -> None:
    log = FakeLog(0, 0)
    log.last = log._length = 9
    at_the_end = await list_events("dev", 9, 3, wanted, log.world.deps())
    assert (at_the_end.items, at_the_end.next_after) == ((), 9)
    with pytest.raises(Rejected) as of_the_list:
        await list_events("dev", 10, 3, wanted, log.world.deps())
    with pytest.raises(Rejected) as of_the_stream:
        await find_start("dev", 10, log.world.deps())
    assert of_the_list.value.code == of_the_stream.value.code == "unknown-event-id"
    assert str(of_the_list.value) == str(of_the_stream.value)


async def test_a_log_without_entries_has_an_empty_page() -> None:
    page = await list_events("dev", 0, 3, Filter((), ()), FakeLog(0, 0).world.deps())
    assert (page.items, page.next_after, page.last_sequence) == ((), 0, 0)


@pytest.mark.parametrize("name", ["", "recordings", "*", "org.sluice.x.status_changed.v1"])
def test_a_type_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(Rejected) as caught:
        Filter((name,), ())
    assert caught.value.code == "unknown-event-type"
