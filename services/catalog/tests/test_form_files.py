"""Files that came through a form: owned as what they are, or discarded when they were deleted."""

from collections.abc import Sequence

import pytest

from sluice_catalog.usecases.objects import take_news
from sluice_contracts.facts import ObjectDiscarded, ObjectStored

from .chunk_news import chunk_id, event, hear, stored, upload_id, with_chunks
from .fakes import FakeWorld
from .recording_news import stored as recording


def buried(*numbers: int) -> FakeWorld:
    world = FakeWorld()
    world.tables.buried |= {upload_id(n) for n in numbers}
    return world


def said(world: FakeWorld) -> dict[str, str | None]:
    """The code of each upload's answer; None for one that was registered."""
    return {one.upload_id: one.failure and one.failure.code for _, one in world.replies}


class TestBuried:
    async def test_bytes_of_what_was_deleted_are_discarded_and_answered_as_nobodys(self) -> None:
        world = buried(1)
        await hear(world, stored())
        assert not world.tables.chunks
        assert not world.tasks()
        assert world.tables.objects["audio/1.ogg"].state == "discarded"
        (gone,) = world.facts(ObjectDiscarded)
        assert (gone.upload_id, gone.bucket, gone.key) == (upload_id(), "media", "audio/1.ogg")
        assert said(world) == {upload_id(): "upload-taken-over"}

    async def test_the_living_beside_them_are_born(self) -> None:
        world = buried(2)
        await hear(world, stored(1), stored(2), stored(3))
        assert world.tables.chunks.keys() == {chunk_id(1), chunk_id(3)}
        states = {key: one.state for key, one in world.tables.objects.items()}
        assert states == {
            "audio/1.ogg": "stored",
            "audio/2.ogg": "discarded",
            "audio/3.ogg": "stored",
        }
        assert said(world) == {
            upload_id(1): None,
            upload_id(2): "upload-taken-over",
            upload_id(3): None,
        }

    async def test_bytes_that_are_told_of_again_do_not_come_back_to_life(self) -> None:
        world = buried(1)
        for n in range(2):
            await take_news([event(stored(), f"e{n}")], world.deps())
        assert world.tables.objects["audio/1.ogg"].state == "discarded"
        assert not world.tables.chunks

    async def test_the_same_fact_again_is_answered_as_before(self) -> None:
        world = buried(2)
        for _ in range(2):
            await hear(world, stored(1), stored(2))
        codes = [one.failure and one.failure.code for _, one in world.replies]
        assert codes == [None, "upload-taken-over"] * 2


class TestMixedBatches:
    @pytest.mark.parametrize(
        "facts",
        [
            (stored(1), recording(1), stored(2)),
            (recording(1), stored(2), stored(1)),
            (stored(2), stored(1), recording(1)),
        ],
        ids=["between", "first", "last"],
    )
    async def test_each_door_owns_its_own_in_any_order(self, facts: Sequence[ObjectStored]) -> None:
        world = FakeWorld()
        await hear(world, *facts)
        assert world.tables.chunks.keys() == {chunk_id(1), chunk_id(2)}
        assert world.steps("upl_00000001") == ["created", "stored", "registered"]
        assert len(world.tables.objects) == 3
        assert set(said(world).values()) == {None}

    async def test_what_one_door_disowns_is_nothing_to_the_other(self) -> None:
        world = buried(1)
        world.tables.buried.add("upl_00000001")
        await hear(world, stored(1), recording(1), stored(2), recording(2))
        assert said(world) == {
            upload_id(1): "upload-taken-over",
            "upl_00000001": "upload-taken-over",
            upload_id(2): None,
            "upl_00000002": None,
        }
        assert {one.upload_id for one in world.facts(ObjectDiscarded)} == {
            upload_id(1),
            "upl_00000001",
        }

    async def test_news_that_are_not_new_are_left_out_and_answered(self) -> None:
        world = await with_chunks(1)
        await hear(world, stored(1), recording(1))
        assert len(world.tasks()) == 1
        assert said(world) == {upload_id(1): None, "upl_00000001": None}
