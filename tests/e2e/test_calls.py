"""The calls door, from outside: what a sales team sends, and what is seen of it."""

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sluice_contracts.topology import TASKS
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import bus

from .api import MIB, Account, catalog, eventually, make_key, problem, sha256, statuses_of
from .calls import (
    FIELDS,
    flac,
    history,
    kept,
    m4a,
    mp3,
    send,
    send_behind,
    shown,
    uploaded,
    wav,
)

# The same in every process that collects these tests.
NOBODY = "00000000-0000-4000-8000-000000000000"
MESSAGE = "Audio file uploaded successfully. Processing will begin shortly."


async def task_of(stack: Stack, call_id: str, priority: str = "normal") -> tuple[Any, Any]:
    """The newest task of a call, once it was published: its headers and its payload."""

    async def waiting() -> int:
        return int((await catalog(stack, "select count(*) from outbox"))[0][0])

    await eventually(waiting, lambda count: count == 0)
    async with bus(stack, "topology") as connection:
        subject = f"sluice.task.v1.transcription.{priority}.{call_id}"
        message = await connection.jetstream().get_last_msg(TASKS.name, subject)
    return message.headers, json.loads(message.data or b"")


class TestUploading:
    async def test_the_answer_is_that_of_the_source_document(self, caller: Account) -> None:
        answer = await send(caller, mp3())
        assert answer.status_code == 201, answer.text
        call_id = answer.json()["call_id"]
        assert uuid.UUID(call_id).version == 4
        assert answer.json() == {"call_id": call_id, "status": "uploaded", "message": MESSAGE}
        assert answer.headers["location"] == f"/api/v1/calls/{call_id}"
        assert (await caller.http.get(answer.headers["location"])).status_code == 200

    @pytest.mark.parametrize(
        ("data", "filename", "content_type"),
        [
            (mp3(), "call.mp3", "audio/mpeg"),
            (b"ID3\x04\x00\x00\x00\x00\x00\x00" + mp3(), "call.MP3", "audio/mpeg"),
            (wav(), "call.wav", "audio/wav"),
            (m4a(), "call.m4a", "audio/mp4"),
            (flac(), "My call, Tuesday.flac", "audio/flac"),
        ],
        ids=["mp3", "mp3 with a tag", "wav", "m4a", "flac"],
    )
    async def test_each_format_is_taken_and_played_as_it_came(
        self, caller: Account, data: bytes, filename: str, content_type: str
    ) -> None:
        path = f"/api/v1/calls/{await uploaded(caller, data, filename)}/audio"
        played = await caller.http.get(path, params={"proxy": "1"})
        assert (played.status_code, played.content) == (200, data)
        assert played.headers["content-type"] == content_type
        assert filename in played.headers["content-disposition"]
        link = await caller.http.get(path, params={"proxy": "0"})
        assert link.status_code == 307
        async with plain_client() as anybody:
            assert (await anybody.get(link.headers["location"])).content == data

    async def test_what_was_sent_is_shown(self, caller: Account) -> None:
        data = wav(seconds=1.5)
        before = datetime.now(UTC)
        call_id = await uploaded(caller, data, "call.wav", company_name="  Grüße & Söhne GmbH ")
        found = await shown(caller, call_id)
        assert found["status"] == "uploaded"
        created = datetime.fromisoformat(found["created_at"])
        assert before < created <= datetime.fromisoformat(found["uploaded_at"])
        assert found["updated_at"] == found["uploaded_at"]
        assert found["uploaded_by"]
        assert found["metadata"] == FIELDS | {"company_name": "Grüße & Söhne GmbH"}
        assert found["audio"] | {"duration_seconds": None} == {
            "s3_bucket": caller.stack.s3.bucket,
            "s3_key": f"{created.astimezone(UTC):%Y/%m/%d}/{call_id}.wav",
            "format": "wav",
            "file_size_bytes": len(data),
            "duration_seconds": None,
        }

        async def duration() -> float | None:
            seconds: float | None = (await shown(caller, call_id))["audio"]["duration_seconds"]
            return seconds

        assert await eventually(duration, lambda seconds: seconds is not None) == 1.5

    @pytest.mark.parametrize("size", [1, MIB, MIB + 1, 3 * MIB, 20 * MIB])
    @pytest.mark.parametrize("deliver", [send, send_behind])
    async def test_any_size_is_taken_with_fields_before_or_behind_the_file(
        self, caller: Account, deliver: Any, size: int
    ) -> None:
        data = mp3(max(size, 4), seed=size)
        answer = await deliver(caller, data)
        assert answer.status_code == 201, answer.text
        call_id = answer.json()["call_id"]
        assert (await shown(caller, call_id))["metadata"] == FIELDS
        played = await caller.http.get(f"/api/v1/calls/{call_id}/audio?proxy=1")
        assert sha256(played.content) == sha256(data)
        assert not (await kept(caller.stack))[1]

    async def test_a_bearer_token_is_as_good_as_the_header(self, caller: Account) -> None:
        async with plain_client(
            base_url=caller.stack.url, headers={"Authorization": f"Bearer {caller.key}"}
        ) as http:
            assert (await http.get("/api/v1/calls")).status_code == 200

    async def test_many_at_once_are_all_kept_apart(self, caller: Account) -> None:
        bodies = [mp3(2000 + number, seed=number) for number in range(20)]
        ids = await asyncio.gather(*(uploaded(caller, body) for body in bodies))
        for call_id, body in zip(ids, bodies, strict=True):
            played = await caller.http.get(f"/api/v1/calls/{call_id}/audio?proxy=1")
            assert played.content == body
        assert len(set(ids)) == len(bodies)


