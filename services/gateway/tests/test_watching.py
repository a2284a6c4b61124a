"""Work under watch: whoever raises first ends it, and nothing goes on behind its back."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from sluice_gateway.usecases import watching
from sluice_gateway.usecases.watching import Meter, metered, under_watch, watch_pace
from sluice_runtime.errors import Rejected, Unavailable

from .fakes import FakeWorld, body_of


class Bench:
    """Work and watchers that note how they ended."""

    def __init__(self) -> None:
        self.began, self.watched = asyncio.Event(), asyncio.Event()
        self.ended: list[str] = []

    async def endless(self, name: str = "work") -> None:
        try:
            self.began.set()
            if name == "watcher":
                self.watched.set()
            await asyncio.Event().wait()
        finally:
            self.ended.append(name)

    async def failing(self, error: Exception) -> None:
        await self.began.wait()
        raise error


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is watched from its first turn."""
    monkeypatch.setattr(watching, "UNWATCHED_SECONDS", 0)


async def number() -> int:
    for _ in range(10):
        await asyncio.sleep(0)
    return 7


def others() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


@pytest.mark.usefixtures("at_once")
class TestUnderWatch:
    async def test_work_that_ends_is_the_result_and_its_watchers_end(self) -> None:
        bench, before = Bench(), others()
        watchers = (partial(bench.endless, name) for name in ("one", "two"))
        assert await under_watch(number(), *watchers) == 7
        assert sorted(bench.ended) == ["one", "two"]
        assert others() <= before

    @pytest.mark.parametrize("turns", range(6))
    async def test_a_watcher_whose_wait_has_just_ended_ends_too(self, turns: int) -> None:
        answered, before = asyncio.Event(), others()

        async def asking() -> None:
            # Until Python 3.12 it returns, instead of being cancelled, when the answer is there.
            await asyncio.wait_for(answered.wait(), timeout=60)
            await asyncio.Event().wait()

        async def work() -> int:
            await asyncio.sleep(0)
            answered.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            return 7

        async with asyncio.timeout(10):
            assert await under_watch(work(), asking) == 7
        assert others() <= before

    async def test_a_watcher_that_raises_ends_the_work(self) -> None:
        bench, before = Bench(), others()
        with pytest.raises(Rejected, match="too slow"):
            await under_watch(
                bench.endless(),
                partial(bench.endless, "other"),
                partial(bench.failing, Rejected("too slow")),
            )
        assert sorted(bench.ended) == ["other", "work"]
        assert others() <= before

    async def test_work_that_fails_ends_with_its_own_failure(self) -> None:
        bench, before = Bench(), others()
        with pytest.raises(Unavailable, match="away"):
            await under_watch(bench.failing(Unavailable("away")), partial(bench.endless, "watcher"))
        assert bench.ended == ["watcher"]
        assert others() <= before

    async def test_of_both_at_once_the_watcher_wins(self) -> None:
        bench = Bench()

        async def verdict() -> None:
            bench.began.set()
            raise Rejected("watcher")

        with pytest.raises(Rejected):
            await under_watch(bench.failing(Unavailable("work")), verdict)

    async def test_a_result_that_comes_with_a_verdict_is_not_given(self) -> None:
        bench = Bench()

        async def work() -> int:
            await bench.began.wait()
            return 7

        async def verdict() -> None:
            bench.began.set()
            raise Rejected("too large")

        with pytest.raises(Rejected):
            await under_watch(work(), verdict)

    async def test_whoever_is_cancelled_leaves_nothing_running(self) -> None:
        bench, before = Bench(), others()
        running = asyncio.create_task(
            under_watch(bench.endless(), partial(bench.endless, "watcher"))
        )
        await bench.watched.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert sorted(bench.ended) == ["watcher", "work"]
        assert others() <= before

    async def test_what_the_work_does_on_its_way_out_is_waited_for(self) -> None:
        cleaned = []

        async def tidy() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(5):
                    await asyncio.sleep(0)
                cleaned.append(True)

        bench = Bench()
        bench.began.set()
        with pytest.raises(Rejected):
            await under_watch(tidy(), partial(bench.failing, Rejected("enough")))
        assert cleaned


class TestWorkThatIsOverSoon:
    async def test_nobody_begins_to_watch_it(self) -> None:
        bench, before = Bench(), others()
        bench.began.set()

        async def watcher() -> None:
            pytest.fail("watched")

        assert await under_watch(number(), watcher) == 7
        with pytest.raises(Unavailable, match="away"):
            await under_watch(bench.failing(Unavailable("away")), watcher)
        assert others() <= before

    async def test_it_ends_with_whoever_waits_for_it(self) -> None:
        bench, before = Bench(), others()
        running = asyncio.create_task(under_watch(bench.endless()))
        await bench.began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert bench.ended == ["work"]
        assert others() <= before

    async def test_it_is_watched_when_it_goes_on(self) -> None:
        bench = Bench()
        async with asyncio.timeout(10):
            with pytest.raises(Rejected):
                await under_watch(bench.endless(), partial(bench.failing, Rejected("enough")))
        assert bench.ended == ["work"]


class TestMetering:
    async def test_a_body_is_counted_and_passed_on(self) -> None:
        meter = Meter()
        chunks = [chunk async for chunk in metered(body_of(b"ab", b"c"), meter, 3)]
        assert (chunks, meter.total, meter.waiting) == ([b"ab", b"c"], 3, False)

    async def test_a_body_is_cut_off_where_it_grows_too_large(self) -> None:
        body = metered(body_of(b"ab", b"c", b"d"), Meter(), 3)
        assert [await anext(body), await anext(body)] == [b"ab", b"c"]
        with pytest.raises(Rejected) as caught:
            await anext(body)
        assert caught.value.code == "body-too-large"

    async def test_it_is_known_whom_a_body_waits_for(self) -> None:
        meter, seen = Meter(), []

        async def sender() -> AsyncIterator[bytes]:
            for _ in range(2):
                seen.append(meter.waiting)
                yield b"x"

        body = metered(sender(), meter, 9)
        while await anext(body, None) is not None:
            seen.append(meter.waiting)
        assert seen == [True, False, True, False]


class TestPace:
    async def test_a_sender_that_is_too_slow_is_told_so(self) -> None:
        world = FakeWorld(min_rate_bytes=1000, min_rate_seconds=0.01)
        meter = Meter(waiting=True)
        async with asyncio.timeout(5):
            with pytest.raises(Rejected) as caught:
                await watch_pace(meter, world.deps())
        assert caught.value.code == "body-too-slow"

    async def test_a_store_that_takes_nothing_for_two_minutes_is_called_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        with pytest.raises(Unavailable) as caught:
            await watch_pace(Meter(total=1), FakeWorld(min_rate_seconds=30).deps())
        assert caught.value.code == "store-unavailable"
        assert sum(slept) == 120
