"""What the catalog does with questions and news: twice, early, late, and all or nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sluice_catalog.domain import Upload, token_digest
from sluice_catalog.usecases.batches import delete_batch, get_batch, list_batches, show_batches
from sluice_catalog.usecases.keys import has_well_known_key, resolve_key
from sluice_catalog.usecases.objects import take_news
from sluice_catalog.usecases.reconciling import find_owners, list_owned, report_missing
from sluice_catalog.usecases.recordings import get_recording, register_recordings
from sluice_catalog.usecases.status import report_status
from sluice_catalog.usecases.uploads import (
    claim_uploads,
    expire_uploads,
    plan_uploads,
    release_claim,
    renew_claim,
)
from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import (
    ObjectCheckStarted,
    ObjectDamaged,
    ObjectDeleted,
    ObjectDiscarded,
    ObjectRejected,
    ObjectStored,
    ObjectVerified,
    RecordingDescription,
    RecordingRegistered,
    RecordingUpload,
    StatusChanged,
    StoredBytes,
)
from sluice_contracts.questions import (
    BatchState,
    Claim,
    ClaimResult,
    ClaimUploads,
    DeleteBatch,
    FailureDetail,
    FindOwners,
    GetBatch,
    GetRecording,
    Idempotency,
    ListBatches,
    ListOwnedObjects,
    PlannedUpload,
    PlanUploads,
    Principal,
    RecordingItem,
    RegisterRecordings,
    ReleaseClaim,
    RenewClaim,
    ReportMissing,
    ReportStatus,
    ResolveKey,
    ShowBatches,
    UploadsPlanned,
)
from sluice_contracts.statuses import Kind
from sluice_runtime.errors import Conflict, NotFound, Rejected, SluiceError, Unavailable

from .fakes import NOW, FakeTables, FakeWorld

ME = Principal(tenant="dev", subject="me", scopes=frozenset())
STRANGER = Principal(tenant="other", subject="stranger", scopes=frozenset())
BATCH = "rb_00000001"
REPLY_TO = "sluice.live.v1.reply.i.x"
SHA = hashlib.sha256(b"x").hexdigest()
ONCE = Idempotency(key="12345678", fingerprint="0" * 64)


def planned(n: int) -> PlannedUpload:
    return PlannedUpload(
        upload_id=f"upl_{n:08}",
        recording_id=f"rec_{n:08}",
        filename="a.wav",
        content_type="audio/wav",
        bucket="media",
        key=f"tenants/dev/{n:08}",
        put_url="http://store/x?X-Amz-Signature=1",
    )


async def plan(world: FakeWorld, *numbers: int, batch_id: str | None = None, **more: Any) -> Any:
    question = PlanUploads(
        principal=more.pop("principal", ME),
        batch_id=batch_id,
        uploads=tuple(planned(n) for n in numbers or (1,)),
        lifetime_seconds=600,
        **more,
    )
    return await plan_uploads(question, BATCH, world.deps())


async def claim(world: FakeWorld, *claims: Claim) -> tuple[ClaimResult, ...]:
    asked = ClaimUploads(claims=claims or (claim_of(1),))
    return (await claim_uploads(asked, world.deps())).results


def claim_of(n: int, claim_id: str = "clm_1", content_type: str = "audio/wav") -> Claim:
    return Claim(upload_id=f"upl_{n:08}", claim_id=claim_id, content_type=content_type)


def failure_of(result: ClaimResult) -> FailureDetail:
    assert result.failure is not None
    assert result.claimed is None
    return result.failure


def stored(n: int = 1, **more: Any) -> ObjectStored:
    return ObjectStored(
        tenant="dev",
        upload_id=f"upl_{n:08}",
        bytes=StoredBytes(
            bucket="media",
            key=f"tenants/dev/{n:08}",
            size_bytes=1,
            sha256=SHA,
            content_type="audio/wav",
        ),
        etag="e",
        registration=RecordingUpload(
            batch_id=BATCH, recording_id=f"rec_{n:08}", filename="a.wav", created_by="me"
        ),
        stored_at=NOW,
        reply_to=REPLY_TO,
        **more,
    )


def rejected(claim_id: str) -> ObjectRejected:
    return ObjectRejected(
        tenant="dev",
        upload_id="upl_00000001",
        claim_id=claim_id,
        code="a-code",
        detail="because",
        reply_to=REPLY_TO,
    )


def started(n: int = 1) -> ObjectCheckStarted:
    return ObjectCheckStarted(tenant="dev", upload_id=f"upl_{n:08}", started_at=NOW)


def verified(n: int = 1) -> ObjectVerified:
    return ObjectVerified(tenant="dev", upload_id=f"upl_{n:08}", sha256=SHA, verified_at=NOW)


def damaged(n: int = 1) -> ObjectDamaged:
    return ObjectDamaged(tenant="dev", upload_id=f"upl_{n:08}", code="c", detail="flipped")


def event(fact: Any, event_id: str | None = None) -> Event[Any]:
    event_id = event_id or f"{type(fact).__name__}-{fact.upload_id}"
    return wrap(fact, event_id=event_id, source="storage", at=NOW)


async def hear(world: FakeWorld, *facts: Any) -> None:
    await take_news([event(fact) for fact in facts], world.deps())


def item(n: int, **more: Any) -> RecordingItem:
    values = {
        "client_item_id": f"item-{n}",
        "blob_ref": f"blob://s3/media/tenants/dev/{n:08}",
        "data": {"n": n},
    }
    return RecordingItem(**{**values, **more})


async def register(
    world: FakeWorld, *items: RecordingItem, batch_id: str | None = BATCH, **more: Any
) -> BatchState:
    question = RegisterRecordings(
        principal=more.pop("principal", ME),
        batch_id=batch_id,
        items=items or (item(1),),
        idempotency=more.pop("idempotency", ()),
    )
    return await register_recordings(question, world.deps())


async def uploaded(*numbers: int) -> FakeWorld:
    """A world in which these uploads are registered in one batch."""
    world = FakeWorld()
    await plan(world, *numbers)
    await hear(world, *(stored(n) for n in numbers or (1,)))
    return world


def upload_in(world: FakeWorld, n: int = 1) -> Upload:
    return world.tables.uploads[f"upl_{n:08}"]


def status_of(world: FakeWorld, n: int = 1) -> str:
    return world.tables.recordings[f"rec_{n:08}"].status


def batch_status(world: FakeWorld) -> str:
    return world.tables.batches[BATCH].status


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


class TestRegistering:
    async def test_blobs_become_recordings(self) -> None:
        world = await uploaded(1, 2)
        answer = await register(world, item(2), item(1))
        assert [one.recording_id for one in answer.items] == ["rec_00000002", "rec_00000001"]
        assert answer.status == "pending"
        assert world.steps("rec_00000001") == ["queued"]
        facts = world.facts(RecordingRegistered)
        assert [fact.recording_id for fact in facts] == ["rec_00000002", "rec_00000001"]
        assert facts[1].bytes.sha256 == SHA

    @pytest.mark.parametrize(
        ("items", "batch_id", "code"),
        [
            ([item(1)], None, "blob-not-linked"),
            ([item(1)], "rb_00000009", "batch-not-found"),
            ([item(1), item(9)], BATCH, "blob-not-linked"),
            ([item(1, blob_ref="blob://s3/other/tenants/dev/00000001")], BATCH, "blob-not-linked"),
            ([item(1, blob_ref="http://evil")], BATCH, "blob-not-linked"),
            ([item(1), item(2, blob_ref=item(1).blob_ref)], BATCH, "duplicate-item"),
            ([item(1), item(2, client_item_id="item-1")], BATCH, "duplicate-item"),
            ([item(1), item(3)], BATCH, "blob-not-uploaded"),
        ],
    )
    async def test_one_bad_item_spoils_them_all(
        self, items: Sequence[RecordingItem], batch_id: str | None, code: str
    ) -> None:
        world = await uploaded(1, 2)
        await plan(world, 3, batch_id=BATCH)
        before = world.tables
        with pytest.raises(SluiceError) as caught:
            await register(world, *items, batch_id=batch_id)
        assert caught.value.code == code
        assert world.tables == before

    async def test_what_belongs_to_others_is_not_there(self) -> None:
        world = await uploaded(1)
        with pytest.raises(NotFound):
            await register(world, principal=STRANGER)

    @pytest.mark.parametrize(
        ("status", "is_retryable"),
        [("uploading", True), ("stored", True), ("expired", False), ("failed", False)],
    )
    async def test_bytes_that_are_not_there_are_waited_for_or_not(
        self, status: Any, is_retryable: bool
    ) -> None:
        world = await uploaded(1)
        world.tables.uploads["upl_00000001"] = replace(
            upload_in(world), status=type(upload_in(world).status)(status)
        )
        with pytest.raises(Conflict) as caught:
            await register(world)
        assert caught.value.code == "blob-not-uploaded"
        assert bool(caught.value.retry_after_seconds) is is_retryable

    async def test_a_blob_is_one_recording(self) -> None:
        world = await uploaded(1, 2)
        await register(world, item(1))
        with pytest.raises(Conflict) as caught:
            await register(world, item(1, client_item_id="again"))
        assert caught.value.code == "blob-already-registered"
        await register(world, item(2))

    async def test_a_closed_batch_says_so(self) -> None:
        world = await uploaded(1)
        await register(world)
        await hear(world, verified())
        with pytest.raises(Conflict) as caught:
            await register(world)
        assert caught.value.code == "batch-closed"

    async def test_a_repeated_request_gets_the_first_answer_whatever_happened_since(self) -> None:
        world = await uploaded(1)
        header = ONCE.model_copy(update={"key": "header:1"})
        first = await register(world, idempotency=(ONCE, header))
        await hear(world, verified())
        for again in ((ONCE,), (header,), (ONCE, header)):
            assert await register(world, idempotency=again) == first
        assert len(world.facts(RecordingRegistered)) == 1

    async def test_a_refused_request_may_be_repeated_under_its_key(self) -> None:
        world = FakeWorld()
        await plan(world)
        with pytest.raises(Conflict):
            await register(world, idempotency=(ONCE,))
        await hear(world, stored())
        assert (await register(world, idempotency=(ONCE,))).status == "pending"


class TestProgress:
    async def test_a_recording_is_proven_step_by_step(self) -> None:
        world = await uploaded(1)
        await register(world)
        await hear(world, started())
        assert (status_of(world), batch_status(world)) == ("processing", "processing")
        for _ in range(2):
            await hear(world, verified())
        assert world.steps("rec_00000001") == ["queued", "processing", "completed"]
        assert world.steps(BATCH) == ["open", "pending", "processing", "completed"]
        assert world.tables.objects["tenants/dev/00000001"].verified_at == NOW

    async def test_news_in_the_wrong_order_come_to_the_same_end(self) -> None:
        world = await uploaded(1)
        await register(world)
        await hear(world, verified())
        await hear(world, started())
        assert world.steps("rec_00000001") == ["queued", "processing", "completed"]

    async def test_all_news_at_once_come_to_the_same_end(self) -> None:
        world = FakeWorld()
        await plan(world)
        await hear(world, stored())
        await register(world)
        await hear(world, verified(), started(), stored(), verified())
        assert world.steps("rec_00000001") == ["queued", "processing", "completed"]

    async def test_damage_fails_the_recording_and_its_batch(self) -> None:
        world = await uploaded(1)
        await register(world)
        for _ in range(2):
            await hear(world, damaged())
        assert world.steps("rec_00000001") == ["queued", "failed"]
        assert world.steps(BATCH) == ["open", "pending", "failed"]
        assert world.tables.objects["tenants/dev/00000001"].state == "damaged"
        reasons = [one.reason for one in world.facts(StatusChanged) if one.status == "failed"]
        assert reasons[0] == "flipped"

    async def test_what_has_ended_stays_so(self) -> None:
        world = await uploaded(1)
        await register(world)
        await hear(world, verified(), damaged())
        assert status_of(world) == "completed"

    async def test_news_of_what_is_no_recording_yet_do_no_harm(self) -> None:
        world = await uploaded(1)
        await hear(world, started(), verified())
        assert batch_status(world) == "open"
        await register(world)

    async def test_a_batch_waits_for_its_last_recording(self) -> None:
        world = await uploaded(1, 2)
        await register(world, item(1), item(2))
        await hear(world, damaged(1))
        assert batch_status(world) == "pending"
        await hear(world, verified(2))
        assert world.steps(BATCH) == ["open", "pending", "processing", "failed"]

    async def test_a_worker_reports_progress(self) -> None:
        world = await uploaded(1)
        await register(world)

        async def report(status: str, tenant: str = "dev") -> None:
            asked = ReportStatus(
                tenant=tenant, kind=Kind.RECORDING, id="rec_00000001", status=status, actor="w"
            )
            await report_status(asked, world.deps())

        with pytest.raises(Conflict):
            await report("completed")
        with pytest.raises(Rejected):
            await report("done")
        with pytest.raises(NotFound):
            await report("processing", "other")
        for status in ("processing", "processing", "completed"):
            await report(status)
        assert world.steps("rec_00000001") == ["queued", "processing", "completed"]


class TestDeleting:
    delete = DeleteBatch(tenant="dev", batch_id=BATCH, actor="me")

    async def test_a_batch_goes_with_its_objects_and_unfinished_uploads_are_cancelled(
        self,
    ) -> None:
        world = await uploaded(1)
        await plan(world, 2, batch_id=BATCH)
        await register(world)
        await delete_batch(self.delete, world.deps())
        assert not world.tables.batches
        assert not world.tables.recordings
        assert [fact.upload_id for fact in world.facts(ObjectDiscarded)] == ["upl_00000001"]
        told = [one.status for one in world.facts(StatusChanged) if one.id == "upl_00000002"]
        assert told == ["created", "cancelled"]
        with pytest.raises(NotFound):
            await delete_batch(self.delete, world.deps())

    async def test_late_news_do_not_bring_it_back(self) -> None:
        world = await uploaded(1)
        await register(world)
        await delete_batch(self.delete, world.deps())
        again = stored(
            description=RecordingDescription(client_item_id="i", data={}, registered_at=NOW)
        )
        await take_news([event(again, "restated")], world.deps())
        await hear(world, started(), verified(), rejected("clm_1"))
        assert not world.tables.batches
        assert not world.tables.recordings
        assert world.tables.objects["tenants/dev/00000001"].state == "discarded"

    async def test_an_object_is_forgotten_when_its_bytes_are_gone(self) -> None:
        world = await uploaded(1)
        gone = ObjectDeleted(tenant="dev", upload_id="upl_00000001", key="tenants/dev/00000001")
        await take_news([event(gone, "too early")], world.deps())
        assert world.tables.objects
        await delete_batch(self.delete, world.deps())
        await hear(world, gone)
        assert not world.tables.objects

    async def test_a_stranger_cannot_delete(self) -> None:
        world = await uploaded(1)
        with pytest.raises(NotFound):
            await delete_batch(self.delete.model_copy(update={"tenant": "other"}), world.deps())
        assert world.tables.batches


class TestRestoring:
    description = RecordingDescription(
        client_item_id="item-1", data={"title": "Grüße"}, registered_at=NOW
    )

    async def test_everything_comes_back_from_a_registration(self) -> None:
        world = FakeWorld()
        for n in (1, 2):
            await hear(world, stored(n, description=self.description))
        assert world.steps(BATCH) == ["open", "pending"]
        assert world.steps("upl_00000001") == ["created", "stored", "registered"]
        assert world.steps("rec_00000001") == ["queued"]
        assert len(world.facts(RecordingRegistered)) == 2
        await hear(world, verified(1), verified(2))
        assert batch_status(world) == "completed"

    async def test_without_a_description_it_waits_to_be_registered(self) -> None:
        world = FakeWorld()
        await hear(world, stored())
        assert not world.tables.recordings
        await register(world)
        assert world.steps(BATCH) == ["open", "pending"]

    async def test_what_was_not_lost_is_not_touched(self) -> None:
        world = await uploaded(1)
        await register(world)
        await hear(world, verified())
        before = world.tables
        await take_news([event(stored(description=self.description), "again")], world.deps())
        expected = FakeTables(**{**vars(before), "inbox": before.inbox | {"again"}})
        assert world.tables == expected

    async def test_an_object_that_is_missing_fails_what_stands_on_it(self) -> None:
        world = await uploaded(1)
        await register(world)
        for _ in range(2):
            await report_missing(ReportMissing(key="tenants/dev/00000001"), world.deps())
            await report_missing(ReportMissing(key="unknown"), world.deps())
        assert world.steps("rec_00000001") == ["queued", "failed"]
        assert world.tables.objects["tenants/dev/00000001"].state == "damaged"


class TestReading:
    async def test_batches_are_shown_to_their_tenant(self) -> None:
        world = await uploaded(1)
        await register(world)
        found = await get_batch(GetBatch(tenant="dev", batch_id=BATCH), world.deps())
        assert [one.recording_id for one in found.items] == ["rec_00000001"]
        listed = await list_batches(ListBatches(tenant="dev", limit=5), world.deps())
        assert (listed.batches, listed.next) == ((found,), None)
        shown = await show_batches(ShowBatches(tenant="dev", limit=5), world.deps())
        assert shown.batches[0].recordings[0].metadata == {"n": 1}
        view = await get_recording(
            GetRecording(tenant="dev", recording_id="rec_00000001"), world.deps()
        )
        assert view == shown.batches[0].recordings[0]
        for asked in (GetBatch(tenant="other", batch_id=BATCH),):
            with pytest.raises(NotFound):
                await get_batch(asked, world.deps())
        assert not (await list_batches(ListBatches(tenant="other", limit=5), world.deps())).batches

    async def test_pages_follow_each_other(self) -> None:
        world = FakeWorld()
        for n in range(5):
            question = PlanUploads(principal=ME, uploads=(planned(n),), lifetime_seconds=600)
            await plan_uploads(question, f"rb_{n:08}", world.deps())
            world.now += timedelta(seconds=n % 2)
        seen: list[str] = []
        after = None
        while True:
            page = await list_batches(ListBatches(tenant="dev", limit=2, after=after), world.deps())
            seen += [one.batch_id[-1] for one in page.batches]
            after = page.next
            if after is None:
                break
        assert seen == ["4", "3", "2", "1", "0"]

    async def test_a_page_that_would_not_fit_into_a_message_is_cut(self) -> None:
        world = FakeWorld()
        for n in range(1, 5):
            question = PlanUploads(principal=ME, uploads=(planned(n),), lifetime_seconds=600)
            await plan_uploads(question, f"rb_{n:08}", world.deps())
            await hear(world, stored(n))
            big = item(n, data={"text": "x" * 900_000})
            world.tables.uploads[f"upl_{n:08}"] = upload_in(world, n)
            await register(world, big, batch_id=f"rb_{n:08}")
            world.now += timedelta(seconds=1)
        seen: list[str] = []
        after = None
        while True:
            page = await show_batches(ShowBatches(tenant="dev", limit=4, after=after), world.deps())
            assert len(page.model_dump_json()) < 4 * 1024**2
            seen += [one.batch_id[-1] for one in page.batches]
            after = page.next
            if after is None:
                break
        assert seen == ["4", "3", "2", "1"]

    async def test_owners_are_found(self) -> None:
        world = await uploaded(1)
        await plan(world, 2, batch_id=BATCH)
        keys = ("tenants/dev/00000001", "tenants/dev/00000002", "x")
        found = (await find_owners(FindOwners(keys=keys), world.deps())).objects
        assert [one.state for one in found] == ["stored", "expected"]
        listed = await list_owned(ListOwnedObjects(after=keys[0]), world.deps())
        assert [one.key for one in listed.objects] == [keys[1]]

    async def test_keys_are_known_by_their_digest(self) -> None:
        world = FakeWorld()
        digest = token_digest("test_12345")
        with pytest.raises(NotFound):
            await resolve_key(ResolveKey(token_sha256=digest), world.deps())
        assert not await has_well_known_key(world.deps())
        world.tables.keys[digest] = ME
        assert await resolve_key(ResolveKey(token_sha256=digest), world.deps()) == ME
        assert await has_well_known_key(world.deps())
