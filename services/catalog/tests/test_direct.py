"""Direct uploads in the catalog: twice, late, early, and after everybody gave up on them."""

from datetime import timedelta

import pytest

from sluice_catalog.usecases import direct
from sluice_catalog.usecases.batches import delete_batch
from sluice_catalog.usecases.direct import (
    cancel_direct,
    expire_direct,
    get_direct,
    open_direct,
    plan_direct,
    reopen_direct,
)
from sluice_catalog.usecases.findings import take_findings
from sluice_catalog.usecases.objects import take_news
from sluice_catalog.usecases.uploads import plan_uploads
from sluice_contracts.envelope import wrap
from sluice_contracts.facts import (
    DirectUpload,
    ObjectDiscarded,
    ObjectInspected,
    ObjectRejected,
    ObjectStored,
    RecordingDescription,
    StoredBytes,
)
from sluice_contracts.questions import (
    CancelDirect,
    DeleteBatch,
    GetDirect,
    Idempotency,
    OpenDirect,
    PlanDirect,
    PlannedDirect,
    PlannedUpload,
    PlanUploads,
    Principal,
    ReopenDirect,
)
from sluice_runtime.errors import Conflict, NotFound

from .fakes import NOW, FakeWorld

UPLOAD, BATCH = "upl_00000001", "rb_00000001"
ME = Principal(tenant="dev", subject="me", scopes=frozenset())
SHA = "a" * 64
REGISTERED = ["created", "uploading", "stored", "registered"]


def planned(n: int = 1, batch_id: str | None = None) -> PlannedDirect:
    return PlannedDirect(
        upload_id=f"upl_{n:08}",
        batch_id=batch_id,
        recording_id=f"rec_{n:08}" if batch_id else None,
        filename="a.wav",
        content_type="audio/wav",
        bucket="media",
        key=f"k{n}",
        session_id="s1",
        part_size=8,
    )


def plan(n: int = 1, batch_id: str | None = None, once: str | None = None) -> PlanDirect:
    promise = Idempotency(key=once, fingerprint=SHA) if once else None
    return PlanDirect(principal=ME, upload=planned(n, batch_id), idempotency=promise)


def opened() -> OpenDirect:
    return OpenDirect(tenant="dev", upload_id=UPLOAD, actor="me")


def stored(batch_id: str | None = None, **changes: object) -> ObjectStored:
    told = DirectUpload(
        batch_id=batch_id,
        recording_id="rec_00000001" if batch_id else None,
        filename="a.wav",
        created_at=NOW,
        created_by="me",
    )
    return ObjectStored.model_validate(
        {
            "tenant": "dev",
            "upload_id": UPLOAD,
            "bytes": StoredBytes(
                bucket="media", key="k1", size_bytes=7, sha256=SHA, content_type="audio/wav"
            ),
            "etag": "e",
            "registration": told,
            "claim_id": "clm_1",
            "stored_at": NOW,
            "verified_at": NOW,
            "reply_to": "sluice.live.v1.reply.i.x",
            **changes,
        }
    )


def rejected(*, final: bool) -> ObjectRejected:
    return ObjectRejected(
        tenant="dev",
        upload_id=UPLOAD,
        claim_id="clm_1",
        code="digest-mismatch" if final else "bytes-lost",
        detail="no",
        final=final,
        reply_to="sluice.live.v1.reply.i.x",
    )


async def hear(world: FakeWorld, *facts: ObjectStored | ObjectRejected) -> None:
    """Each attempt says what came of it once; the same attempt again is a repetition."""
    events = [
        wrap(fact, event_id=f"{fact.type_name()}-{fact.claim_id}", source="storage", at=NOW)
        for fact in facts
    ]
    await take_news(events, world.deps())


def status(world: FakeWorld) -> str:
    return world.tables.direct[UPLOAD].status


@pytest.fixture
async def world() -> FakeWorld:
    """One upload that was planned and begun."""
    one = FakeWorld()
    await plan_direct(plan(), one.deps())
    await open_direct(opened(), one.deps())
    return one


