"""Direct uploads, from outside: bytes that go to the store without passing through Sluice."""

import asyncio
import gzip
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice_devkit.assets import speech
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import object_store

from .api import MIB, Account, account, catalog, eventually, noise, problem, sha256
from .direct import (
    OBJECTS,
    PART,
    UPLOADS,
    begin,
    complete,
    in_store,
    key_of,
    send,
    send_parts,
    session_of,
    state,
    statuses,
    stored,
)


class TestOnePut:
    async def test_bytes_are_registered_once_they_are_proven(self, caller: Account) -> None:
        data = noise(100_000, seed=50)
        begun = await begin(caller, size_bytes=len(data), metadata={"take": 3})
        assert begun["status"] == "created"
        assert begun["object_id"] == "obj_" + begun["upload_id"].removeprefix("upl_")
        assert "multipart" not in begun
        await send(begun["put"]["url"], data, begun["put"]["headers"])
        answer = await complete(caller, begun, sha256=sha256(data))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] == "registered"
        assert (body["size_bytes"], body["sha256"]) == (len(data), sha256(data))
        assert body["metadata"] == {"take": 3}
        shown = (await caller.http.get(f"{OBJECTS}/{begun['object_id']}")).json()
        assert (shown["size_bytes"], shown["sha256"]) == (len(data), sha256(data))
        assert shown["state"] == "stored"
        assert shown["filename"] == "talk.bin"
        assert shown["verified_at"]
        played = await caller.http.get(f"{OBJECTS}/{begun['object_id']}/content?proxy=1")
        assert played.content == data
        link = await caller.http.get(f"{OBJECTS}/{begun['object_id']}/content?proxy=0")
        assert link.status_code == 307

    async def test_completing_twice_is_completing_once(self, caller: Account) -> None:
        first = await stored(caller, noise(1000, seed=51))
        again = await complete(caller, first)
        assert again.status_code == 200
        assert again.json() == {name: first[name] for name in again.json()}
        changes = await statuses(caller, first)
        assert [one for one in changes if one.startswith("upload.")] == [
            "upload.created",
            "upload.uploading",
            "upload.stored",
            "upload.registered",
        ]

    async def test_a_repeat_that_names_other_bytes_changes_nothing(self, caller: Account) -> None:
        data = noise(1000, seed=49)
        first = await stored(caller, data)
        answer = await complete(caller, first, sha256=sha256(b"other bytes"))
        assert sha256(data) in problem(answer, 409, "digest-differs")["detail"]
        assert (await complete(caller, first, sha256=sha256(data))).status_code == 200
        assert await in_store(caller.stack, await key_of(caller, first))

    @pytest.mark.parametrize("compressed", [False, True])
    async def test_bytes_that_are_said_to_be_compressed_are_what_they_are(
        self, caller: Account, compressed: bool
    ) -> None:
        data = gzip.compress(bytes(50_000)) if compressed else noise(1000, seed=48)
        begun = await begin(caller, size_bytes=len(data), sha256=sha256(data))
        await send(begun["put"]["url"], data, {"Content-Encoding": "gzip"})
        answer = await complete(caller, begun)
        assert answer.status_code == 200, answer.text
        assert answer.json()["sha256"] == sha256(data)

    async def test_many_completions_at_once_are_one(self, caller: Account) -> None:
        data = noise(200_000, seed=52)
        begun = await begin(caller, size_bytes=len(data))
        await send(begun["put"]["url"], data)
        answers = await asyncio.gather(*(complete(caller, begun) for _ in range(5)))
        assert {one.status_code for one in answers} == {200}
        assert len({one.text for one in answers}) == 1

    async def test_nothing_uploaded_is_nothing_to_complete(self, caller: Account) -> None:
        begun = await begin(caller, size_bytes=10)
        problem(await complete(caller, begun), 409, "not-uploaded")
        await send(begun["put"]["url"], b"0123456789")
        assert (await complete(caller, begun)).status_code == 200

    @pytest.mark.parametrize("promised", ["at first", "at last", "both"])
    async def test_another_digest_ends_the_upload_and_its_bytes(
        self, caller: Account, promised: str
    ) -> None:
        data, wrong = noise(5000, seed=53), sha256(b"something else")
        early = {"sha256": wrong if promised == "at first" else sha256(data)}
        begun = await begin(
            caller, size_bytes=len(data), **({} if promised == "at last" else early)
        )
        await send(begun["put"]["url"], data)
        late = {} if promised == "at first" else {"sha256": wrong}
        problem(await complete(caller, begun, **late), 422, "digest-mismatch")
        assert not await in_store(caller.stack, await key_of(caller, begun))
        problem(await complete(caller, begun, **late), 422, "digest-mismatch")
        now = await state(caller, begun)
        assert (now["status"], now["failure_code"]) == ("failed", "digest-mismatch")
        problem(await caller.http.get(f"{OBJECTS}/{begun['object_id']}"), 404)

    @pytest.mark.parametrize("sent", [0, 99, 101])
    async def test_another_size_ends_the_upload_and_its_bytes(
        self, caller: Account, sent: int
    ) -> None:
        begun = await begin(caller, size_bytes=100)
        await send(begun["put"]["url"], noise(sent, seed=54))
        problem(await complete(caller, begun), 422, "size-mismatch")
        assert not await in_store(caller.stack, await key_of(caller, begun))

    async def test_its_url_changes_nothing_any_more_once_it_is_registered(
        self, caller: Account
    ) -> None:
        """Signatures cannot be called back: the one for this upload is still good."""
        data = noise(3000, seed=55)
        done = await stored(caller, data)
        await send(done["put"]["url"], noise(3000, seed=56), done["put"]["headers"])
        content = f"{OBJECTS}/{done['object_id']}/content?proxy=1"
        assert (await caller.http.get(content)).content == data
        assert (await complete(caller, done, sha256=sha256(data))).status_code == 200
        assert (await caller.http.get(content)).content == data

    async def test_a_url_serves_one_object_alone(self, caller: Account) -> None:
        begun = await begin(caller, size_bytes=4)
        async with plain_client() as anybody:
            url = begun["put"]["url"]
            elsewhere = await anybody.put(url.replace("talk.bin", "walk.bin"), content=b"1234")
            tampered = await anybody.put(url[:-4] + "0000", content=b"1234")
        assert elsewhere.status_code >= 400
        assert tampered.status_code >= 400


