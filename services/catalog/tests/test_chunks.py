"""Chunks: born once with their task, however often and in what company their bytes are told of."""

from datetime import timedelta
from uuid import UUID

import pytest

from sluice_catalog.domain import first_change
from sluice_catalog.usecases.chunks import find_gaps, get_chunk, list_chunks
from sluice_catalog.usecases.objects import take_news
from sluice_contracts.facts import (
    ObjectDamaged,
    ObjectDiscarded,
    ObjectRejected,
    ObjectVerified,
    StatusChanged,
)
from sluice_contracts.questions import FindGaps, GetChunk, ListChunks
from sluice_contracts.statuses import ChunkStatus, Kind
from sluice_contracts.tasks import ChunkTask
from sluice_runtime.errors import NotFound, Unavailable

from .chunk_news import (
    REPLY_TO,
    SHA,
    chunk_id,
    device_id,
    event,
    hear,
    stored,
    told,
    upload_id,
    with_chunks,
)
from .fakes import NOW, FakeWorld

BORN = ["UPLOADED", "QUEUED"]


def steps(world: FakeWorld, n: int = 1) -> list[str]:
    return world.steps(str(chunk_id(n)))


def answers(world: FakeWorld) -> list[tuple[str, str | None, str]]:
    return [(to, said.claim_id, said.state) for to, said in world.replies]


class TestBirth:
    async def test_stored_bytes_become_a_chunk_that_is_queued(self) -> None:
        world = await with_chunks(1)
        assert steps(world) == BORN
        one = world.tables.chunks[chunk_id()]
        assert (one.tenant, one.upload_id, one.status) == ("dev", upload_id(), ChunkStatus.QUEUED)
        assert (one.file_path, one.file_size_bytes, one.duration_sec) == ("audio/1.ogg", 1, 60)
        assert one.sequence == 2
        assert world.tables.objects["audio/1.ogg"].sha256 == SHA
        assert answers(world) == [(REPLY_TO, "clm_1", "registered")]
        assert world.wakes

    async def test_its_task_says_where_the_bytes_are(self) -> None:
        world = await with_chunks(1)
        one = told(1)
        expected = ChunkTask(
            chunk_id=one.chunk_id,
            device_id=one.device_id,
            s3_bucket="media",
            s3_key="audio/1.ogg",
            codec=one.codec,
            sample_rate=one.sample_rate,
            channels=one.channels,
            start_ts=one.start_ts,
            end_ts=one.end_ts,
            size_bytes=1,
        )
        assert world.tasks() == [expected]
        assert {(one.tenant, one.priority) for one in world.tables.tasks} == {("dev", "normal")}

    async def test_what_happened_is_said_to_be_the_doing_of_its_device(self) -> None:
        world = await with_chunks(1)
        actors = {fact.actor for fact in world.facts(StatusChanged)}
        assert actors == {f"device:{device_id()}"}

    async def test_the_same_event_twice_is_once_and_is_answered_again(self) -> None:
        world = await with_chunks(1)
        before = world.tables
        await hear(world, stored())
        await hear(world, stored(), stored())
        assert world.tables == before
        assert answers(world) == [(REPLY_TO, "clm_1", "registered")] * 4

    async def test_a_chunk_that_is_sent_again_is_the_same_chunk(self) -> None:
        world = await with_chunks(1)
        await take_news([event(stored(claim_id="clm_2"), "another")], world.deps())
        assert steps(world) == BORN
        assert len(world.tasks()) == 1
        assert answers(world)[1:] == [(REPLY_TO, "clm_2", "registered")]

    async def test_one_that_comes_again_to_another_place_is_given_back(self) -> None:
        world = await with_chunks(1)
        elsewhere = stored().bytes.model_copy(update={"key": "audio/1.wav"})
        again = stored(claim_id="clm_2").model_copy(update={"bytes": elsewhere})
        await take_news([event(again, "another")], world.deps())
        assert steps(world) == BORN
        assert [fact.key for fact in world.facts(ObjectDiscarded)] == ["audio/1.wav"]

    async def test_two_attempts_of_one_chunk_in_one_batch_are_one_chunk(self) -> None:
        world = FakeWorld()
        both = [event(stored(claim_id=f"clm_{n}"), f"e{n}") for n in (1, 2)]
        await take_news(both, world.deps())
        assert steps(world) == BORN
        assert len(world.tasks()) == 1
        assert len(world.tables.objects) == 1
        assert answers(world) == [(REPLY_TO, f"clm_{n}", "registered") for n in (1, 2)]

    async def test_a_chunk_that_went_on_is_not_queued_again_by_a_repeat(self) -> None:
        world = await with_chunks(1)
        one = world.tables.chunks[chunk_id()]
        object.__setattr__(one, "status", ChunkStatus.DONE)
        await take_news([event(stored(), "restated")], world.deps())
        assert world.tables.chunks[chunk_id()].status is ChunkStatus.DONE
        assert len(world.tasks()) == 1

    async def test_many_are_born_together(self) -> None:
        world = await with_chunks(*range(1, 31))
        assert all(steps(world, n) == BORN for n in range(1, 31))
        assert {task.aggregate_id() for task in world.tasks()} == {
            str(chunk_id(n)) for n in range(1, 31)
        }

    async def test_a_chunk_that_was_lost_goes_on_behind_its_history(self) -> None:
        world = await with_chunks(1)
        world.tables.chunks.clear()
        world.tables.objects.clear()
        await take_news([event(stored(), "restated")], world.deps())
        mine = [
            (one.sequence, one.previous, one.status)
            for one in world.tables.history
            if one.id == str(chunk_id())
        ]
        assert mine[2:] == [(3, None, "UPLOADED"), (4, "UPLOADED", "QUEUED")]
        assert world.tables.chunks[chunk_id()].sequence == 4
        assert len(world.tasks()) == 2

    async def test_one_that_was_lost_does_not_move_the_numbers_of_the_others(self) -> None:
        world = FakeWorld()
        lost = first_change(Kind.CHUNK, "dev", str(chunk_id(2)), None, "UPLOADED", 7)
        world.tables.history.append(lost)
        await hear(world, stored(1), stored(2))
        assert steps(world, 1) == BORN
        assert world.tables.chunks[chunk_id(2)].sequence == 9

    async def test_with_the_database_away_nothing_is_answered(self) -> None:
        world = FakeWorld(away=True)
        with pytest.raises(Unavailable):
            await hear(world, stored())
        assert not world.replies
        assert not world.tasks()


