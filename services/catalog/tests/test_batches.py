"""Batches that are deleted, brought back, and read."""

from datetime import timedelta

import pytest

from sluice_catalog.domain import token_digest
from sluice_catalog.usecases.batches import delete_batch, get_batch, list_batches, show_batches
from sluice_catalog.usecases.keys import has_well_known_key, resolve_key
from sluice_catalog.usecases.objects import take_news
from sluice_catalog.usecases.reconciling import find_owners, list_owned, report_missing
from sluice_catalog.usecases.recordings import get_recording
from sluice_catalog.usecases.uploads import (
    plan_uploads,
)
from sluice_contracts.facts import (
    ObjectDeleted,
    ObjectDiscarded,
    RecordingDescription,
    RecordingRegistered,
    StatusChanged,
)
from sluice_contracts.questions import (
    DeleteBatch,
    FindOwners,
    GetBatch,
    GetRecording,
    ListBatches,
    ListOwnedObjects,
    PlanUploads,
    ReportMissing,
    ResolveKey,
    ShowBatches,
)
from sluice_runtime.errors import NotFound

from .fakes import NOW, FakeTables, FakeWorld
from .recording_news import (
    BATCH,
    ME,
    batch_status,
    event,
    hear,
    item,
    plan,
    planned,
    register,
    rejected,
    started,
    stored,
    upload_in,
    uploaded,
    verified,
)


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

    @pytest.mark.parametrize("most_bytes", [2 * 1024**2, 200, 1], ids=["all", "some", "one"])
    async def test_pages_follow_each_other_however_much_fits_on_one(
        self, monkeypatch: pytest.MonkeyPatch, most_bytes: int
    ) -> None:
        monkeypatch.setattr("sluice_catalog.usecases.batches._MOST_BYTES", most_bytes)
        world = FakeWorld()
        for n in range(5):
            question = PlanUploads(principal=ME, uploads=(planned(n),), lifetime_seconds=600)
            await plan_uploads(question, f"rb_{n:08}", world.deps())
            world.now += timedelta(seconds=n % 2)
        seen: list[str] = []
        after = None
        while True:
            page = await list_batches(ListBatches(tenant="dev", limit=3, after=after), world.deps())
            assert most_bytes > 1 or len(page.batches) == 1
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
