"""What is promised of batches, uploads and recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from sluice_contracts.questions import Page, RecordingState, RecordingView
from sluice_contracts.statuses import BatchStatus, RecordingStatus, UploadStatus
from sluice_runtime.errors import NotFound

from .values import MINUTE, Open, batch, recording, stored, upload


class UploadPromises:
    async def test_without_a_commit_nothing_happened(self, open_work: Open) -> None:
        async with open_work() as work:
            await work.batches.add(batch(1, work.now()))
            assert await work.batches.get("dev", "rb_00000001")
        async with open_work() as work:
            with pytest.raises(NotFound):
                await work.batches.get("dev", "rb_00000001")

    async def test_a_batch_is_added_once_and_belongs_to_its_tenant(self, open_work: Open) -> None:
        async with open_work() as work:
            one = batch(1, work.now())
            assert await work.batches.add(one)
            assert not await work.batches.add(replace(one, status=BatchStatus.FAILED))
            await work.commit()
        async with open_work() as work:
            assert await work.batches.get("dev", one.batch_id) == one
            assert await work.batches.lock("dev", one.batch_id) == one
            for tenant, id_ in (("other", one.batch_id), ("dev", "rb_00000009")):
                for look in (work.batches.get, work.batches.lock):
                    with pytest.raises(NotFound) as caught:
                        await look(tenant, id_)
                    assert caught.value.code == "batch-not-found"

    async def test_saving_a_batch_changes_only_its_status(self, open_work: Open) -> None:
        async with open_work() as work:
            one = batch(1, work.now())
            await work.batches.add(one)
            await work.batches.save(
                replace(one, status=BatchStatus.PENDING, sequence=2, created_by="x")
            )
            found = await work.batches.get("dev", one.batch_id)
        assert found == replace(one, status=BatchStatus.PENDING, sequence=2)

    async def test_batches_are_listed_newest_first_page_by_page(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for n, age in ((1, 3), (2, 1), (3, 1), (4, 2)):
                await work.batches.add(batch(n, now - age * MINUTE))
            await work.batches.add(batch(5, now, "other"))
            seen: list[str] = []
            after: Page | None = None
            while found := await work.batches.page("dev", status=None, after=after, limit=3):
                seen += [one.batch_id[-1] for one in found]
                after = Page(created_at=found[-1].created_at, id=found[-1].batch_id)
            assert seen == ["3", "2", "4", "1"]
            closed = await work.batches.page(
                "dev", status=BatchStatus.COMPLETED, after=None, limit=3
            )
            assert closed == []

    @pytest.mark.parametrize(
        ("status", "waits"),
        [
            (UploadStatus.CREATED, True),
            (UploadStatus.UPLOADING, True),
            (UploadStatus.STORED, True),
            (UploadStatus.REGISTERED, True),
            (UploadStatus.EXPIRED, False),
            (UploadStatus.FAILED, False),
            (UploadStatus.CANCELLED, False),
        ],
    )
    async def test_an_upload_waits_until_it_is_a_recording(
        self, open_work: Open, status: UploadStatus, waits: bool
    ) -> None:
        async with open_work() as work:
            now = work.now()
            await work.uploads.add([replace(upload(1, now), status=status)])
            await work.uploads.add([upload(2, now, in_batch=2)])
            assert await work.batches.contents("rb_00000001") == ([], waits)
            await work.recordings.add([recording(1, now)])
            contents = await work.batches.contents("rb_00000001")
            assert contents == ([RecordingStatus.QUEUED], False)

    async def test_an_upload_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one = upload(1, work.now())
            await work.uploads.add([one, upload(2, one.created_at)])
            await work.commit()
        async with open_work() as work:
            assert await work.uploads.find(one.upload_id) == one
            assert await work.uploads.find("upl_00000009") is None
            many = await work.uploads.lock_many([one.upload_id, "upl_00000009", one.upload_id])
            assert many == {one.upload_id: one}
            assert await work.uploads.lock_many([]) == {}
            assert await work.uploads.lock_keys("dev", [one.key, "x"]) == {one.key: one}
            assert await work.uploads.lock_keys("other", [one.key]) == {}
            other = upload(2, one.created_at)
            assert await work.uploads.lock_page("rb_00000001", "", 5) == [one, other]
            assert await work.uploads.lock_page("rb_00000001", "", 1) == [one]
            assert await work.uploads.lock_page("rb_00000001", one.upload_id, 5) == [other]
            assert await work.uploads.lock_page("rb_00000009", "", 5) == []

    async def test_saving_uploads_changes_what_may_change(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            one, two, three = (upload(n, now) for n in (1, 2, 3))
            await work.uploads.add([one, two, three])
            moved = replace(
                one,
                status=UploadStatus.UPLOADING,
                sequence=2,
                deadline=now + 5 * MINUTE,
                claim_id="clm_1",
                claimed_until=now + MINUTE,
            )
            await work.uploads.save([replace(moved, filename="other"), two])
            await work.uploads.save([])
            assert await work.uploads.find(one.upload_id) == moved
            assert await work.uploads.find(two.upload_id) == two
            assert await work.uploads.find(three.upload_id) == three
            freed = replace(moved, claim_id=None, claimed_until=None)
            await work.uploads.save([freed])
            assert await work.uploads.find(one.upload_id) == freed

    async def test_a_claim_is_extended_by_its_holder(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            await work.uploads.add([replace(upload(1, now), claim_id="mine", claimed_until=now)])
            until = now + MINUTE
            assert not await work.uploads.extend_claim("upl_00000001", "other", until)
            assert not await work.uploads.extend_claim("upl_00000009", "mine", until)
            assert await work.uploads.extend_claim("upl_00000001", "mine", until)
            found = await work.uploads.find("upl_00000001")
        assert found is not None
        assert found.claimed_until == until

    async def test_overdue_is_what_nobody_sends_any_more(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            past = upload(1, now - 2 * MINUTE)
            await work.uploads.add(
                [
                    past,
                    replace(
                        upload(2, now - 2 * MINUTE),
                        status=UploadStatus.UPLOADING,
                        claimed_until=now - MINUTE,
                    ),
                    replace(upload(3, now - 2 * MINUTE), claimed_until=now + MINUTE),
                    replace(upload(4, now - 2 * MINUTE), status=UploadStatus.REGISTERED),
                    upload(5, now, in_batch=2),
                    upload(6, now - 2 * MINUTE, in_batch=3),
                ]
            )
            found = await work.uploads.overdue_batches(now, 10)
            assert sorted(found) == [("dev", "rb_00000001"), ("dev", "rb_00000003")]
            few = [await work.uploads.overdue_batches(now, 1) for _ in range(100)]
            assert {len(some) for some in few} == {1}
            assert {one for some in few for one in some} == set(found)
            ids = {one.upload_id for one in await work.uploads.lock_overdue("rb_00000001", now)}
            assert ids == {"upl_00000001", "upl_00000002"}

    async def test_the_dead_are_remembered(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for _ in range(2):
                await work.uploads.bury(["a", "b"], now)
            await work.uploads.bury([], now)
            assert await work.uploads.buried(["b", "c"]) == {"b"}
            assert await work.uploads.buried([]) == set()

    async def test_a_recording_comes_back_as_it_was(self, open_work: Open) -> None:
        async with open_work() as work:
            one = recording(1, work.now())
            await work.recordings.add([one])
            await work.commit()
        async with open_work() as work:
            assert await work.recordings.find("dev", one.recording_id) == one
            assert await work.recordings.lock(one.recording_id) == one
            assert await work.recordings.of_upload(one.upload_id) == one
            assert await work.recordings.of_upload("upl_00000009") is None
            assert await work.recordings.lock("rec_00000009") is None
            assert await work.recordings.taken([one.upload_id, "x"]) == {one.upload_id}
            with pytest.raises(NotFound) as caught:
                await work.recordings.find("other", one.recording_id)
            assert caught.value.code == "recording-not-found"
            moved = replace(one, status=RecordingStatus.PROCESSING, sequence=2)
            await work.recordings.save(replace(moved, client_item_id="other"))
            assert await work.recordings.lock(one.recording_id) == moved

    async def test_recordings_are_shown_oldest_first_with_their_bytes(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            await work.uploads.add([upload(n, now) for n in (1, 2, 3)])
            await work.objects.add([stored(n, now) for n in (1, 2, 3)])
            await work.recordings.add(
                [recording(1, now), recording(2, now - MINUTE), recording(3, now)]
            )
            states = await work.recordings.states(["rb_00000001", "rb_00000002"])
            views = await work.recordings.views(["rb_00000001"])
            assert list(states) == list(views) == ["rb_00000001"]
            for shown in (states, views):
                ids = [one.recording_id[-1] for one in shown["rb_00000001"]]  # type: ignore[index]
                assert ids == ["2", "1", "3"]
            view = await work.recordings.view("dev", "rec_00000001")
            assert view == views["rb_00000001"][1]
            assert (view.filename, view.size_bytes, view.sha256) == ("Grüße.wav", 2**40, "a" * 64)
            assert view.metadata == recording(1, now).data
            with pytest.raises(NotFound):
                await work.recordings.view("other", "rec_00000001")

    async def test_recordings_are_found_part_by_part(self, open_work: Open) -> None:
        """In the order of the batches, and within one behind a place in it."""
        ages = {1: 1, 2: 2, 3: 1, 4: 0, 5: 1}
        one, other = "rb_00000001", "rb_00000002"
        async with open_work() as work:
            now = work.now()
            await work.uploads.add([upload(n, now) for n in range(1, 7)])
            await work.objects.add([stored(n, now) for n in range(1, 7)])
            await work.recordings.add([recording(n, now - age * MINUTE) for n, age in ages.items()])
            await work.recordings.add([recording(6, now - 9 * MINUTE, in_batch=2)])
            for read in (work.recordings.states, work.recordings.views):
                assert _numbers(await read([one, other], limit=6)) == {one: "21354", other: "6"}
                assert _numbers(await read([one, other], limit=3)) == {one: "213"}
                assert _numbers(await read([other, one], limit=2)) == {other: "6", one: "2"}
                after = Page(created_at=now - MINUTE, id="rec_00000003")
                assert _numbers(await read([one], after=after)) == {one: "54"}
                assert _numbers(await read([one], after=after, limit=1)) == {one: "5"}
                after = Page(created_at=now, id="rec_00000004")
                assert await read([one], after=after) == {}


def _numbers(
    found: Mapping[str, Sequence[RecordingState] | Sequence[RecordingView]],
) -> dict[str, str]:
    return {
        batch_id: "".join(one.recording_id[-1] for one in recordings)
        for batch_id, recordings in found.items()
    }