class TestParts:
    async def test_they_come_in_any_order(self, caller: Account) -> None:
        data = noise(20 * MIB, seed=60)
        begun = await begin(caller)
        assert begun["multipart"]["part_size"] == PART
        parts = await send_parts(begun, data)
        answer = await complete(caller, begun, parts=parts, sha256=sha256(data))
        assert answer.status_code == 200, answer.text
        assert answer.json()["size_bytes"] == len(data)
        played = await caller.http.get(f"{OBJECTS}/{begun['object_id']}/content?proxy=1")
        assert sha256(played.content) == sha256(data)

    async def test_the_store_knows_them_without_being_told(self, caller: Account) -> None:
        data = noise(2 * PART + 5, seed=61)
        begun = await begin(caller)
        sent = await send_parts(begun, data)
        now = await state(caller, begun)
        assert [(one["number"], one["size_bytes"]) for one in now["parts"]] == [
            (1, PART),
            (2, PART),
            (3, 5),
        ]
        assert [one["etag"] for one in now["parts"]] == [one["etag"].strip('"') for one in sent]
        store = object_store(caller.stack)
        found = await store.session_parts(*await session_of(caller, begun))
        await store.close()
        # The sweep goes by when they were sent.
        recently = datetime.now(UTC) - timedelta(minutes=10)
        assert [part.number for part in found or () if part.sent_at > recently] == [1, 2, 3]
        answer = await caller.http.post(f"{UPLOADS}/{begun['upload_id']}/complete")
        assert answer.status_code == 200, answer.text
        assert answer.json()["sha256"] == sha256(data)

    async def test_what_is_missing_can_still_be_sent(self, caller: Account) -> None:
        data = noise(65 * MIB, seed=62)
        begun = await begin(caller, size_bytes=len(data))
        urls = begun["multipart"]["parts"]
        assert [one["number"] for one in urls] == list(range(1, 10))
        await send(urls[0]["url"], data[:PART])
        await send(urls[2]["url"], data[2 * PART : 3 * PART])
        problem(await complete(caller, begun), 409, "part-missing")
        there = {one["number"] for one in (await state(caller, begun))["parts"]}
        assert there == {1, 3}
        missing = [number for number in range(1, 10) if number not in there]
        answer = await caller.http.post(
            f"{UPLOADS}/{begun['upload_id']}/parts", json={"numbers": missing}
        )
        assert answer.status_code == 200, answer.text
        fresh = {one["number"]: one["url"] for one in answer.json()["parts"]}
        assert set(fresh) == set(missing)
        for number in missing[:-1]:
            await send(fresh[number], data[(number - 1) * PART : number * PART])
        problem(await complete(caller, begun), 409, "upload-incomplete")
        await send(fresh[9], data[8 * PART :])
        answer = await complete(caller, begun, sha256=sha256(data))
        assert answer.status_code == 200, answer.text

    async def test_a_wrong_list_leaves_the_upload_open(self, caller: Account) -> None:
        data = noise(PART + 100, seed=63)
        begun = await begin(caller)
        one, two = await send_parts(begun, data)
        wrong = {"number": 2, "etag": one["etag"]}
        absent = {"number": 7, "etag": one["etag"]}
        problem(await complete(caller, begun, parts=[one, wrong]), 409, "part-mismatch")
        problem(await complete(caller, begun, parts=[two, one]), 422, "part-order-wrong")
        problem(await complete(caller, begun, parts=[one, one]), 422, "part-order-wrong")
        problem(await complete(caller, begun, parts=[one, absent]), 409, "part-missing")
        problem(await complete(caller, begun, parts=[]), 422)
        assert (await state(caller, begun))["status"] == "uploading"
        assert (await complete(caller, begun, parts=[one, two])).status_code == 200

    async def test_small_parts_are_refused_before_the_store_gives_the_rest_up(
        self, caller: Account
    ) -> None:
        begun = await begin(caller)
        urls = [one["url"] for one in begun["multipart"]["parts"]]
        await send(urls[0], b"small")
        await send(urls[1], b"last")
        problem(await complete(caller, begun), 422, "part-too-small")
        now = await state(caller, begun)
        assert (now["status"], len(now["parts"])) == ("uploading", 2)

    async def test_a_session_the_store_lost_begins_anew(self, caller: Account) -> None:
        data = noise(PART + 7, seed=65)
        begun = await begin(caller)
        await send(begun["multipart"]["parts"][0]["url"], data[:PART])
        store = object_store(caller.stack)
        await store.end_session(*await session_of(caller, begun))
        await store.close()
        assert (await state(caller, begun))["parts"] == []
        problem(await complete(caller, begun), 409, "not-uploaded")
        answers = await asyncio.gather(
            *(
                caller.http.post(f"{UPLOADS}/{begun['upload_id']}/parts", json={"numbers": [1, 2]})
                for _ in range(3)
            )
        )
        for answer in answers:
            assert answer.status_code == 200, answer.text
        parts = answers[-1].json()["parts"]
        await send(parts[0]["url"], data[:PART])
        await send(parts[1]["url"], data[PART:])
        answer = await complete(caller, begun)
        assert answer.status_code == 200, answer.text
        assert answer.json()["sha256"] == sha256(data)
        assert (await caller.footprint()).sessions == frozenset()

    async def test_numbers_no_part_can_have_are_refused(self, caller: Account) -> None:
        begun = await begin(caller, size_bytes=65 * MIB)
        path = f"{UPLOADS}/{begun['upload_id']}/parts"
        problem(await caller.http.post(path, json={"numbers": [10]}), 422, "no-such-part")
        problem(await caller.http.post(path, json={"numbers": []}), 422, "part-numbers-missing")
        for numbers in ([0], [10_001], list(range(1, 1002)), "1"):
            problem(await caller.http.post(path, json={"numbers": numbers}), 422)