@pytest.fixture
async def batch() -> FakeWorld:
    """One upload that is to be a member of a batch."""
    one = FakeWorld()
    item = PlannedUpload(
        upload_id="upl_00000009",
        recording_id="rec_00000009",
        filename="b.wav",
        content_type="audio/wav",
        bucket="media",
        key="k9",
    )
    asked = PlanUploads(principal=ME, uploads=(item,), lifetime_seconds=60)
    await plan_uploads(asked, BATCH, one.deps())
    await plan_direct(plan(batch_id=BATCH), one.deps())
    return one


class TestPlanning:
    async def test_the_same_request_gets_the_same_upload(self) -> None:
        world = FakeWorld()
        await plan_direct(plan(1, once="k"), world.deps())
        assert (await plan_direct(plan(2, once="k"), world.deps())).upload_id == UPLOAD
        assert list(world.tables.direct) == [UPLOAD]

    async def test_a_batch_has_to_be_there(self) -> None:
        with pytest.raises(NotFound):
            await plan_direct(plan(batch_id=BATCH), FakeWorld().deps())

    async def test_a_lost_session_is_replaced_once(self, world: FakeWorld) -> None:
        first, late = (
            ReopenDirect(tenant="dev", upload_id=UPLOAD, lost_session_id="s1", session_id=name)
            for name in ("s2", "s3")
        )
        assert (await reopen_direct(first, world.deps())).session_id == "s2"
        assert (await reopen_direct(late, world.deps())).session_id == "s2"


class TestRegistering:
    async def test_bytes_that_were_proven_are_an_object(self, world: FakeWorld) -> None:
        await hear(world, stored())
        await hear(world, stored())
        assert world.steps(UPLOAD) == REGISTERED
        row = world.tables.direct[UPLOAD]
        assert (row.size_bytes, row.sha256) == (7, SHA)
        assert world.tables.objects["k1"].verified_at == NOW
        assert [outcome.state for _, outcome in world.replies] == ["registered"] * 2

    async def test_two_attempts_that_both_came_through_are_one(self, world: FakeWorld) -> None:
        await hear(world, stored(), stored(claim_id="clm_2"))
        assert world.steps(UPLOAD) == REGISTERED
        assert not world.facts(ObjectDiscarded)

    async def test_a_row_that_was_lost_comes_back(self) -> None:
        world = FakeWorld()
        described = RecordingDescription(client_item_id="i", data={}, registered_at=NOW)
        await hear(world, stored(BATCH, description=described))
        assert status(world) == "registered"
        assert world.tables.recordings["rec_00000001"].client_item_id == "i"
        assert world.tables.uploads[UPLOAD].status == "registered"

    async def test_a_member_of_a_batch_can_become_a_recording(self, batch: FakeWorld) -> None:
        await hear(batch, stored(BATCH))
        member = batch.tables.uploads[UPLOAD]
        assert (member.batch_id, member.status) == (BATCH, "registered")

    async def test_late_bytes_of_an_expired_upload_are_kept(self, world: FakeWorld) -> None:
        world.now += timedelta(days=2)
        assert await expire_direct(world.deps()) == 1
        await hear(world, stored())
        assert world.steps(UPLOAD) == ["created", "uploading", "expired", "stored", "registered"]

    async def test_bytes_of_what_was_cancelled_are_discarded(self, world: FakeWorld) -> None:
        question = CancelDirect(tenant="dev", upload_id=UPLOAD, actor="me")
        await cancel_direct(question, world.deps())
        await hear(world, stored())
        assert status(world) == "cancelled"
        assert world.tables.objects["k1"].state == "discarded"
        assert len(world.facts(ObjectDiscarded)) == 2

    async def test_what_is_read_from_it_is_kept_unless_it_was_cancelled(
        self, world: FakeWorld
    ) -> None:
        found = ObjectInspected(tenant="dev", upload_id=UPLOAD, readable=True, inspected_at=NOW)
        events = [wrap(found, event_id=f"found{n}", source="inspector", at=NOW) for n in range(2)]
        await take_findings(events[:1], world.deps())
        assert world.tables.media.pop(UPLOAD) == found
        await cancel_direct(CancelDirect(tenant="dev", upload_id=UPLOAD, actor="me"), world.deps())
        await take_findings(events[1:], world.deps())
        assert not world.tables.media


