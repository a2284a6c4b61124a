"""Idempotency keys of forms: held by one request, until it is done or its lease is over."""

from datetime import timedelta
from typing import Any

from sluice_catalog.usecases.messages import delete_message
from sluice_catalog.usecases.reservations import free_key, reserve_key
from sluice_catalog.usecases.upkeep import forget_old
from sluice_contracts.questions import DeleteMessage, FreeKey, Reserved, ReserveKey
from sluice_runtime.errors import Conflict

from .fakes import NOW, FakeWorld
from .render_news import PRINT, hear, stored, upload_id
from .test_messages import message_id, with_message

LEASE = timedelta(seconds=10)
MOMENT = timedelta(microseconds=1)


def place(**more: Any) -> dict[str, Any]:
    return {"tenant": "dev", "scope": "render", "key": "take-1", "claim_id": "clm_1", **more}


async def reserve(world: FakeWorld, claim_id: str = "clm_1", **more: Any) -> Reserved:
    return await reserve_key(ReserveKey(**place(claim_id=claim_id, **more)), world.deps())


async def free(world: FakeWorld, claim_id: str = "clm_1") -> None:
    await free_key(FreeKey(**place(claim_id=claim_id)), world.deps())


async def is_refused(world: FakeWorld, claim_id: str = "clm_2") -> bool:
    try:
        await reserve(world, claim_id)
    except Conflict as error:
        return (error.code, error.retry_after_seconds) == ("request-in-progress", 1)
    return False


class TestHolding:
    async def test_a_key_is_one_requests_until_its_lease_is_over(self) -> None:
        world = FakeWorld()
        assert (await reserve(world)).lease_seconds == LEASE.total_seconds()
        world.now += LEASE
        assert await is_refused(world)
        world.now += MOMENT
        assert not await is_refused(world)
        assert await is_refused(world, "clm_1"), "whoever was late has lost it"

    async def test_a_lease_that_is_renewed_goes_on(self) -> None:
        world = FakeWorld()
        for _ in range(5):
            await reserve(world)
            world.now += LEASE
            assert await is_refused(world)

    async def test_the_same_key_elsewhere_is_another(self) -> None:
        world = FakeWorld()
        await reserve(world)
        for more in ({"tenant": "other"}, {"scope": "call"}, {"key": "take-2"}):
            assert (await reserve(world, "clm_2", **more)).first is None

    async def test_a_key_is_given_back_by_its_holder_alone(self) -> None:
        world = FakeWorld()
        await reserve(world)
        await free(world, "clm_2")
        assert await is_refused(world)
        for _ in range(2):
            await free(world)
        assert not await is_refused(world)


class TestDone:
    async def test_what_was_made_is_told_instead(self) -> None:
        world = FakeWorld()
        await reserve(world)
        await hear(world, stored(1, request_key="take-1"))
        assert not world.tables.reservations
        for claim_id in ("clm_1", "clm_2"):
            first = (await reserve(world, claim_id)).first
            assert first is not None
            assert (first.upload_id, first.fingerprint) == (upload_id(), PRINT)
        assert not world.tables.reservations, "there is nothing to hold any more"

    async def test_of_two_that_were_done_the_first_is_told(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1, request_key="take-1"), stored(2, request_key="take-1"))
        await hear(world, stored(2, request_key="take-1"), prefix="again")
        first = (await reserve(world)).first
        assert first is not None
        assert first.upload_id == upload_id(1)
        assert len(world.tables.renders) == 2, "what was acknowledged stays"

    async def test_what_was_made_is_told_after_it_was_deleted(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1, request_key="take-1"))
        await with_message(world, 1, 1)
        gone = DeleteMessage(tenant="dev", actor="me", message_id=message_id())
        await delete_message(gone, world.deps())
        first = (await reserve(world)).first
        assert first is not None
        assert first.upload_id == upload_id()

    async def test_a_request_without_a_key_keeps_none(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1))
        assert not world.tables.replays

    async def test_bytes_of_what_was_deleted_keep_no_key(self) -> None:
        world = FakeWorld()
        world.tables.buried.add(upload_id())
        await hear(world, stored(1, request_key="take-1"))
        assert (await reserve(world)).first is None

    async def test_after_a_week_nobody_remembers(self) -> None:
        world = FakeWorld()
        await hear(world, stored(1, request_key="take-1"))
        await reserve(world, key="take-2")
        world.now = NOW + timedelta(days=7)
        await forget_old(world.deps())
        assert (await reserve(world)).first is not None
        world.now += LEASE + MOMENT
        await forget_old(world.deps())
        assert not world.tables.replays
        assert not world.tables.reservations