class TestTasks:
    async def test_the_task_is_that_of_the_source_document(self, caller: Account) -> None:
        call_id = await uploaded(caller, mp3())
        audio = (await shown(caller, call_id))["audio"]

        headers, task = await task_of(caller.stack, call_id)
        stamp = task.pop("timestamp")
        assert task == {
            "call_id": call_id,
            "s3_bucket": audio["s3_bucket"],
            "s3_key": audio["s3_key"],
            "format": "mp3",
        }
        assert datetime.fromisoformat(stamp).tzinfo
        assert headers["task_type"] == "transcription"
        assert headers["priority"] == "normal"
        assert headers["tenant"] == caller.tenant

    async def test_an_urgent_call_has_an_urgent_task(self, caller: Account) -> None:
        call_id = await uploaded(caller, mp3(), priority="high")
        headers, task = await task_of(caller.stack, call_id, "high")
        assert (headers["priority"], task["call_id"]) == ("high", call_id)


class TestLists:
    async def test_pages_follow_each_other_newest_first(self, caller: Account) -> None:
        ids = [await uploaded(caller, mp3(seed=number)) for number in range(5)]
        found, cursor = [], None
        while True:
            params = {"limit": "2", "call_type": "demo"} | ({"cursor": cursor} if cursor else {})
            answer = await caller.http.get("/api/v1/calls", params=params)
            page = answer.json()
            found += [one["call_id"] for one in page["items"]]
            cursor = page["next_cursor"]
            assert ("link" in answer.headers) == (cursor is not None)
            if cursor is None:
                break
        assert found == ids[::-1]

    async def test_they_are_narrowed_by_what_is_asked(self, caller: Account) -> None:
        one = await uploaded(caller, mp3(), company_name="One", call_type="support")
        two = await uploaded(caller, mp3(), company_name="Two")
        created = (await shown(caller, two))["created_at"]

        async def ids(**params: str) -> list[str]:
            answer = await caller.http.get("/api/v1/calls", params=params)
            assert answer.status_code == 200, answer.text
            return [one["call_id"] for one in answer.json()["items"]]

        assert await ids() == [two, one]
        assert await ids(company_name="One") == [one]
        assert await ids(call_type="demo") == [two]
        assert await ids(call_type="support", company_name="Two") == []
        assert await ids(status="uploaded") == [two, one]
        assert await ids(status="failed") == []
        assert await ids(**{"from": created}) == [two]
        assert await ids(to=created) == [one]
        later = datetime.fromisoformat(created) + timedelta(microseconds=1)
        assert await ids(**{"from": later.isoformat()}) == []

    async def test_questions_that_make_no_sense_are_refused(self, caller: Account) -> None:
        await uploaded(caller, mp3())
        await caller.presign("a.wav")
        await caller.presign("b.wav")
        other = (await caller.http.get("/batches?limit=1")).json()["next_cursor"]
        for query in (
            *("cursor=forged", f"cursor={other}", "limit=-1", "limit=201", "status=lost"),
            *("from=2026-11-03T09:30:00", "to=yesterday", "company_name=a%00b", "call_type=%00"),
        ):
            problem(await caller.http.get(f"/api/v1/calls?{query}"), 422)

    async def test_a_stranger_sees_nothing_and_changes_nothing(
        self, caller: Account, stranger: Account
    ) -> None:
        call_id = await uploaded(caller, mp3())
        path = f"/api/v1/calls/{call_id}"
        for method, place in (
            *(("GET", path), ("GET", path + "/audio"), ("GET", path + "/history")),
            ("DELETE", path),
        ):
            problem(await stranger.http.request(method, place), 404, "call-not-found")
        body = {"kind": "call", "id": call_id, "status": "transcribing"}
        problem(await stranger.http.post("/api/v1/status", json=body), 404, "call-not-found")
        assert (await stranger.http.get("/api/v1/calls")).json()["items"] == []
        assert (await shown(caller, call_id))["status"] == "uploaded"

    @pytest.mark.parametrize("call_id", ["none", NOBODY, "%00", "../health"])
    async def test_what_is_no_call_is_not_found(self, caller: Account, call_id: str) -> None:
        place = f"/api/v1/calls/{call_id.replace('/', '%2F')}"
        for method, path in (("GET", ""), ("GET", "/audio"), ("GET", "/history"), ("DELETE", "")):
            problem(await caller.http.request(method, place + path), 404)

    @pytest.mark.parametrize(
        ("scope", "doors"),
        [
            (
                "calls:read",
                [("GET", ""), ("GET", "/x"), ("GET", "/x/audio"), ("GET", "/x/history")],
            ),
            ("calls:write", [("POST", "/upload"), ("DELETE", "/x")]),
        ],
    )
    async def test_each_door_needs_its_scope(
        self, caller: Account, scope: str, doors: list[tuple[str, str]]
    ) -> None:
        both = {"calls:read", "calls:write", "recordings:read", "recordings:write", "admin"}
        key = await make_key(caller.stack, caller.tenant, both - {scope})
        async with plain_client(base_url=caller.stack.url) as http:
            for method, path in doors:
                url, headers = f"/api/v1/calls{path}", {"X-API-Key": key}
                problem(await http.request(method, url, headers=headers), 403, "forbidden")
                problem(await http.request(method, url), 401, "unauthorized")