class TestEnding:
    async def test_broken_promises_end_it_and_say_why(self, world: FakeWorld) -> None:
        await hear(world, rejected(final=True))
        view = await get_direct(GetDirect(tenant="dev", upload_id=UPLOAD), world.deps())
        assert (view.status, view.failure_code) == ("failed", "digest-mismatch")
        (gone,) = world.facts(ObjectDiscarded)
        assert (gone.key, gone.session_id) == ("k1", "s1")
        assert [one.failure and one.failure.failure for _, one in world.replies] == ["rejected"]

    async def test_lost_bytes_can_be_sent_again(self, world: FakeWorld) -> None:
        await hear(world, rejected(final=False))
        assert status(world) == "uploading"
        assert not world.facts(ObjectDiscarded)

    async def test_a_refusal_that_comes_late_harms_nothing(self, world: FakeWorld) -> None:
        await hear(world, stored())
        await hear(world, rejected(final=True))
        assert status(world) == "registered"
        assert not world.facts(ObjectDiscarded)

    async def test_time_begins_anew_with_each_piece_of_work(self, world: FakeWorld) -> None:
        world.now += timedelta(hours=23)
        await open_direct(opened(), world.deps())
        world.now += timedelta(hours=23)
        assert await expire_direct(world.deps()) == 0

    async def test_what_is_being_completed_does_not_expire(self, world: FakeWorld) -> None:
        world.completing.add(UPLOAD)
        world.now += timedelta(days=2)
        assert await expire_direct(world.deps()) == 0
        assert status(world) == "uploading"

    async def test_what_may_not_end_yet_keeps_nothing_from_ending(
        self, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(direct, "_AT_ONCE", 2)
        for n in range(2, 6):
            await plan_direct(plan(n), world.deps())
        world.completing |= {UPLOAD, *(f"upl_{n:08}" for n in range(2, 5))}
        world.now += timedelta(days=2)
        assert sum([await expire_direct(world.deps()) for _ in range(50)]) == 1
        assert world.steps("upl_00000005") == ["created", "expired"]

    async def test_a_registered_upload_is_forgotten_for_good(self, world: FakeWorld) -> None:
        await hear(world, stored())
        await cancel_direct(CancelDirect(tenant="dev", upload_id=UPLOAD, actor="me"), world.deps())
        assert not world.tables.direct
        await hear(world, stored(claim_id="clm_9", etag="again"))
        assert world.tables.objects["k1"].state == "discarded"
        assert not world.tables.direct

    async def test_a_member_of_a_batch_goes_with_it_alone(self, batch: FakeWorld) -> None:
        await hear(batch, stored(BATCH))
        question = CancelDirect(tenant="dev", upload_id=UPLOAD, actor="me")
        with pytest.raises(Conflict):
            await cancel_direct(question, batch.deps())
        await delete_batch(DeleteBatch(tenant="dev", batch_id=BATCH, actor="me"), batch.deps())
        assert not batch.tables.direct
        assert batch.tables.objects["k1"].state == "discarded"

    async def test_an_open_one_is_cancelled_with_its_batch(self, batch: FakeWorld) -> None:
        await delete_batch(DeleteBatch(tenant="dev", batch_id=BATCH, actor="me"), batch.deps())
        (gone,) = batch.facts(ObjectDiscarded)
        assert (gone.upload_id, gone.session_id) == (UPLOAD, "s1")
        await hear(batch, stored(BATCH))
        assert batch.tables.objects["k1"].state == "discarded"
        assert not batch.tables.direct

    async def test_strangers_find_nothing(self, world: FakeWorld) -> None:
        with pytest.raises(NotFound):
            await get_direct(GetDirect(tenant="other", upload_id=UPLOAD), world.deps())
        question = CancelDirect(tenant="other", upload_id=UPLOAD, actor="me")
        with pytest.raises(NotFound):
            await cancel_direct(question, world.deps())