class TestLastSeen:
    async def test_a_device_was_seen_when_its_latest_chunk_came(self) -> None:
        world = await with_chunks()
        late, early = NOW + timedelta(minutes=2), NOW + timedelta(minutes=1)
        await hear(world, stored(1, at=late), stored(2, at=early))
        assert world.tables.devices[device_id()].last_seen_at == late

    async def test_it_never_goes_back(self) -> None:
        world = await with_chunks(1)
        await hear(world, stored(2, at=NOW - timedelta(days=1)))
        assert world.tables.devices[device_id()].last_seen_at == NOW

    async def test_a_repeat_counts_too(self) -> None:
        world = await with_chunks(1)
        later = NOW + timedelta(hours=1)
        await take_news([event(stored(at=later), "again")], world.deps())
        assert world.tables.devices[device_id()].last_seen_at == later

    async def test_a_device_nobody_knows_does_no_harm(self) -> None:
        world = await with_chunks()
        await hear(world, stored(1, by=9))
        assert world.tables.devices[device_id()].last_seen_at is None
        assert steps(world) == BORN


class TestOtherNews:
    async def test_news_that_come_too_early_do_no_harm(self) -> None:
        world = FakeWorld()
        verified = ObjectVerified(tenant="dev", upload_id=upload_id(), sha256=SHA, verified_at=NOW)
        await hear(world, verified, stored())
        assert steps(world) == BORN

    async def test_a_damaged_object_is_marked_and_its_chunk_stays(self) -> None:
        world = await with_chunks(1)
        await hear(
            world, ObjectDamaged(tenant="dev", upload_id=upload_id(), code="c", detail="flipped")
        )
        assert world.tables.objects["audio/1.ogg"].state == "damaged"
        assert steps(world) == BORN

    async def test_a_sender_whose_bytes_were_lost_is_told_to_come_again(self) -> None:
        world = FakeWorld()
        await hear(
            world,
            ObjectRejected(
                tenant="dev",
                upload_id=upload_id(),
                claim_id="clm_1",
                code="bytes-lost",
                detail="lost",
                reply_to=REPLY_TO,
            ),
        )
        ((_, said),) = world.replies
        assert said.failure is not None
        assert said.failure.retry_after_seconds


class TestReading:
    async def test_a_chunk_is_shown_to_its_tenant(self) -> None:
        world = await with_chunks(1)
        view = await get_chunk(GetChunk(tenant="dev", chunk_id=chunk_id()), world.deps())
        assert (view.chunk_id, view.sha256) == (chunk_id(), SHA)
        for tenant, id_ in (("other", chunk_id()), ("dev", UUID(int=9))):
            with pytest.raises(NotFound) as caught:
                await get_chunk(GetChunk(tenant=tenant, chunk_id=id_), world.deps())
            assert caught.value.code == "chunk-not-found"

    async def test_pages_follow_each_other_latest_recording_first(self) -> None:
        world = await with_chunks(3, 1, 5, 2, 4)
        seen: list[UUID] = []
        after = None
        while True:
            page = await list_chunks(ListChunks(tenant="dev", limit=2, after=after), world.deps())
            seen += [one.chunk_id for one in page.chunks]
            after = page.next
            if after is None:
                break
        assert seen == [chunk_id(n) for n in (5, 4, 3, 2, 1)]

    async def test_a_last_page_that_is_full_says_that_it_is_the_last(self) -> None:
        world = await with_chunks(1, 2)
        page = await list_chunks(ListChunks(tenant="dev", limit=2), world.deps())
        assert (len(page.chunks), page.next) == (2, None)

    async def test_gaps_are_found_where_a_chunk_is_missing(self) -> None:
        world = await with_chunks(1, 2, 4, 7)
        asked = FindGaps(tenant="dev", device_id=device_id(), tolerance_ms=500)
        found = await find_gaps(asked, world.deps())
        minutes = [
            tuple((moment - NOW) / timedelta(minutes=1) for moment in (gap.start_ts, gap.end_ts))
            for gap in found.gaps
        ]
        assert (minutes, found.complete) == ([(3, 4), (5, 7)], True)

    @pytest.mark.parametrize(("holes", "complete"), [(1000, True), (1001, False)])
    async def test_more_gaps_than_fit_are_said_to_be_more(self, holes: int, complete: bool) -> None:
        world = await with_chunks(*range(0, 2 * holes + 1, 2))
        asked = FindGaps(tenant="dev", device_id=device_id(), tolerance_ms=0)
        found = await find_gaps(asked, world.deps())
        assert (len(found.gaps), found.complete) == (1000, complete)