class TestStatus:
    async def test_only_the_moves_of_the_table_are_made(self, caller: Account) -> None:
        call_id = await uploaded(caller, mp3())

        async def report(status: str) -> httpx.Response:
            body = {"kind": "call", "id": call_id, "status": status, "reason": f"so: {status}"}
            return await caller.http.post("/api/v1/status", json=body)

        problem(await report("completed"), 409, "illegal-transition")
        problem(await report("lost"), 422, "unknown-status")
        for status in ("transcribing", "transcribing", "failed"):
            assert (await report(status)).status_code == 200
        problem(await report("transcribed"), 409, "illegal-transition")
        for status in ("uploaded", "transcribing", "transcribed", "analyzing", "completed"):
            assert (await report(status)).status_code == 200
        problem(await report("uploaded"), 409, "illegal-transition")
        found = await shown(caller, call_id)
        assert found["status"] == "completed"
        assert found["updated_at"] > found["uploaded_at"]
        road = ["uploaded", "transcribing", "transcribed", "analyzing", "completed"]
        assert await history(caller, call_id) == ["uploaded", "transcribing", "failed", *road]

    async def test_history_says_from_where_why_and_who(self, caller: Account) -> None:
        call_id = await uploaded(caller, mp3())
        body = {"kind": "call", "id": call_id, "status": "failed", "reason": "no sound"}
        await caller.http.post("/api/v1/status", json=body)
        answer = await caller.http.get(f"/api/v1/calls/{call_id}/history")
        first, second = answer.json()["items"]
        assert first.keys() == {"sequence", "from", "to", "reason", "actor", "at"}
        assert (first["sequence"], first["from"], first["to"]) == (1, None, "uploaded")
        assert (second["sequence"], second["from"], second["to"]) == (2, "uploaded", "failed")
        assert (first["reason"], second["reason"]) == (None, "no sound")
        assert datetime.fromisoformat(first["at"]) < datetime.fromisoformat(second["at"])
        assert first["actor"]

    async def test_every_change_is_in_the_log(self, caller: Account) -> None:
        call_id = await uploaded(caller, mp3())
        body = {"kind": "call", "id": call_id, "status": "transcribing"}
        await caller.http.post("/api/v1/status", json=body)

        await eventually(
            lambda: statuses_of(caller, call_id),
            lambda found: found == ["uploaded", "transcribing"],
        )


