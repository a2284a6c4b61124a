"""Uploads, from plan to registered: twice, early, late, and all or nothing."""

from datetime import timedelta

import pytest

from sluice_catalog.usecases import uploads
from sluice_catalog.usecases.batches import delete_batch
from sluice_catalog.usecases.objects import take_news
from sluice_catalog.usecases.uploads import (
    expire_uploads,
    plan_uploads,
    release_claim,
    renew_claim,
)
from sluice_contracts.facts import (
    ObjectDeleted,
    ObjectDiscarded,
)
from sluice_contracts.questions import (
    DeleteBatch,
    PlanUploads,
    Principal,
    ReleaseClaim,
    RenewClaim,
    UploadsPlanned,
)
from sluice_runtime.errors import Conflict, NotFound, Rejected, Unavailable

from .fakes import NOW, FakeWorld
from .recording_news import (
    BATCH,
    ME,
    ONCE,
    REPLY_TO,
    SHA,
    STRANGER,
    batch_status,
    claim,
    claim_of,
    event,
    failure_of,
    hear,
    item,
    plan,
    planned,
    register,
    rejected,
    stored,
    upload_in,
    uploaded,
    verified,
)


class TestPlanning:
    async def test_a_batch_and_its_uploads_are_born(self) -> None:
        world = FakeWorld()
        answer: UploadsPlanned = await plan(world, 1, 2)
        assert answer.batch_id == BATCH
        assert answer.expires_at == NOW + timedelta(seconds=600)
        assert world.steps(BATCH) == ["open"]
        assert world.steps("upl_00000001") == world.steps("upl_00000002") == ["created"]
        assert upload_in(world).put_url is not None
        assert world.wakes == 1

    async def test_the_signed_url_of_the_store_does_not_leave(self) -> None:
        answer: UploadsPlanned = await plan(FakeWorld(), 1)
        assert "Signature" not in answer.model_dump_json()

    async def test_a_batch_takes_more(self) -> None:
        world = FakeWorld()
        await plan(world, 1)
        await plan(world, 2, batch_id=BATCH)
        assert {one.batch_id for one in world.tables.uploads.values()} == {BATCH}
        assert world.steps(BATCH) == ["open"]

    @pytest.mark.parametrize("principal", [ME, STRANGER])
    async def test_a_batch_must_exist_and_be_ours(self, principal: Principal) -> None:
        world = FakeWorld()
        if principal is STRANGER:
            await plan(world, 1)
        before = world.tables
        with pytest.raises(NotFound):
            await plan(world, 2, batch_id=BATCH, principal=principal)
        assert world.tables == before

    async def test_a_finished_batch_opens_again(self) -> None:
        world = await uploaded(1)
        await register(world)
        await hear(world, verified())
        await plan(world, 2, batch_id=BATCH)
        assert world.steps(BATCH) == ["open", "pending", "processing", "completed", "open"]

    async def test_a_repeated_request_gets_the_first_answer(self) -> None:
        world = FakeWorld()
        first = await plan(world, 1, idempotency=ONCE)
        again = await plan(world, 2, idempotency=ONCE)
        assert again == first
        assert len(world.tables.uploads) == 1
        other = ONCE.model_copy(update={"fingerprint": "1" * 64})
        with pytest.raises(Rejected):
            await plan(world, 2, idempotency=other)


