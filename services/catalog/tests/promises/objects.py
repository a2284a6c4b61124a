"""What is promised of objects, keys, kept answers, the inbox and the history."""

from dataclasses import replace

import pytest

from sluice_catalog.domain import first_change
from sluice_contracts.statuses import Kind, RecordingStatus, UploadStatus
from sluice_runtime.errors import Rejected

from .values import ASKED, MINUTE, Open, batch, recording, stored, upload


class ObjectPromises:
    async def test_an_object_is_kept_as_it_was_first_told(self, open_work: Open) -> None:
        async with open_work() as work:
            one = stored(1, work.now())
            await work.objects.add([one, replace(one, etag="again")])
            await work.objects.add([replace(one, state="discarded")])
            elsewhere, other = "tenants/dev/elsewhere", "upl_00000009"
            await work.objects.add([replace(one, key=elsewhere), replace(one, upload_id=other)])
            await work.objects.add([])
            assert await work.objects.by_key(one.key) == one
            assert await work.objects.by_key(elsewhere) is None
            found = await work.objects.of_uploads([one.upload_id, "x"])
            assert found == {one.upload_id: one}

    async def test_a_discarded_object_stays_discarded_until_it_is_gone(
        self, open_work: Open
    ) -> None:
        async with open_work() as work:
            now = work.now()
            one, two = stored(1, now), stored(2, now)
            await work.objects.add([one, two])
            await work.objects.mark([one.upload_id], state="discarded")
            await work.objects.mark([one.upload_id, two.upload_id], state="damaged")
            await work.objects.mark([two.upload_id], verified_at=now)
            assert await work.objects.by_key(one.key) == replace(one, state="discarded")
            damaged = replace(two, state="damaged", verified_at=now)
            assert await work.objects.by_key(two.key) == damaged
            for key in (one.key, two.key, "x"):
                await work.objects.remove_discarded(key)
            assert await work.objects.by_key(one.key) is None
            assert await work.objects.by_key(two.key) == damaged

    async def test_owned_is_what_is_stored_or_expected_by_key(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            await work.objects.add([stored(2, now), replace(stored(4, now), state="discarded")])
            await work.uploads.add(
                [
                    upload(1, now),
                    replace(upload(3, now), status=UploadStatus.UPLOADING),
                    replace(upload(2, now), status=UploadStatus.REGISTERED),
                    replace(upload(5, now), status=UploadStatus.EXPIRED),
                ]
            )
            found = await work.objects.page("", 10)
            assert [(one.key[-1], one.state) for one in found] == [
                ("1", "expected"),
                ("2", "stored"),
                ("3", "expected"),
                ("4", "discarded"),
            ]
            assert await work.objects.page(found[1].key, 1) == [found[2]]
            both = await work.objects.find([found[0].key, found[1].key, "x"])
            assert sorted(both, key=lambda one: one.key) == found[:2]

    async def test_keys_are_in_the_order_of_their_bytes(self, open_work: Open) -> None:
        names = ["Z", "a", "a-b", "a/b", "a_b", "é", "世"]
        async with open_work() as work:
            now = work.now()
            await work.objects.add(
                [
                    replace(stored(n, now), key=f"tenants/{name}")
                    for n, name in enumerate(reversed(names))
                ]
            )
            found = [one.key.removeprefix("tenants/") for one in await work.objects.page("", 99)]
        assert found == sorted(names, key=str.encode)

    async def test_a_key_has_exactly_the_rights_it_was_given_last(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for scopes in (["a", "b"], ["b", "c"]):
                await work.keys.put("d" * 64, name="me", tenant="dev", scopes=scopes, at=now)
            found = await work.keys.resolve("d" * 64)
            assert found is not None
            assert (found.tenant, found.subject, found.scopes) == ("dev", "me", {"b", "c"})
            assert await work.keys.resolve("e" * 64) is None
            assert await work.keys.any_of(["e" * 64, "d" * 64])
            assert not await work.keys.any_of(["e" * 64])
            assert not await work.keys.any_of([])

    async def test_a_first_answer_is_kept_for_its_request_alone(self, open_work: Open) -> None:
        answer = {"items": [1, "ä"]}
        async with open_work() as work:
            now = work.now()
            assert await work.replays.find("dev", "s", ASKED) is None
            await work.replays.keep("dev", "s", ASKED, answer, now)  # type: ignore[arg-type]
            await work.commit()
        async with open_work() as work:
            assert await work.replays.find("dev", "s", ASKED) == answer
            assert await work.replays.find("other", "s", ASKED) is None
            assert await work.replays.find("dev", "t", ASKED) is None
            with pytest.raises(Rejected) as caught:
                await work.replays.find(
                    "dev", "s", ASKED.model_copy(update={"fingerprint": "1" * 64})
                )
            assert caught.value.code == "idempotency-key-reused"
            await work.replays.forget(now)
            assert await work.replays.find("dev", "s", ASKED) == answer
            await work.replays.forget(now + MINUTE)
            assert await work.replays.find("dev", "s", ASKED) is None

    async def test_an_event_is_new_once(self, open_work: Open) -> None:
        async with open_work() as work:
            assert await work.inbox.new_of(["e1", "e1"]) == {"e1"}
            assert await work.inbox.new_of(["e1", "e2"]) == {"e2"}
        async with open_work() as work:
            assert await work.inbox.new_of(["e1", "e2", "e1"]) == {"e1", "e2"}
            await work.commit()
        async with open_work() as work:
            assert await work.inbox.new_of(["e2", "e3"]) == {"e3"}
            assert await work.inbox.new_of([]) == set()
            assert await work.inbox.forget() is False

    async def test_two_changes_with_one_number_are_refused(self, open_work: Open) -> None:
        change = first_change(Kind.BATCH, "dev", "rb_00000001", "rb_00000001", "open")
        async with open_work() as work:
            work.record([change], actor="me", at=work.now())
            await work.commit()
        async with open_work() as work:
            work.record([change], actor="me", at=work.now())
            with pytest.raises(Exception, match=r"uq_status_history_step|one number"):
                await work.commit()

    async def test_a_deleted_batch_takes_all_it_holds_with_it(self, open_work: Open) -> None:
        async with open_work() as work:
            now = work.now()
            for n in (1, 2):
                await work.batches.add(batch(n, now))
                await work.uploads.add([upload(n, now, in_batch=n)])
                await work.recordings.add([recording(n, now, in_batch=n)])
                await work.objects.add([stored(n, now)])
            await work.batches.delete("rb_00000001")
            assert await work.uploads.find("upl_00000001") is None
            assert await work.recordings.lock("rec_00000001") is None
            assert await work.objects.by_key(stored(1, now).key) is not None
            assert await work.batches.contents("rb_00000002") == ([RecordingStatus.QUEUED], False)
