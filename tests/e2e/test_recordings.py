"""The recordings door as the source document shows it, through a plain HTTP client."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sluice_devkit.assets import speech
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack

from .api import (
    MIB,
    PATIENCE_SECONDS,
    WAV,
    Account,
    catalog,
    events_of,
    eventually,
    noise,
    pieces,
    presign_body,
    problem,
    registration,
    sha256,
)

_BLOB_REF = re.compile(
    r"blob://s3/(?P<bucket>[a-z0-9-]+)/tenants/(?P<tenant>[a-z0-9_-]+)/recordings/\d{4}/\d\d/\d\d/"
    r"(?P<recording>rec_[a-z0-9]+)/(?P<name>[A-Za-z0-9._-]+)"
)


def recording_ids(answer: dict[str, Any]) -> list[str]:
    return [item["recording_id"] for item in answer["items"]]


@pytest.mark.parametrize("count", [1, 2, 10])
async def test_files_are_presigned_sent_described_and_completed(
    caller: Account, count: int
) -> None:
    bodies = [speech(0.2, seed=number) for number in range(count)]
    presigned = await caller.presign(*(f"call{number}.wav" for number in range(count)))

    assert set(presigned) == {"batch_id", "expires_in_seconds", "items"}
    assert re.fullmatch(r"rb_[a-z0-9]+", presigned["batch_id"])
    assert 600 - PATIENCE_SECONDS < presigned["expires_in_seconds"] <= 600
    assert len(presigned["items"]) == count
    for number, item in enumerate(presigned["items"]):
        assert set(item) == {"temp_id", "method", "upload_url", "required_headers", "blob_ref"}
        assert re.fullmatch(r"tmp_[a-z0-9]+", item["temp_id"])
        assert item["method"] == "PUT"
        assert item["upload_url"].startswith(f"{caller.stack.url}/mock-upload/")
        assert item["required_headers"] == {"Content-Type": WAV}
        reference = _BLOB_REF.fullmatch(item["blob_ref"])
        assert reference
        assert reference["tenant"] == caller.tenant
        assert reference["name"] == f"call{number}.wav"
        sent = await caller.put(item, bodies[number])
        assert (sent.status_code, sent.content) == (201, b"")

    answer = await caller.register(presigned, data={"agent": "Ada", "tags": ["a", {"b": None}]})
    assert answer.status_code == 202
    registered = answer.json()
    ids = recording_ids(registered)
    assert registered == {
        "batch_id": presigned["batch_id"],
        "status": "pending",
        "items": [
            {"client_item_id": f"item-{number}", "recording_id": one, "status": "queued"}
            for number, one in enumerate(ids, start=1)
        ],
        "poll": {"href": f"/batches/{presigned['batch_id']}"},
    }
    assert len(set(ids)) == count

    batch = await caller.completed(registered["poll"]["href"].rpartition("/")[2])
    assert {item["status"] for item in batch["items"]} == {"completed"}
    assert recording_ids(batch) == ids
    for recording_id, body in zip(ids, bodies, strict=True):
        assert await caller.download(recording_id) == body


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_is_all_a_client_needs(stack: Stack, tmp_path: Any) -> None:
    audio = tmp_path / "call1.wav"
    audio.write_bytes(speech(0.3))

    async def curl(command: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            shlex.split(command),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    json_header = '-H "Content-Type: application/json"'
    presigned = json.loads(
        await curl(
            f'curl -fsS -X POST {stack.url}/uploads/presign -H "X-API-Key: test_12345" '
            f"{json_header} -d "
            '\'{"items": [{"filename": "call1.wav", "contentType": "audio/wav"}]}\''
        )
    )
    (item,) = presigned["items"]
    assert (
        await curl(
            f"curl -sS -X PUT '{item['upload_url']}' -H 'Content-Type: audio/wav' "
            f"--data-binary @{audio} -w '%{{http_code}}'"
        )
        == "201"
    )
    body = json.dumps(registration(presigned))
    answer = json.loads(
        await curl(
            f'curl -fsS -X POST {stack.url}/recordings -H "X-API-Key: test_12345" '
            f"{json_header} -d '{body}'"
        )
    )

    async def poll() -> dict[str, Any]:
        href = answer["poll"]["href"]
        found: dict[str, Any] = json.loads(
            await curl(f'curl -fsS {stack.url}{href} -H "X-API-Key: test_12345"')
        )
        return found

    await eventually(poll, lambda found: found["status"] == "completed")
    (recording_id,) = recording_ids(answer)
    copy = tmp_path / "copy.wav"
    await curl(f"curl -fsSL '{stack.url}/media/{recording_id}?key=test_12345' -o {copy}")
    assert copy.read_bytes() == audio.read_bytes()
    assert "<html" in await curl(f"curl -fsS '{stack.url}/ui?key=test_12345'")


async def test_a_completed_batch_takes_more_recordings(caller: Account) -> None:
    first = await caller.uploaded(noise(100))
    batch_id = first["batch_id"]
    await caller.register(first)
    await caller.completed(batch_id)

    second = await caller.presign("later.wav", batch_id=batch_id)
    assert second["batch_id"] == batch_id
    assert (await caller.put(second["items"][0], noise(100, seed=1))).status_code == 201
    answer = await caller.register(second)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert len((await caller.completed(batch_id))["items"]) == 2


async def test_blobs_of_one_batch_may_be_described_one_by_one(caller: Account) -> None:
    presigned = await caller.uploaded(noise(10), noise(10, seed=1))
    for item in presigned["items"]:
        answer = await caller.register({**presigned, "items": [item]})
        assert answer.status_code == 202
    assert len((await caller.completed(presigned["batch_id"]))["items"]) == 2


class TestLists:
    async def test_batches_come_page_by_page_newest_first(self, caller: Account) -> None:
        made = [(await caller.presign(f"{number}.wav"))["batch_id"] for number in range(5)]
        found: list[str] = []
        path, pages = "/batches?limit=2", 0
        while path:
            answer = await caller.http.get(path)
            assert answer.status_code == 200
            page = answer.json()
            assert set(page) == {"items", "next_cursor"}
            assert all(item["status"] == "open" for item in page["items"])
            found += [item["batch_id"] for item in page["items"]]
            path, pages = answer.links.get("next", {}).get("url", ""), pages + 1
            assert bool(path) == (page["next_cursor"] is not None)
        assert (found, pages) == (made[::-1], 3)

    async def test_a_page_holds_what_came_before_it_even_when_more_is_made(
        self, caller: Account
    ) -> None:
        made = [(await caller.presign(f"{number}.wav"))["batch_id"] for number in range(3)]
        first = (await caller.http.get("/batches", params={"limit": 1})).json()
        await caller.presign("newer.wav")
        rest = (await caller.http.get("/batches", params={"cursor": first["next_cursor"]})).json()
        assert [item["batch_id"] for item in rest["items"]] == made[1::-1]
        assert rest["next_cursor"] is None

    async def test_batches_can_be_asked_for_by_status(self, caller: Account) -> None:
        done = await caller.uploaded(noise(10))
        await caller.register(done)
        await caller.completed(done["batch_id"])
        waiting = await caller.presign("waiting.wav")

        async def ids(status: str) -> list[str]:
            answer = await caller.http.get("/batches", params={"status": status})
            return [item["batch_id"] for item in answer.json()["items"]]

        assert await ids("completed") == [done["batch_id"]]
        assert await ids("open") == [waiting["batch_id"]]
        assert await ids("failed") == []

    async def test_jsonui_shows_batches_with_their_recordings_newest_first(
        self, caller: Account
    ) -> None:
        older = await caller.uploaded(noise(7))
        answer = await caller.register(older, data={"agent": "Grace"})
        await caller.completed(older["batch_id"])
        newer = await caller.presign("newer.wav")

        shown = (await caller.http.get("/jsonui", params={"key": caller.key})).json()
        assert [batch["batch_id"] for batch in shown] == [newer["batch_id"], older["batch_id"]]
        assert set(shown[1]) == {"batch_id", "status", "created_at", "recordings"}
        (recording,) = shown[1]["recordings"]
        (recording_id,) = recording_ids(answer.json())
        expected = {
            "recording_id": recording_id,
            "client_item_id": "item-1",
            "status": "completed",
            "metadata": {"agent": "Grace"},
            "size_bytes": 7,
            "content_type": WAV,
            "media_url": f"/media/{recording_id}",
        }
        assert expected.items() <= recording.items()

    @pytest.mark.parametrize("path", ["/jsonui", "/ui"])
    async def test_the_page_takes_the_key_from_its_address(
        self, caller: Account, path: str
    ) -> None:
        async with plain_client(base_url=caller.stack.url) as browser:
            assert (await browser.get(path, params={"key": caller.key})).status_code == 200
            assert (await browser.get(path)).status_code == 401


class TestIdempotency:
    @pytest.mark.parametrize("key", ["k" * 8, "é" * 255], ids=["shortest", "longest"])
    async def test_the_same_registration_gives_the_first_answer_and_makes_nothing(
        self, caller: Account, key: str
    ) -> None:
        presigned = await caller.uploaded(noise(10), noise(10, seed=1))
        first = await caller.register(presigned, key=key)
        assert first.status_code == 202
        await caller.completed(presigned["batch_id"])
        async with caller.nothing_left():
            second = await caller.register(presigned, key=key)
        assert (second.status_code, second.json()) == (first.status_code, first.json())

    async def test_the_same_key_for_other_items_is_refused(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10))
        await caller.register(presigned, key="the-same-key")
        await caller.completed(presigned["batch_id"])
        other = await caller.uploaded(noise(10, seed=1))
        async with caller.nothing_left():
            problem(await caller.register(other, key="the-same-key"), 422, "idempotency-key-reused")
            problem(
                await caller.register(presigned, key="the-same-key", data={"other": True}),
                422,
                "idempotency-key-reused",
            )

    async def test_a_key_belongs_to_its_tenant(self, caller: Account, stranger: Account) -> None:
        for one in (caller, stranger):
            answer = await one.register(await one.uploaded(noise(10)), key="a-popular-key")
            assert answer.status_code == 202

    async def test_a_refused_registration_does_not_use_up_its_key(self, caller: Account) -> None:
        presigned = await caller.presign("call.wav")
        problem(await caller.register(presigned, key="tried-early"), 409, "blob-not-uploaded")
        assert (await caller.put(presigned["items"][0], noise(10))).status_code == 201
        assert (await caller.register(presigned, key="tried-early")).status_code == 202

    async def test_a_presign_is_repeated_under_its_header(self, caller: Account) -> None:
        headers = {"Idempotency-Key": "presign-once"}
        first = await caller.presign("a.wav", "b.wav", headers=headers)
        async with caller.nothing_left():
            again = await caller.presign("a.wav", "b.wav", headers=headers)
            assert again.pop("expires_in_seconds") <= first.pop("expires_in_seconds")
            assert again == first
            other = await caller.http.post(
                "/uploads/presign", json=presign_body("c.wav"), headers=headers
            )
            problem(other, 422, "idempotency-key-reused")
        assert (await caller.put(first["items"][0], noise(10))).status_code == 201

    async def test_a_registration_is_repeated_under_its_header(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10))
        headers = {"Idempotency-Key": "register-once"}
        first = await caller.register(presigned, key="body-key-1", headers=headers)
        await caller.completed(presigned["batch_id"])
        async with caller.nothing_left():
            second = await caller.register(presigned, key="body-key-1", headers=headers)
            assert (second.status_code, second.json()) == (202, first.json())
            other = await caller.register(presigned, key="body-key-2", headers=headers)
            problem(other, 422, "idempotency-key-reused")

    async def test_requests_at_the_same_time_have_one_effect(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10))
        answers = await asyncio.gather(
            *(caller.register(presigned, key="all-at-once") for _ in range(8))
        )
        accepted = [answer.json() for answer in answers if answer.status_code == 202]
        assert accepted
        assert all(answer == accepted[0] for answer in accepted)
        for answer in answers:
            if answer.status_code != 202:
                assert problem(answer, 409, "request-in-progress")["retryable"]
        assert (await caller.footprint()).rows["recordings"] == 1

    async def test_presigns_at_the_same_time_make_one_batch(self, caller: Account) -> None:
        async def presign() -> httpx.Response:
            return await caller.http.post(
                "/uploads/presign",
                json=presign_body("a.wav"),
                headers={"Idempotency-Key": "all-at-once"},
            )

        answers = await asyncio.gather(*(presign() for _ in range(8)))
        batches = {answer.json()["batch_id"] for answer in answers if answer.is_success}
        assert len(batches) == 1
        assert {answer.status_code for answer in answers} <= {200, 409}
        rows = (await caller.footprint()).rows
        assert (rows["batches"], rows["uploads"]) == (1, 1)

    async def test_a_blob_becomes_one_recording_whoever_is_first(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10))
        answers = await asyncio.gather(*(caller.register(presigned) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
        assert (await caller.footprint()).rows["recordings"] == 1


class TestBodies:
    @pytest.mark.parametrize("size", [1, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 20 * MIB])
    @pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
    async def test_a_body_arrives_byte_for_byte(
        self, caller: Account, size: int, chunked: bool
    ) -> None:
        body = noise(size)
        presigned = await caller.presign("call.wav")
        sent = await caller.put(presigned["items"][0], pieces(body) if chunked else body)
        assert (sent.status_code, sent.content) == (201, b"")
        answer = await caller.register(presigned)
        await caller.completed(presigned["batch_id"])
        (recording_id,) = recording_ids(answer.json())
        assert sha256(await caller.download(recording_id)) == sha256(body)
        assert (await caller.footprint()).sessions == frozenset()

    async def test_uploads_at_the_same_time_do_not_mix(self, caller: Account) -> None:
        bodies = [noise(300_000, seed=number) for number in range(10)]
        presigned = await caller.presign(*(f"{number}.wav" for number in range(10)))
        sent = await asyncio.gather(
            *(caller.put(*pair) for pair in zip(presigned["items"], bodies, strict=True))
        )
        assert {answer.status_code for answer in sent} == {201}
        answer = await caller.register(presigned)
        await caller.completed(presigned["batch_id"])
        for recording_id, body in zip(recording_ids(answer.json()), bodies, strict=True):
            assert await caller.download(recording_id) == body


class TestDeleting:
    async def test_rows_are_gone_at_once_and_objects_soon(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10), noise(9 * MIB, seed=1))
        answer = await caller.register(presigned)
        await caller.completed(presigned["batch_id"])
        await eventually(caller.footprint, lambda found: len(found.objects) == 6)
        await caller.presign("never-sent.wav", batch_id=presigned["batch_id"])

        gone = await caller.http.delete(f"/batches/{presigned['batch_id']}")
        assert (gone.status_code, gone.content) == (204, b"")
        rows = (await caller.footprint()).rows
        assert (rows["batches"], rows["uploads"], rows["recordings"]) == (0, 0, 0)
        problem(await caller.http.get(f"/batches/{presigned['batch_id']}"), 404, "batch-not-found")
        for recording_id in recording_ids(answer.json()):
            problem(await caller.http.get(f"/media/{recording_id}"), 404, "recording-not-found")
        problem(
            await caller.http.delete(f"/batches/{presigned['batch_id']}"), 404, "batch-not-found"
        )
        await eventually(
            caller.footprint, lambda found: not found.objects and not found.rows["objects"]
        )

    async def test_an_upload_of_a_deleted_batch_is_refused(self, caller: Account) -> None:
        presigned = await caller.presign("call.wav")
        await caller.http.delete(f"/batches/{presigned['batch_id']}")
        async with caller.nothing_left():
            problem(await caller.put(presigned["items"][0], noise(10)), 404, "upload-not-found")

    async def test_bytes_on_their_way_into_a_deleted_batch_do_not_stay(
        self, caller: Account
    ) -> None:
        presigned = await caller.presign("call.wav")
        (item,) = presigned["items"]
        body, deleted = noise(9 * MIB), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:1000]
            await deleted.wait()
            yield body[1000:]

        sending = asyncio.create_task(caller.put(item, slowly()))
        await caller.wait_until_claimed(item)
        assert (await caller.http.delete(f"/batches/{presigned['batch_id']}")).status_code == 204
        deleted.set()
        await sending
        found = await eventually(
            caller.footprint,
            lambda found: not found.objects and not found.sessions and not found.rows["objects"],
        )
        assert found.rows["uploads"] == 0


class TestEveryAnswer:
    async def test_upload_urls_ignore_proxies_nobody_trusts(self, caller: Account) -> None:
        forged = {
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Forwarded": "host=evil.example;proto=https",
        }
        presigned = await caller.presign("call.wav", headers=forged)
        assert presigned["items"][0]["upload_url"].startswith(caller.stack.url + "/")

    async def test_the_correlation_id_of_a_request_comes_back(self, caller: Account) -> None:
        name, mine = "sluice-correlation-id", f"mine-{uuid.uuid4().hex}"
        answer = await caller.http.get("/batches", headers={name: mine})
        assert answer.headers[name] == mine
        refused = await caller.http.get("/batches/rb_unknown00", headers={name: mine})
        assert problem(refused, 404)
        assert refused.headers[name] == mine

    @pytest.mark.parametrize("forged", ["a b", "x" * 65, "<script>", ""])
    async def test_a_malformed_correlation_id_is_replaced(
        self, caller: Account, forged: str
    ) -> None:
        name = "sluice-correlation-id"
        answer = await caller.http.get("/batches", headers={name: forged})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers[name])

    async def test_a_correlation_id_reaches_the_events_it_caused(self, caller: Account) -> None:
        mine = f"mine-{uuid.uuid4().hex}"
        presigned = await caller.presign("a.wav", headers={"sluice-correlation-id": mine})

        found = await eventually(
            lambda: events_of(caller, presigned["batch_id"]), lambda found: len(found) == 2
        )
        assert {event["correlationid"] for event in found} == {mine}


async def test_statuses_are_kept_with_their_history(caller: Account) -> None:
    presigned = await caller.uploaded(noise(10))
    answer = await caller.register(presigned)
    await caller.completed(presigned["batch_id"])
    query = "select status from status_history where id = %s order by sequence"

    async def history(of: str) -> list[str]:
        return [row[0] for row in await catalog(caller.stack, query, of)]

    (recording_id,) = recording_ids(answer.json())
    assert await history(recording_id) == ["queued", "processing", "completed"]
    assert await history(presigned["batch_id"]) == ["open", "pending", "processing", "completed"]