class TestClaiming:
    async def test_the_first_sender_gets_it(self) -> None:
        world = FakeWorld()
        await plan(world)
        (result,) = await claim(world)
        assert result.claimed is not None
        assert result.claimed.upload == planned(1)
        assert result.claimed.lease_seconds == 10
        assert result.claimed.registration.batch_id == BATCH
        assert world.steps("upl_00000001") == ["created", "uploading"]

    async def test_the_second_waits_until_the_lease_is_over(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        (refused,) = await claim(world, claim_of(1, "clm_2"))
        assert failure_of(refused).code == "upload-in-progress"
        assert failure_of(refused).retry_after_seconds
        world.now += timedelta(seconds=11)
        (result,) = await claim(world, claim_of(1, "clm_2"))
        assert result.claimed
        with pytest.raises(Conflict) as caught:
            await renew_claim(RenewClaim(upload_id="upl_00000001", claim_id="clm_1"), world.deps())
        assert caught.value.code == "claim-lost"
        assert world.steps("upl_00000001") == ["created", "uploading"]

    async def test_a_claim_ends_with_its_batch(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        await delete_batch(DeleteBatch(tenant="dev", batch_id=BATCH, actor="me"), world.deps())
        with pytest.raises(NotFound) as caught:
            await renew_claim(RenewClaim(upload_id="upl_00000001", claim_id="clm_1"), world.deps())
        assert caught.value.code == "upload-not-found"

    async def test_a_renewed_claim_lasts_and_a_released_one_does_not(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        mine = {"upload_id": "upl_00000001", "claim_id": "clm_1"}
        world.now += timedelta(seconds=9)
        await renew_claim(RenewClaim(**mine), world.deps())
        world.now += timedelta(seconds=9)
        (refused,) = await claim(world, claim_of(1, "clm_2"))
        assert refused.failure
        await release_claim(ReleaseClaim(**mine), world.deps())
        (result,) = await claim(world, claim_of(1, "clm_2"))
        assert result.claimed
        await release_claim(ReleaseClaim(**mine), world.deps())
        assert upload_in(world).is_claimed(world.now), "the claim of another stays"

    async def test_each_claim_of_a_question_is_answered_by_itself(self) -> None:
        world = FakeWorld()
        await plan(world, 1, 2)
        results = await claim(
            world, claim_of(1), claim_of(9), claim_of(1, "clm_2"), claim_of(2, "clm_3")
        )
        failures = [result.failure and result.failure.code for result in results]
        assert failures == [None, "upload-not-found", "upload-in-progress", None]
        assert upload_in(world, 1).claim_id == "clm_1"
        assert upload_in(world, 2).claim_id == "clm_3"

    async def test_bytes_that_are_on_their_way_are_not_overwritten(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world, claim_of(1))
        world.now += timedelta(seconds=11)
        world.received.add("upl_00000001")
        (refused,) = await claim(world, claim_of(1, "clm_2"))
        assert failure_of(refused).code == "upload-in-progress"
        world.received.clear()
        (given,) = await claim(world, claim_of(1, "clm_2"))
        assert given.claimed is not None
        assert upload_in(world, 1).claim_id == "clm_2"

    async def test_another_type_than_promised_is_refused(self) -> None:
        world = FakeWorld()
        await plan(world)
        (refused,) = await claim(world, claim_of(1, content_type="text/html"))
        assert failure_of(refused).code == "content-type-mismatch"
        assert world.steps("upl_00000001") == ["created"]

    async def test_a_plan_expires(self) -> None:
        world = FakeWorld()
        await plan(world)
        world.now += timedelta(seconds=601)
        (refused,) = await claim(world)
        assert failure_of(refused).code == "upload-token-expired"
        await expire_uploads(world.deps())
        (refused,) = await claim(world)
        assert failure_of(refused).code == "upload-token-expired"

    async def test_an_upload_is_used_once(self) -> None:
        world = await uploaded(1)
        (refused,) = await claim(world)
        assert failure_of(refused).code == "upload-token-used"


class TestExpiry:
    async def test_what_was_never_sent_ends_and_a_batch_of_it_stays_open(self) -> None:
        world = FakeWorld()
        await plan(world, 1, 2)
        assert await expire_uploads(world.deps()) == 0
        world.now += timedelta(seconds=601)
        assert await expire_uploads(world.deps()) == 2
        assert await expire_uploads(world.deps()) == 0
        assert world.steps("upl_00000001") == ["created", "expired"]
        assert world.steps(BATCH) == ["open"]

    async def test_what_is_being_sent_does_not_end(self) -> None:
        world = FakeWorld()
        await plan(world)
        world.now += timedelta(seconds=599)
        await claim(world)
        world.now += timedelta(seconds=5)
        assert await expire_uploads(world.deps()) == 0

    async def test_what_may_not_end_yet_keeps_nothing_from_ending(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploads, "_OVERDUE_BATCHES", 2)
        world = FakeWorld()
        for n in range(2, 6):
            question = PlanUploads(principal=ME, uploads=(planned(n),), lifetime_seconds=600)
            await plan_uploads(question, f"rb_{n:08}", world.deps())
            await claim(world, claim_of(n))
            world.received.add(f"upl_{n:08}")
        await plan(world)
        world.now += timedelta(days=2)
        assert sum([await expire_uploads(world.deps()) for _ in range(50)]) == 1
        assert world.steps("upl_00000001") == ["created", "expired"]

    async def test_a_batch_is_done_when_the_last_open_upload_expired(self) -> None:
        world = FakeWorld()
        await plan(world, 1, 2)
        await hear(world, stored(1))
        await register(world, item(1))
        await hear(world, verified(1))
        assert batch_status(world) == "open"
        world.now += timedelta(seconds=601)
        await expire_uploads(world.deps())
        assert world.steps(BATCH) == ["open", "pending", "processing", "open", "completed"]


class TestStored:
    async def test_the_object_is_owned_and_the_upload_registered(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        await hear(world, stored())
        assert world.steps("upl_00000001") == ["created", "uploading", "stored", "registered"]
        assert upload_in(world).claimed_until is None
        assert world.tables.objects["tenants/dev/00000001"].sha256 == SHA
        assert [(to, said.state) for to, said in world.replies] == [(REPLY_TO, "registered")]

    async def test_twice_is_once_and_is_answered_again(self) -> None:
        world = FakeWorld()
        await plan(world)
        for _ in range(2):
            await hear(world, stored())
        await take_news([event(stored(), "another id"), event(stored(), "third")], world.deps())
        assert world.steps("upl_00000001") == ["created", "stored", "registered"]
        assert len(world.tables.objects) == 1
        assert [outcome.state for _, outcome in world.replies] == ["registered"] * 4

    async def test_twice_in_one_batch_of_news_is_once(self) -> None:
        world = FakeWorld()
        await plan(world)
        await hear(world, stored(), stored())
        assert world.steps("upl_00000001") == ["created", "stored", "registered"]

    async def test_bytes_that_come_after_the_deadline_are_kept(self) -> None:
        world = FakeWorld()
        await plan(world)
        world.now += timedelta(days=2)
        await expire_uploads(world.deps())
        await hear(world, stored())
        assert world.steps("upl_00000001") == ["created", "expired", "stored", "registered"]
        await register(world)

    async def test_bytes_of_a_deleted_batch_are_discarded(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        await delete_batch(DeleteBatch(tenant="dev", batch_id=BATCH, actor="me"), world.deps())
        await hear(world, stored())
        assert not world.tables.uploads
        assert world.tables.objects["tenants/dev/00000001"].state == "discarded"
        assert len(world.facts(ObjectDiscarded)) == 1

    async def test_bytes_that_are_nobodys_stay_so_when_they_are_announced_again(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        for _ in range(2):
            await hear(world, stored(claim_id="clm_earlier"))
        await delete_batch(DeleteBatch(tenant="dev", batch_id=BATCH, actor="me"), world.deps())
        late = event(stored(), "late")
        for _ in range(2):
            await take_news([late], world.deps())
        gone = ObjectDeleted(tenant="dev", upload_id="upl_00000001", key="tenants/dev/00000001")
        await hear(world, gone)
        await take_news([late], world.deps())
        codes = [outcome.failure and outcome.failure.code for _, outcome in world.replies]
        assert codes == ["upload-taken-over"] * 5

    async def test_an_overtaken_attempt_does_not_get_the_answer_of_the_one_that_counts(
        self,
    ) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        overtaken = event(stored(claim_id="clm_earlier"), "overtaken")
        for one in (overtaken, event(stored(claim_id="clm_1"), "counts"), overtaken):
            await take_news([one], world.deps())
        assert [said.state for _, said in world.replies] == ["rejected", "registered", "rejected"]

    async def test_with_the_database_away_nothing_is_answered(self) -> None:
        world = FakeWorld(away=True)
        with pytest.raises(Unavailable):
            await hear(world, stored())
        assert not world.replies


class TestRejected:
    async def test_an_upload_whose_bytes_were_lost_is_free_again(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        await hear(world, rejected("clm_1"))
        (result,) = await claim(world, claim_of(1, "clm_2"))
        assert result.claimed
        said = world.replies[0][1].failure
        assert said is not None
        assert said.retry_after_seconds

    async def test_news_of_an_old_attempt_do_not_free_the_next_one(self) -> None:
        world = FakeWorld()
        await plan(world)
        await claim(world)
        await hear(world, rejected("clm_1"))
        await claim(world, claim_of(1, "clm_2"))
        for late in ("clm_1", "clm_0"):
            await hear(world, rejected(late))
            assert upload_in(world).claim_id == "clm_2"
            assert upload_in(world).claimed_until is not None

    async def test_what_is_registered_stays(self) -> None:
        world = await uploaded(1)
        await hear(world, rejected("clm_1"))
        assert world.steps("upl_00000001") == ["created", "stored", "registered"]

    async def test_one_that_nobody_knows_is_answered_too(self) -> None:
        world = FakeWorld()
        await hear(world, rejected("clm_1"))
        assert len(world.replies) == 1