class TestLife:
    async def test_fresh_urls_are_there_for_one_put_too(self, caller: Account) -> None:
        data = noise(50, seed=70)
        begun = await begin(caller, size_bytes=len(data))
        answer = await caller.http.post(f"{UPLOADS}/{begun['upload_id']}/parts")
        assert answer.status_code == 200, answer.text
        await send(answer.json()["put"]["url"], data)
        assert (await state(caller, begun))["status"] == "uploading"
        assert (await complete(caller, begun)).status_code == 200
        problem(
            await caller.http.post(f"{UPLOADS}/{begun['upload_id']}/parts"), 409, "upload-ended"
        )

    async def test_the_same_request_is_the_same_upload(self, caller: Account) -> None:
        once = {"Idempotency-Key": uuid.uuid4().hex}
        first = await begin(caller, once)
        again = await begin(caller, once)
        assert again["upload_id"] == first["upload_id"]
        data = noise(100, seed=71)
        await send(again["multipart"]["parts"][0]["url"], data)
        body = {"filename": "other.bin", "content_type": "audio/wav"}
        other = await caller.http.post(UPLOADS, json=body, headers=once)
        problem(other, 422, "idempotency-key-reused")
        assert (await complete(caller, first)).status_code == 200
        third = await begin(caller, once)
        assert third["status"] == "registered"
        assert "put" not in third
        assert "multipart" not in third
        assert (await caller.footprint()).sessions == frozenset()

    async def test_an_upload_that_is_cancelled_leaves_nothing(self, caller: Account) -> None:
        whole = await begin(caller, size_bytes=4)
        await send(whole["put"]["url"], b"1234")
        parts = await begin(caller)
        await send(parts["multipart"]["parts"][0]["url"], noise(PART, seed=72))
        for begun in (whole, parts):
            path = f"{UPLOADS}/{begun['upload_id']}"
            for _ in range(2):
                answer = await caller.http.delete(path)
                assert (answer.status_code, answer.content) == (204, b"")
            assert (await state(caller, begun))["status"] == "cancelled"
            problem(await complete(caller, begun), 409, "upload-ended")

        def is_empty(left: Any) -> bool:
            return not left.objects and not left.sessions

        await eventually(caller.footprint, is_empty)

    async def test_a_registered_upload_is_removed_altogether(self, caller: Account) -> None:
        done = await stored(caller, noise(300, seed=73))
        assert (await caller.http.delete(f"{UPLOADS}/{done['upload_id']}")).status_code == 204
        problem(await caller.http.get(f"{UPLOADS}/{done['upload_id']}"), 404, "upload-not-found")
        problem(await caller.http.get(f"{OBJECTS}/{done['object_id']}"), 404, "object-not-found")
        await eventually(caller.footprint, lambda left: not left.objects)

    async def test_time_is_over_for_uploads_nobody_works_on(self, caller: Account) -> None:
        begun = await begin(caller)
        await send(begun["multipart"]["parts"][0]["url"], noise(10, seed=74))
        await catalog(
            caller.stack,
            "update direct_uploads set deadline = now() - interval '1 s' where upload_id = %s",
            begun["upload_id"],
        )
        await eventually(lambda: state(caller, begun), lambda now: now["status"] == "expired")
        await eventually(caller.footprint, lambda left: not left.sessions)
        problem(await complete(caller, begun), 409, "upload-ended")
        assert (await statuses(caller, begun))[-1] == "upload.expired"

    async def test_a_member_of_a_batch_becomes_a_recording(self, caller: Account) -> None:
        presigned = await caller.presign("first.wav")
        data = speech(0.5, seed=3)
        done = await stored(
            caller,
            data,
            batch_id=presigned["batch_id"],
            filename="second.wav",
            content_type="audio/wav",
        )
        answer = await caller.http.post(
            "/recordings",
            json={
                "batch_id": presigned["batch_id"],
                "idempotency_key": uuid.uuid4().hex,
                "items": [{"client_item_id": "b", "blob_ref": done["blob_ref"], "data": {"n": 1}}],
            },
        )
        assert answer.status_code == 202, answer.text
        recording_id = answer.json()["items"][0]["recording_id"]
        assert await caller.download(recording_id) == data
        await eventually(
            lambda: statuses(caller, done), lambda found: "recording.completed" in found
        )
        path = f"{UPLOADS}/{done['upload_id']}"
        problem(await caller.http.delete(path), 409, "upload-in-batch")
        assert (await caller.http.delete(f"/batches/{presigned['batch_id']}")).status_code == 204
        problem(await caller.http.get(path), 404)
        await eventually(caller.footprint, lambda left: not left.objects)

    async def test_open_uploads_go_with_their_batch(self, caller: Account) -> None:
        presigned = await caller.presign("first.wav")
        begun = await begin(caller, batch_id=presigned["batch_id"])
        assert begun["blob_ref"].startswith("blob://s3/")
        assert (await caller.http.delete(f"/batches/{presigned['batch_id']}")).status_code == 204
        problem(await complete(caller, begun), 404, "upload-not-found")
        await eventually(caller.footprint, lambda left: not left.sessions)


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"size_bytes": 0}, 422, "invalid-request"),
            ({"size_bytes": -1}, 422, "invalid-request"),
            ({"size_bytes": 2**63}, 422, "invalid-request"),
            ({"size_bytes": 5 * 1024**3 + 1}, 413, "body-too-large"),
            ({"sha256": "abc"}, 422, "invalid-request"),
            ({"filename": "a\r\nb"}, 422, "invalid-filename"),
            ({"filename": ".."}, 422, "invalid-filename"),
            ({"content_type": "audio"}, 422, "invalid-request"),
            ({"metadata": {"x": "y" * 70_000}}, 422, "metadata-too-large"),
            ({"batch_id": "rb_00000000"}, 404, "batch-not-found"),
            ({"surprise": 1}, 422, "invalid-request"),
        ],
    )
    async def test_what_cannot_be_is_refused_and_leaves_nothing(
        self, caller: Account, changes: dict[str, Any], status: int, code: str
    ) -> None:
        body = {"filename": "a.wav", "content_type": "audio/wav"} | changes
        async with caller.nothing_left():
            problem(await caller.http.post(UPLOADS, json=body), status, code)

    async def test_strangers_find_nothing(self, caller: Account, stranger: Account) -> None:
        done = await stored(caller, noise(20, seed=80))
        begun = await begin(caller)
        presigned = await caller.presign("a.wav")
        for one in (done, begun):
            path = f"{UPLOADS}/{one['upload_id']}"
            for answer in (
                await stranger.http.get(path),
                await stranger.http.get(path + "/timeline"),
                await stranger.http.post(path + "/parts", json={"numbers": [1]}),
                await stranger.http.post(path + "/complete"),
                await stranger.http.delete(path),
            ):
                problem(answer, 404, "upload-not-found")
        for rest in ("", "/content", "/waveform"):
            path = f"{OBJECTS}/{done['object_id']}{rest}"
            problem(await stranger.http.get(path), 404, "object-not-found")
        body = {"filename": "a.wav", "content_type": "audio/wav"}
        foreign = body | {"batch_id": presigned["batch_id"]}
        problem(await stranger.http.post(UPLOADS, json=foreign), 404, "batch-not-found")

    async def test_scopes_are_needed(self, stack: Stack) -> None:
        async with account(stack, ("recordings:read", "recordings:write")) as other:
            body = {"filename": "a.wav", "content_type": "audio/wav"}
            problem(await other.http.post(UPLOADS, json=body), 403, "forbidden")
            problem(await other.http.get(f"{OBJECTS}/obj_00000000"), 403, "forbidden")
