"""What is said of recordings that were uploaded, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sluice_catalog.usecases.status import report_status
from sluice_contracts.facts import (
    RecordingRegistered,
    StatusChanged,
)
from sluice_contracts.questions import (
    RecordingItem,
    ReportStatus,
)
from sluice_contracts.statuses import Kind
from sluice_runtime.errors import Conflict, NotFound, Rejected, SluiceError

from .fakes import NOW, FakeWorld
from .recording_news import (
    BATCH,
    ONCE,
    SHA,
    STRANGER,
    batch_status,
    damaged,
    hear,
    item,
    plan,
    register,
    started,
    status_of,
    stored,
    upload_in,
    uploaded,
    verified,
)


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
