"""Renders: born once, claimed by a message or swept, and gone with their bytes."""

from datetime import timedelta

import pytest

from sluice_catalog.usecases.renders import get_render, sweep_renders
from sluice_contracts.facts import ObjectDeleted, ObjectDiscarded
from sluice_contracts.questions import GetRender
from sluice_runtime.errors import NotFound, Unavailable

from .fakes import NOW, FakeWorld
from .render_news import hear, key_of, render_id, stored, upload_id, with_renders
from .test_messages import attach, with_message

LIFETIME = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


class TestBirth:
    async def test_stored_bytes_become_a_render_nobody_carries(self) -> None:
        world = await with_renders(1, 2)
        for n in (1, 2):
            assert world.steps(str(render_id(n))) == ["uploaded"]
        one = world.tables.renders[render_id()]
        assert (one.message_id, one.attached_at, one.created_by) == (None, None, "key:app")
        assert (one.upload_id, one.filename, one.format) == (upload_id(), "take.mp3", "mp3")
        assert (one.bitrate, one.duration, one.created_at) == (320, None, NOW)
        assert not world.tasks()
        assert [said.state for _, said in world.replies] == ["registered", "registered"]

    async def test_what_is_told_twice_makes_one_render(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1), stored(1))
        await hear(world, stored(1))
        await hear(world, stored(1, filename="another"), prefix="reconciled")
        assert world.tables.renders[render_id()].filename == "take.mp3"
        assert world.steps(str(render_id())) == ["uploaded"]

    async def test_a_row_that_was_lost_comes_back_and_its_history_goes_on(self) -> None:
        world = await with_renders(1)
        world.tables.renders.clear()
        await hear(world, stored(1), prefix="reconciled")
        assert [one.sequence for one in world.tables.history] == [1, 2]
        assert world.tables.renders[render_id()].sequence == 2


class TestReading:
    async def test_a_render_is_its_tenants_and_whoever_holds_its_link(self) -> None:
        world = await with_renders(1)
        for tenant in ("dev", None):
            asked = GetRender(tenant=tenant, render_id=render_id())
            found = await get_render(asked, world.deps())
            assert (found.key, found.size_bytes, found.message_id) == (key_of(), 1, None)
        for asked in (
            GetRender(tenant="other", render_id=render_id()),
            GetRender(tenant=None, render_id=render_id(9)),
        ):
            with pytest.raises(NotFound):
                await get_render(asked, world.deps())


class TestSweeping:
    async def test_what_no_message_claimed_in_time_goes_with_its_bytes(self) -> None:
        world = await with_renders(1)
        world.now = NOW + LIFETIME
        assert await sweep_renders(world.deps()) == 0
        assert world.wakes == 1, "nothing was said, so nobody was woken again"
        world.now += MOMENT
        assert await sweep_renders(world.deps()) == 1
        assert not world.tables.renders
        assert world.steps(str(render_id())) == ["uploaded", "deleted"]
        assert world.tables.history[-1].reason == "no message claimed it"
        (gone,) = world.facts(ObjectDiscarded)
        assert (gone.tenant, gone.bucket, gone.key) == ("dev", "media", key_of())
        assert world.tables.objects[key_of()].state == "discarded"
        assert await sweep_renders(world.deps()) == 0
        assert len(world.facts(ObjectDiscarded)) == 1

    async def test_what_a_message_carries_stays_for_ever(self) -> None:
        world = await with_renders(1)
        await with_message(world)
        await attach(world)
        world.now = NOW + 9 * LIFETIME
        assert await sweep_renders(world.deps()) == 0
        assert world.tables.renders.keys() == {render_id()}

    async def test_what_was_heard_of_late_still_has_its_time(self) -> None:
        world = FakeWorld(now=NOW + 9 * LIFETIME)
        await hear(world, stored(1))
        assert await sweep_renders(world.deps()) == 0
        world.now += LIFETIME + MOMENT
        assert await sweep_renders(world.deps()) == 1

    async def test_however_many_they_are_each_tenants_bytes_go_in_its_own_name(self) -> None:
        world = FakeWorld()
        tenants = {n: "dev" if n % 2 else "other" for n in range(1, 251)}
        await hear(world, *(stored(n, tenant=tenant) for n, tenant in tenants.items()))
        world.now = NOW + LIFETIME + MOMENT
        assert await sweep_renders(world.deps()) == 250
        gone = {one.upload_id: one.tenant for one in world.facts(ObjectDiscarded)}
        assert gone == {upload_id(n): tenant for n, tenant in tenants.items()}

    async def test_a_render_that_was_swept_can_be_claimed_no_more(self) -> None:
        world = await with_renders(1)
        await with_message(world)
        world.now = NOW + LIFETIME + MOMENT
        await sweep_renders(world.deps())
        with pytest.raises(NotFound) as caught:
            await attach(world)
        assert caught.value.code == "render-not-found"

    async def test_with_the_database_away_nothing_is_swept(self) -> None:
        world = await with_renders(1)
        world.now, world.away = NOW + LIFETIME + MOMENT, True
        with pytest.raises(Unavailable):
            await sweep_renders(world.deps())
        assert world.tables.renders


class TestGivingBack:
    async def test_bytes_that_are_told_of_late_are_given_back_again(self) -> None:
        world = await with_renders(1)
        world.now = NOW + LIFETIME + MOMENT
        await sweep_renders(world.deps())
        await hear(world, stored(1), prefix="late")
        assert not world.tables.renders
        assert [one.key for one in world.facts(ObjectDiscarded)] == [key_of()] * 2
        assert world.replies[-1][1].state == "rejected"
        told = ObjectDeleted(
            tenant="dev", upload_id=upload_id(), bucket="media", key=key_of(), deleted_at=NOW
        )
        await hear(world, told, prefix="gone")
        assert not world.tables.objects

    async def test_what_has_no_bytes_goes_all_the_same(self) -> None:
        world = await with_renders(1)
        world.tables.objects.clear()
        world.now = NOW + LIFETIME + MOMENT
        assert await sweep_renders(world.deps()) == 1
        assert not world.facts(ObjectDiscarded)
        assert world.tables.buried == {upload_id()}
