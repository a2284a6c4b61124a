"""The public log: numbered without a gap for each tenant, each change once, in stream order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.envelope import wrap
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import ListEvents
from sluice_contracts.statuses import Kind
from sluice_notifier.domain import Cursor, Read, number
from sluice_notifier.usecases import begin_anew, find_position, list_events, write_log
from sluice_runtime.errors import Unavailable

from .fakes import FakeWorld

CREATED = datetime(2026, 11, 1, tzinfo=UTC)
LATER = CREATED + timedelta(days=3)


def read(position: int, tenant: str = "a", event_id: str | None = None, id_: str = "x") -> Read:
    fact = StatusChanged(
        tenant=tenant,
        kind=Kind.UPLOAD,
        id=id_,
        batch_id="rb_00000001",
        sequence=1,
        previous=None,
        status="created",
        actor="me",
        changed_at=CREATED,
    )
    event_id = event_id or f"e{position}"
    return Read(position, wrap(fact, event_id=event_id, source="catalog", at=CREATED))


def numbers(world: FakeWorld) -> list[tuple[str, int, str]]:
    return [
        (one.event.data.tenant, one.sequence, one.event.envelope.id) for one in world.tables.entries
    ]


class TestCursor:
    def test_it_goes_on_in_the_stream_it_belongs_to(self) -> None:
        assert Cursor(CREATED, 7).resume(CREATED) == Cursor(CREATED, 7)

    def test_in_a_stream_made_anew_it_begins_at_the_beginning(self) -> None:
        assert Cursor(CREATED, 7).resume(LATER) == Cursor(LATER, 0)

    def test_the_first_cursor_begins_at_the_beginning(self) -> None:
        assert Cursor(None, 0).resume(CREATED) == Cursor(CREATED, 0)


@given(
    st.lists(st.sampled_from("abc"), max_size=30),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 99)),
)
def test_each_tenant_is_counted_by_itself_without_a_gap(
    tenants: list[str], last: dict[str, int]
) -> None:
    reads = [read(position, tenant) for position, tenant in enumerate(tenants, start=1)]
    entries = number(reads, last)
    assert [entry.event for entry in entries] == [one.event for one in reads]
    for tenant in set(tenants):
        first = last.get(tenant, 0) + 1
        mine = [entry.sequence for entry in entries if entry.event.data.tenant == tenant]
        assert mine == list(range(first, first + len(mine)))


class TestWriting:
    async def test_changes_are_written_then_told(self) -> None:
        world = FakeWorld()
        await write_log([read(3), read(5, "b"), read(9)], 9, CREATED, world.deps())
        assert numbers(world) == [("a", 1, "e3"), ("b", 1, "e5"), ("a", 2, "e9")]
        assert world.told == world.tables.entries
        assert await find_position(CREATED, world.deps()) == 9

    async def test_what_lies_behind_the_cursor_is_absorbed(self) -> None:
        world = FakeWorld()
        batch = [read(1), read(2)]
        for _ in range(3):
            await write_log(batch, 2, CREATED, world.deps())
        await write_log([read(2), read(3)], 3, CREATED, world.deps())
        assert numbers(world) == [("a", 1, "e1"), ("a", 2, "e2"), ("a", 3, "e3")]
        assert world.told == world.tables.entries

    async def test_an_old_batch_does_not_move_the_cursor_back(self) -> None:
        world = FakeWorld()
        await write_log([read(1), read(7)], 7, CREATED, world.deps())
        await write_log([read(1)], 1, CREATED, world.deps())
        assert await find_position(CREATED, world.deps()) == 7

    async def test_a_batch_that_could_not_be_read_still_moves_the_cursor(self) -> None:
        world = FakeWorld()
        await write_log([], 7, CREATED, world.deps())
        assert await find_position(CREATED, world.deps()) == 7

    async def test_a_stream_that_was_lost_and_refilled_repeats_nothing(self) -> None:
        world = FakeWorld()
        await write_log([read(8), read(9)], 9, CREATED, world.deps())
        assert await find_position(LATER, world.deps()) == 0
        refilled = [read(1, event_id="e9"), read(2, event_id="new")]
        await write_log(refilled, 2, LATER, world.deps())
        assert numbers(world) == [("a", 1, "e8"), ("a", 2, "e9"), ("a", 3, "new")]
        assert await find_position(LATER, world.deps()) == 2

    async def test_a_stream_that_lost_its_end_is_read_from_its_beginning(self) -> None:
        """As after a backup: its numbers below the cursor are given out once more."""
        world = FakeWorld()
        await write_log([read(40), read(100)], 100, CREATED, world.deps())
        assert await begin_anew(CREATED, world.deps()) == 0
        again = [read(40), read(41, event_id="new")]
        await write_log(again, 41, CREATED, world.deps())
        assert numbers(world) == [("a", 1, "e40"), ("a", 2, "e100"), ("a", 3, "new")]
        assert await find_position(CREATED, world.deps()) == 41

    async def test_one_id_at_two_places_of_a_batch_is_one_change(self) -> None:
        """The window in which the stream drops repeats is finite; a relay may be slower."""
        world = FakeWorld()
        await write_log([read(1, event_id="e"), read(2, event_id="e")], 2, CREATED, world.deps())
        assert numbers(world) == [("a", 1, "e")]

    async def test_with_the_database_away_nothing_is_told(self) -> None:
        world = FakeWorld(away=True)
        with pytest.raises(Unavailable):
            await write_log([read(1)], 1, CREATED, world.deps())
        assert not world.told

    @given(
        st.lists(st.sampled_from("ab"), min_size=1, max_size=12),
        st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), max_size=12),
    )
    async def test_any_overlapping_batches_give_the_same_log(
        self, tenants: list[str], attempts: list[tuple[int, int]]
    ) -> None:
        """A notifier that was killed anywhere reads on from its cursor, or from before it."""
        stream = [read(place, tenant) for place, tenant in enumerate(tenants, start=1)]
        world = FakeWorld()
        for back, length in (*attempts, (0, len(stream))):
            position = await find_position(CREATED, world.deps())
            start = max(0, position - back)
            batch = stream[start : start + length]
            if batch:
                await write_log(batch, batch[-1].position, CREATED, world.deps())
        ideal = number(stream, {})
        assert world.tables.entries == ideal
        assert world.told == ideal


class TestReading:
    async def test_pages_follow_each_other_without_gap_or_repeat(self) -> None:
        world = FakeWorld()
        tenants = ["a", "b", "a", "a", "b", "a"]
        reads = [read(place, tenant) for place, tenant in enumerate(tenants, start=1)]
        await write_log(reads, len(reads), CREATED, world.deps())
        seen: list[int] = []
        after = 0
        while True:
            asked = ListEvents(tenant="a", after=after, limit=2)
            page = await list_events(asked, world.deps())
            if not page.entries:
                break
            seen += [entry.sequence for entry in page.entries]
            after = page.read_to
        assert seen == [1, 2, 3, 4]
        assert (page.read_to, page.last) == (4, 4)

    async def test_a_filter_reads_past_what_it_skips(self) -> None:
        world = FakeWorld()
        reads = [read(1, id_="x"), read(2, id_="y"), read(3, id_="y")]
        await write_log(reads, 3, CREATED, world.deps())
        page = await list_events(ListEvents(tenant="a", after=0, limit=2, ids=("x",)), world.deps())
        assert ([one.sequence for one in page.entries], page.read_to) == ([1], 3)
        page = await list_events(
            ListEvents(tenant="a", after=0, limit=9, ids=("rb_00000001",)), world.deps()
        )
        assert len(page.entries) == 3

    async def test_a_tenant_without_events_has_an_empty_log(self) -> None:
        page = await list_events(ListEvents(tenant="a", after=0, limit=2), FakeWorld().deps())
        assert (page.entries, page.read_to, page.last) == ((), 0, 0)