class TestDeletion:
    async def test_a_deleted_call_is_gone_at_once_and_its_recording_soon(
        self, caller: Account
    ) -> None:
        call_id = await uploaded(caller, mp3())
        other = await uploaded(caller, mp3(seed=5))
        path = f"/api/v1/calls/{call_id}"
        answer = await caller.http.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        for place in (path, path + "/audio", path + "/history"):
            problem(await caller.http.get(place), 404, "call-not-found")
        problem(await caller.http.delete(path), 404, "call-not-found")
        listed = (await caller.http.get("/api/v1/calls")).json()["items"]
        assert [one["call_id"] for one in listed] == [other]

        async def traces() -> list[str]:
            return [key for key in (await kept(caller.stack))[0] if call_id in key]

        await eventually(traces, lambda found: found == [])
        query = "select upload_id from objects where tenant = %s"

        async def rows() -> list[tuple[Any, ...]]:
            return await catalog(caller.stack, query, caller.tenant)

        assert await eventually(rows, lambda found: len(found) == 1)
        assert (await caller.http.get(f"/api/v1/calls/{other}/audio?proxy=1")).status_code == 200

    async def test_news_of_a_deleted_call_that_comes_late_revives_nothing(
        self, caller: Account
    ) -> None:
        call_id = await uploaded(caller, mp3())
        await caller.http.delete(f"/api/v1/calls/{call_id}")
        query = "select upload_id from tombstones where upload_id = %s"
        upload_id = f"upl_{uuid.UUID(call_id).hex}"
        assert await catalog(caller.stack, query, upload_id) == [(upload_id,)]
        body = {"kind": "call", "id": call_id, "status": "transcribing"}
        problem(await caller.http.post("/api/v1/status", json=body), 404, "call-not-found")


async def test_a_key_for_calls_reports_on_calls_and_on_nothing_else(caller: Account) -> None:
    call_id = await uploaded(caller, mp3())
    key = await make_key(caller.stack, caller.tenant, ("calls:write",))
    headers = {"X-API-Key": key}

    async def report(kind: str, status: str) -> httpx.Response:
        body = {"kind": kind, "id": call_id, "status": status}
        return await caller.http.post("/api/v1/status", json=body, headers=headers)

    assert (await report("call", "transcribing")).status_code == 200
    problem(await report("chunk", "DONE"), 403, "forbidden")
    problem(await report("recording", "completed"), 403, "forbidden")
