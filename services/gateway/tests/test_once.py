"""Requests under an idempotency key: done once, whatever becomes of the first of them."""

import asyncio
from contextlib import suppress

import pytest

from sluice_contracts.questions import Done, FreeKey, KeptUpload, Reserved, ReserveKey
from sluice_gateway.usecases.once import Once, only_once
from sluice_runtime.errors import Conflict, Rejected, SluiceError

from .fakes import UPLOAD, FakeWorld
from .keyed_requests import (
    AWAY,
    DATA,
    TAKEN,
    confirming,
    failing,
    form,
    kept,
    under_key,
    until,
    world_of,
)


class TestHolding:
    async def test_without_a_key_nobody_is_asked(self) -> None:
        world = FakeWorld()
        async with only_once(None, "dev", "call", await form(), world.deps()) as once:
            assert once is None
        assert not world.asked

    async def test_a_request_that_ends_well_keeps_its_key(self) -> None:
        world, seen = world_of(), []

        async def work(once: Once) -> None:
            seen.append(await once.replayed())

        await under_key(world, work)
        (asked,) = world.asked
        assert (asked.tenant, asked.scope, asked.key) == ("dev", "call", "k")
        assert seen == [None]

    @pytest.mark.parametrize("refusal", [TAKEN, AWAY], ids=repr)
    async def test_without_its_key_a_request_does_not_begin(self, refusal: SluiceError) -> None:
        world = world_of(refusal)
        with pytest.raises(type(refusal)):
            await under_key(world, failing(world, AssertionError("it began")))
        assert not world.questions(FreeKey)

    @pytest.mark.parametrize("reason", [Rejected("no"), AWAY, asyncio.CancelledError()], ids=repr)
    async def test_a_request_that_failed_gives_its_key_back(self, reason: BaseException) -> None:
        world = world_of()
        with pytest.raises(type(reason)):
            await under_key(world, failing(world, reason))
        (freed,) = world.questions(FreeKey)
        (reserved,) = world.questions(ReserveKey)
        assert freed.claim_id == reserved.claim_id

    async def test_giving_back_may_fail_without_hiding_the_reason(self) -> None:
        async def away(_: FreeKey) -> Done:
            raise AWAY

        world = world_of()
        world.answers[FreeKey] = away
        with pytest.raises(Rejected):
            await under_key(world, failing(world, Rejected("no")))

    async def test_a_key_is_held_for_as_long_as_its_request_runs(self) -> None:
        world = world_of(lease=0.001)
        others = asyncio.all_tasks()
        await under_key(world, confirming(world, after=4))
        assert len({one.claim_id for one in world.questions(ReserveKey)}) == 1
        await until(lambda: asyncio.all_tasks() <= others)

    async def test_no_renewal_comes_behind_the_giving_back(self) -> None:
        world = world_of(lease=0.001)

        async def slow(_: FreeKey) -> Done:
            await asyncio.sleep(0.05)
            return Done()

        async def work(_: Once) -> None:
            await until(lambda: len(world.questions(ReserveKey)) >= 2)
            raise Rejected("no")

        world.answers[FreeKey] = slow
        with pytest.raises(Rejected):
            await under_key(world, work)
        assert isinstance(world.asked[-1], FreeKey)

    async def test_a_renewal_that_is_answered_at_that_moment_is_the_last(self) -> None:
        world, before = world_of(), asyncio.all_tasks()

        async def answer(_: ReserveKey) -> Reserved:
            if len(world.questions(ReserveKey)) == 2:
                # As `wait_for` does until Python 3.12, when the answer is there already.
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return Reserved(lease_seconds=0.001)

        async def work(_: Once) -> None:
            await until(lambda: len(world.questions(ReserveKey)) == 2)
            raise Rejected("no")

        world.answers[ReserveKey] = answer
        with pytest.raises(Rejected):
            await under_key(world, work)
        assert isinstance(world.asked[-1], FreeKey)
        assert asyncio.all_tasks() <= before


class TestTelling:
    """What has been told to the catalog may come true however the request ends."""

    @pytest.mark.parametrize("reason", [AWAY, asyncio.CancelledError()], ids=repr)
    async def test_the_key_of_what_may_be_done_is_not_given_back(
        self, reason: BaseException
    ) -> None:
        world = world_of()
        with pytest.raises(type(reason)):
            await under_key(world, failing(world, reason, told=True))
        assert not world.questions(FreeKey)

    @pytest.mark.parametrize("reason", [Rejected("no"), Conflict("no")], ids=repr)
    async def test_a_refusal_is_the_end_of_it(self, reason: SluiceError) -> None:
        world = world_of()
        with pytest.raises(type(reason)):
            await under_key(world, failing(world, reason, told=True))
        assert world.questions(FreeKey)

    @pytest.mark.parametrize(
        "lost",
        [
            TAKEN,
            Reserved(first=KeptUpload(upload_id=UPLOAD, fingerprint="0" * 64), lease_seconds=60),
        ],
        ids=["taken", "done"],
    )
    async def test_who_lost_the_key_says_nothing(self, lost: Reserved | SluiceError) -> None:
        world = world_of(Reserved(lease_seconds=0.001), *[lost] * 99)
        with pytest.raises(Conflict) as caught:
            await under_key(world, confirming(world, after=2))
        assert (caught.value.code, caught.value.retry_after_seconds) == ("request-in-progress", 1)

    async def test_a_lease_that_lapsed_is_asked_for_again_before_anything_is_said(self) -> None:
        world = world_of(Reserved(lease_seconds=0.0), TAKEN)
        with pytest.raises(Conflict):
            await under_key(world, confirming(world))

    async def test_with_the_catalog_away_nobody_else_has_the_key(self) -> None:
        world = world_of(Reserved(lease_seconds=0.0), *[AWAY] * 99)
        await under_key(world, confirming(world))

    async def test_a_key_that_came_back_is_ours(self) -> None:
        world = world_of(Reserved(lease_seconds=0.001), TAKEN, Reserved(lease_seconds=60))
        await under_key(world, confirming(world, after=3))


class TestRepeats:
    @pytest.mark.parametrize("held", [b"", DATA], ids=["unread", "held"])
    async def test_the_same_request_gets_what_the_first_one_made(self, held: bytes) -> None:
        world, seen = world_of(first=await kept(held + DATA)), []

        async def work(once: Once) -> None:
            seen.append(await once.replayed(held))

        await under_key(world, work)
        assert seen == [UPLOAD]
        assert not world.questions(FreeKey)

    async def test_a_token_says_who_asks_and_not_what_for(self) -> None:
        assert await kept(token="one") == await kept(token="two") == await kept()

    @pytest.mark.parametrize(
        ("data", "fields"),
        [(b"other", {}), (DATA, {"call_type": "other"}), (DATA, {"more": ""})],
        ids=["file", "field", "added"],
    )
    async def test_another_request_with_the_key_is_refused(
        self, data: bytes, fields: dict[str, str]
    ) -> None:
        world = world_of(first=await kept())
        with pytest.raises(Rejected) as caught:
            await under_key(world, Once.replayed, data, **fields)
        assert caught.value.code == "idempotency-key-reused"
        assert not world.questions(FreeKey), "it is not ours to give back"
