"""What is promised of recorders, chunks, what was read from files, and tasks."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.domain import Chunk, first_change
from sluice_catalog.ports import Work
from sluice_contracts.facts import MediaFacts, ObjectInspected
from sluice_contracts.questions import Gap, ListChunks, Page
from sluice_contracts.statuses import ChunkStatus, Kind
from sluice_contracts.tasks import ChunkTask, TranscriptionTask
from sluice_runtime.errors import NotFound

from .values import MINUTE, Open, chunk, device, stored

Leaving = Callable[[], Awaitable[list[str]]]
NOBODY = UUID(int=99)


async def keep(work: Work, *chunks: Chunk) -> None:
    """Chunks with their objects, which every view of them needs."""
    await work.objects.add(
        [
            replace(stored(0, one.created_at), key=one.file_path, upload_id=one.upload_id)
            for one in chunks
        ]
    )
    await work.chunks.add(chunks)


async def found(work: Work, **narrowed: Any) -> list[int]:
    """The numbers of the chunks on a page."""
    limit = narrowed.pop("limit", 10)
    asked = ListChunks(tenant=narrowed.pop("tenant", "dev"), limit=limit, **narrowed)
    return [one.chunk_id.int for one in await work.chunks.page(asked, limit)]


async def holes(work: Work, tolerance_ms: int = 0, **more: Any) -> list[Gap]:
    asked: dict[str, Any] = {"since": None, "until": None, "most": 10, **more}
    return await work.chunks.gaps("dev", UUID(int=1), tolerance_ms=tolerance_ms, **asked)


def spans(gaps: Iterable[Gap], began: datetime) -> list[tuple[float, float, float]]:
    """Gaps in seconds since `began`."""
    second = timedelta(seconds=1)
    return [
        ((one.start_ts - began) / second, (one.end_ts - began) / second, one.duration_sec)
        for one in gaps
    ]


class ChunkPromises:
    async def test_a_device_and_a_token_are_added_once(self, open_work: Open) -> None:
        async with open_work() as work:
            one, two = (device(n, work.now()) for n in (1, 2))
            assert await work.devices.add(one)
            assert not await work.devices.add(replace(one, token_hash="f" * 64))
            assert not await work.devices.add(replace(two, token_hash=one.token_hash))
            assert await work.devices.add(two)
            await work.commit()
        async with open_work() as work:
            assert await work.devices.lock("dev", one.device_id) == one
            assert await work.devices.with_token(two.token_hash) == two
            assert await work.devices.with_token("f" * 64) is None

    async def test_a_device_belongs_to_its_tenant(self, open_work: Open) -> None:
        async with open_work() as work:
            one = device(1, work.now())
            await work.devices.add(one)
            for tenant, id_ in (("other", one.device_id), ("dev", NOBODY)):
                with pytest.raises(NotFound) as caught:
                    await work.devices.lock(tenant, id_)
                assert caught.value.code == "device-not-found"

    async def test_a_device_is_changed_in_what_is_named(self, open_work: Open) -> None:
        async with open_work() as work:
            one, two = (device(n, work.now()) for n in (1, 2))
            for added in (one, two):
                await work.devices.add(added)
            await work.devices.change(one.device_id, is_enabled=False)
            await work.devices.change(one.device_id, token_hash="e" * 64)
            await work.devices.change(NOBODY, is_enabled=False)
            changed = replace(one, is_enabled=False, token_hash="e" * 64)
            assert await work.devices.lock("dev", one.device_id) == changed
            assert await work.devices.with_token(one.token_hash) is None
            assert await work.devices.lock("dev", two.device_id) == two

    async def test_a_device_was_last_seen_at_the_latest_moment(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for n in (1, 2):
                await work.devices.add(device(n, now))
            one, two = UUID(int=1), UUID(int=2)
            await work.devices.seen({one: now, two: now - MINUTE, NOBODY: now})
            await work.devices.seen({one: now - MINUTE, two: now})
            await work.devices.seen({})
            for id_ in (one, two):
                assert (await work.devices.lock("dev", id_)).last_seen_at == now

    async def test_devices_are_listed_newest_first_page_by_page(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for n, age in ((1, 3), (2, 1), (3, 1), (4, 2)):
                await work.devices.add(device(n, now - age * MINUTE))
            await work.devices.add(device(5, now, "other"))
            seen: list[int] = []
            after: Page | None = None
            while page := await work.devices.page("dev", after=after, limit=3):
                seen += [one.device_id.int for one in page]
                after = Page(created_at=page[-1].created_at, id=str(page[-1].device_id))
        assert seen == [3, 2, 4, 1]

    async def test_a_chunk_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one = chunk(1, work.now(), 0.25)
            await keep(work, one)
            await work.chunks.add([])
            await work.commit()
        async with open_work() as work:
            assert await work.chunks.lock("dev", one.chunk_id) == one
            starts = {one.chunk_id: one.start_ts, NOBODY: one.start_ts + timedelta(days=400)}
            assert await work.chunks.known(starts) == {one.chunk_id: one.file_path}
            assert await work.chunks.known({}) == {}
            for look in (work.chunks.lock, work.chunks.view):
                for tenant, id_ in (("other", one.chunk_id), ("dev", NOBODY)):
                    with pytest.raises(NotFound) as caught:
                        await look(tenant, id_)
                    assert caught.value.code == "chunk-not-found"

    async def test_a_chunk_of_any_year_has_a_place(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for n, years in enumerate((-50, -1, 0, 1, 70), start=1):
                await keep(work, chunk(n, now + timedelta(days=366 * years)))
            assert await found(work) == [5, 4, 3, 2, 1]

    async def test_saving_a_chunk_changes_only_its_status(self, open_work: Open) -> None:
        async with open_work() as work:
            one, two = (chunk(n, work.now()) for n in (1, 2))
            await keep(work, one, two)
            moved = replace(one, status=ChunkStatus.ERROR, sequence=3)
            await work.chunks.save(replace(moved, codec="flac", file_path="other"))
            assert await work.chunks.lock("dev", one.chunk_id) == moved
            assert await work.chunks.lock("dev", two.chunk_id) == two

    async def test_a_chunk_is_shown_with_its_bytes_and_what_was_read_last(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            one = chunk(1, now)
            await keep(work, one)
            view = await work.chunks.view("dev", one.chunk_id)
            assert (view.sha256, view.bucket, view.content_type) == ("a" * 64, "media", "audio/wav")
            assert (view.upload_id, view.file_path) == (one.upload_id, one.file_path)
            assert (view.start_ts, view.end_ts) == (one.start_ts, one.end_ts)
            assert (view.duration_sec, view.true_duration_seconds) == (60, None)
            read = MediaFacts(duration_seconds=59.5, codec="opus", peaks=(0, 255))
            inspected = ObjectInspected(
                tenant="dev", upload_id=one.upload_id, readable=True, media=read, inspected_at=now
            )
            broken = inspected.model_copy(
                update={"readable": False, "reason": "broken", "media": None}
            )
            await work.media.keep([broken, inspected])
            assert (await work.chunks.view("dev", one.chunk_id)).true_duration_seconds == 59.5
            await work.media.keep([broken])
            await work.media.keep([])
            assert await work.chunks.view("dev", one.chunk_id) == view

    async def test_what_was_read_is_forgotten_only_when_there_is_no_object(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            first, second = chunk(1, now), chunk(2, now)
            await keep(work, first)
            read = MediaFacts(duration_seconds=59.5)
            for one in (first, second):
                inspected = ObjectInspected(
                    tenant="dev",
                    upload_id=one.upload_id,
                    readable=True,
                    media=read,
                    inspected_at=now,
                )
                await work.media.keep([inspected])
                await work.media.forget(one.upload_id)
            await keep(work, second)
            assert (await work.chunks.view("dev", first.chunk_id)).true_duration_seconds == 59.5
            assert (await work.chunks.view("dev", second.chunk_id)).true_duration_seconds is None

    async def test_chunks_are_listed_latest_first_page_by_page(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            ages = ((1, 3), (2, 1), (3, 1), (4, 2))
            await keep(work, *(chunk(n, now - age * MINUTE) for n, age in ages))
            await keep(work, chunk(5, now, tenant="other"))
            seen: list[int] = []
            after: Page | None = None
            while True:
                asked = ListChunks(tenant="dev", after=after, limit=3)
                page = await work.chunks.page(asked, 3)
                if not page:
                    break
                seen += [one.chunk_id.int for one in page]
                after = Page(created_at=page[-1].start_ts, id=str(page[-1].chunk_id))
        assert seen == [3, 2, 4, 1]

    async def test_chunks_are_narrowed_to_what_was_asked_for(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            await keep(work, chunk(1, now), chunk(2, now + MINUTE), chunk(3, now, by=5))
            await keep(work, replace(chunk(4, now - MINUTE, by=5), status=ChunkStatus.DONE))
            assert await found(work, device_id=UUID(int=5)) == [3, 4]
            assert await found(work, point_id=UUID(int=2)) == [2, 1]
            assert await found(work, register_id=UUID(int=7)) == [3, 4]
            assert await found(work, status=ChunkStatus.DONE) == [4]
            assert await found(work, since=now) == [2, 3, 1]
            assert await found(work, until=now) == [4]
            assert await found(work, since=now, until=now + MINUTE, device_id=UUID(int=1)) == [1]
            assert await found(work, tenant="other") == []

    async def test_gaps_are_what_nothing_covers(self, open_work: Open) -> None:
        async with open_work() as work:
            began = work.now()
            at = {1: (0, 60), 2: (60, 60), 3: (130, 300), 4: (200, 60), 5: (431.5, 60)}
            for n, (start, length) in at.items():
                await keep(work, chunk(n, began + timedelta(seconds=start), length))
            await keep(work, chunk(8, began + 10 * MINUTE, by=5))
            await keep(work, chunk(9, began + 10 * MINUTE, tenant="other"))
            assert spans(await holes(work), began) == [(120, 130, 10), (430, 431.5, 1.5)]
            assert spans(await holes(work, 1500), began) == [(120, 130, 10)]
            assert spans(await holes(work, 1499), began) == [(120, 130, 10), (430, 431.5, 1.5)]
            assert spans(await holes(work, most=1), began) == [(120, 130, 10)]
            # A hole that began before the time is one; what reaches into the time covers it.
            for since in (120, 121, 130):
                late = began + timedelta(seconds=since)
                found = spans(await holes(work, since=late), began)
                assert found == [(120, 130, 10), (430, 431.5, 1.5)]
            for since in (150, 200, 230, 431.5):
                late = began + timedelta(seconds=since)
                assert spans(await holes(work, since=late), began) == [(430, 431.5, 1.5)]
            until = began + timedelta(seconds=431.5)
            assert spans(await holes(work, until=until), began) == [(120, 130, 10)]

    async def test_without_two_chunks_there_is_no_gap(self, open_work: Open) -> None:
        async with open_work() as work:
            assert await holes(work) == []
            await keep(work, chunk(1, work.now()))
            assert await holes(work) == []

    async def test_chunks_that_begin_together_leave_no_gap(self, open_work: Open) -> None:
        async with open_work() as work:
            began = work.now()
            await keep(work, chunk(1, began, 10), chunk(2, began, 60), chunk(3, began, 20))
            await keep(work, chunk(4, began + MINUTE))
            assert await holes(work) == []

    async def test_histories_are_counted_by_kind(self, open_work: Open) -> None:
        ids = [str(UUID(int=n)) for n in (1, 2, 3)]
        async with open_work() as work:
            for id_, steps in ((ids[0], 3), (ids[1], 1)):
                changes = [
                    first_change(Kind.CHUNK, "dev", id_, None, "UPLOADED", n + 1)
                    for n in range(steps)
                ]
                work.record(changes, actor="me", at=work.now())
            other = first_change(Kind.CALL, "dev", ids[2], None, "uploaded")
            work.record([other], actor="me", at=work.now())
            await work.commit()
        async with open_work() as work:
            assert await work.steps_of(Kind.CHUNK, ids) == {ids[0]: 3, ids[1]: 1}
            assert await work.steps_of(Kind.CHUNK, ids[1:]) == {ids[1]: 1}
            assert await work.steps_of(Kind.CHUNK, []) == {}
            assert await work.steps_taken(Kind.CHUNK, ids[0]) == 3

    async def test_a_task_leaves_with_the_commit_and_not_without_it(
        self, open_work: Open, leaving: Leaving
    ) -> None:
        async with open_work() as work:
            now = work.now()
            place = {"s3_bucket": "media", "s3_key": "k"}
            form = {"codec": "opus", "sample_rate": 48_000, "channels": 1, "size_bytes": 1}
            told = ChunkTask(
                chunk_id=UUID(int=1),
                device_id=UUID(int=2),
                start_ts=now,
                end_ts=now + MINUTE,
                **place,
                **form,
            )
            work.outbox.add_task(told, tenant="dev")
        assert await leaving() == []
        call = TranscriptionTask(call_id=UUID(int=2), format="wav", timestamp=now, **place)
        async with open_work() as work:
            work.outbox.add_task(told, tenant="dev")
            work.outbox.add_task(told, tenant="dev")
            work.outbox.add_task(call, tenant="dev", priority="high")
            await work.commit()
        assert await leaving() == [
            f"sluice.task.v1.chunk.normal.{UUID(int=1)}",
            f"sluice.task.v1.chunk.normal.{UUID(int=1)}",
            f"sluice.task.v1.transcription.high.{UUID(int=2)}",
        ]
