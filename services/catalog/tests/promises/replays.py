"""What is promised of keys that are held while a request runs, and of what is kept of it."""

import pytest

from sluice_runtime.errors import Rejected

from .values import ASKED, MINUTE, Open


class ReplayPromises:
    async def test_a_key_is_held_by_one_claim_until_it_lapses(self, open_work: Open) -> None:
        place = ("dev", "call", "key")
        async with open_work() as work:
            now = work.now()
            assert await work.replays.reserve(*place, "mine", now, now + MINUTE)
            assert not await work.replays.reserve(*place, "other", now, now + MINUTE)
            assert await work.replays.reserve(*place, "mine", now, now + 2 * MINUTE)
            later = now + 2 * MINUTE
            assert not await work.replays.reserve(*place, "other", later, later + MINUTE)
            assert await work.replays.reserve("dev", "render", "key", "other", now, later)
            assert await work.replays.reserve("other", "call", "key", "other", now, later)
            later += MINUTE
            assert await work.replays.reserve(*place, "other", later, later + MINUTE)

    async def test_a_key_is_given_back_by_its_holder(self, open_work: Open) -> None:
        place = ("dev", "call", "key")
        async with open_work() as work:
            now = work.now()
            await work.replays.reserve(*place, "mine", now, now + MINUTE)
            await work.replays.free(*place, "other")
            assert not await work.replays.reserve(*place, "other", now, now + MINUTE)
            for _ in range(2):
                await work.replays.free(*place, "mine")
            assert await work.replays.reserve(*place, "other", now, now + MINUTE)

    async def test_the_first_answer_stays_and_frees_its_key(self, open_work: Open) -> None:
        place = ("dev", "call", ASKED.key)
        async with open_work() as work:
            now = work.now()
            assert await work.replays.kept(*place) is None
            await work.replays.reserve(*place, "mine", now, now + MINUTE)
            await work.replays.keep_new("dev", "call", ASKED, {"n": 1}, now)
            again = ASKED.model_copy(update={"fingerprint": "1" * 64})
            await work.replays.keep_new("dev", "call", again, {"n": 2}, now)
            assert await work.replays.kept(*place) == (ASKED.fingerprint, {"n": 1})
            assert await work.replays.find("dev", "call", ASKED) == {"n": 1}
            with pytest.raises(Rejected):
                await work.replays.find("dev", "call", again)
            assert await work.replays.reserve(*place, "other", now, now + MINUTE)

    async def test_keys_that_were_held_long_ago_are_forgotten(self, open_work: Open) -> None:
        place = ("dev", "call", "key")
        async with open_work() as work:
            now = work.now()
            await work.replays.reserve(*place, "mine", now, now + MINUTE)
            await work.replays.forget(now)
            assert not await work.replays.reserve(*place, "other", now, now + MINUTE)
            await work.replays.forget(now + 2 * MINUTE)
            assert await work.replays.reserve(*place, "other", now, now + MINUTE)
