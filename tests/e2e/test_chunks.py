"""The chunks door, from outside: what a recorder sends, and what is seen of it."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.http import plain_client

from .api import Account, catalog, eventually, noise, problem, sha256, statuses_of
from .recorders import START, Recorder, administrator, device_body, recorder, starts

# The same in every process that collects these tests.
ELSEWHERE = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(loop_scope="session")
async def device(caller: Account) -> AsyncIterator[Recorder]:
    """A recorder of the tenant of `caller`."""
    body = device_body()
    async with administrator(caller) as admin:
        added = await admin.post("/api/v1/admin/devices", json=body)
    assert added.status_code == 201, added.text
    async with recorder(caller.stack, body) as one:
        yield one


class TestUploading:
    async def test_the_answer_is_that_of_the_source_document(self, device: Recorder) -> None:
        answer = await device.send(noise(2000))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] == "ok"
        assert body["queued"] is True
        uuid.UUID(body["chunk_id"])
        place = f"audio/{device.point_id}/{device.register_id}/2026-11-03/09/"
        assert body["stored_path"].startswith(place + "chunk_")
        assert body["stored_path"].endswith(f"_{body['chunk_id']}.ogg")

    async def test_the_bytes_are_played_as_they_came(
        self, caller: Account, device: Recorder
    ) -> None:
        data = noise(70_000, seed=1)
        chunk_id = await device.uploaded(data)
        for http in (device.http, caller.http):
            answer = await http.get(f"/api/v1/chunks/{chunk_id}/audio?proxy=1")
            assert answer.status_code == 200
            assert answer.content == data
            assert answer.headers["content-type"] == "audio/ogg"
        told = await caller.http.head(f"/api/v1/chunks/{chunk_id}/audio?proxy=0")
        assert (told.status_code, told.headers["content-length"]) == (200, str(len(data)))
        link = await caller.http.get(f"/api/v1/chunks/{chunk_id}/audio?proxy=0")
        assert link.status_code == 307
        async with plain_client() as anybody:
            assert (await anybody.get(link.headers["location"])).content == data

    async def test_what_was_claimed_is_shown(self, caller: Account, device: Recorder) -> None:
        data = noise(3000, seed=2)
        chunk_id = await device.uploaded(data, seconds=12.5)
        shown = (await caller.http.get(f"/api/v1/chunks/{chunk_id}")).json()
        assert shown["chunk_id"] == chunk_id
        assert shown["device_id"] == device.device_id
        assert datetime.fromisoformat(shown["start_ts"]) == START
        assert shown["duration_sec"] == 12.5
        assert (shown["codec"], shown["sample_rate"], shown["channels"]) == ("opus", 48000, 1)
        assert shown["file_size_bytes"] == len(data)
        assert shown["sha256"] == sha256(data)
        assert shown["status"] == "QUEUED"

    async def test_the_same_chunk_again_is_the_same_chunk(
        self, caller: Account, device: Recorder
    ) -> None:
        data = noise(4000, seed=3)
        first = await device.uploaded(data)
        answers = await asyncio.gather(*(device.send(data) for _ in range(4)))
        assert {answer.json()["chunk_id"] for answer in answers} == {first}
        found = (await caller.http.get("/api/v1/chunks")).json()["items"]
        assert [one["chunk_id"] for one in found] == [first]

    async def test_other_bytes_or_another_start_are_another_chunk(self, device: Recorder) -> None:
        one = await device.uploaded(noise(100, seed=4))
        two = await device.uploaded(noise(100, seed=5))
        three = await device.uploaded(noise(100, seed=4), START + timedelta(seconds=1))
        assert len({one, two, three}) == 3

    async def test_fields_may_come_behind_the_file(self, device: Recorder) -> None:
        data = noise(200_000, seed=6)
        boundary = "late"
        file = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="chunk_file"; '
            'filename="a.ogg"\r\n\r\n'
        ).encode() + data
        fields = "".join(
            f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'
            for name, value in device.fields().items()
        )
        answer = await device.http.post(
            "/api/v1/chunks",
            content=file + fields.encode() + f"\r\n--{boundary}--\r\n".encode(),
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        assert answer.status_code == 200, answer.text

    async def test_a_chunk_of_several_mebibytes_is_taken(
        self, caller: Account, device: Recorder
    ) -> None:
        data = noise(9 * 1024**2, seed=7)
        chunk_id = await device.uploaded(data)
        answer = await caller.http.get(f"/api/v1/chunks/{chunk_id}/audio?proxy=1")
        assert sha256(answer.content) == sha256(data)

    async def test_the_device_was_seen(self, caller: Account, device: Recorder) -> None:
        before = await _last_seen(caller, device)
        await device.uploaded(noise(10, seed=8))
        assert before is None
        first = await _last_seen(caller, device)
        await device.uploaded(noise(10, seed=9))
        assert first is not None
        assert await _last_seen(caller, device) > first

    async def test_its_rows_lie_in_the_partition_of_its_month(
        self, caller: Account, device: Recorder
    ) -> None:
        chunk_id = await device.uploaded(noise(10, seed=10), datetime.now(UTC))
        odd = await device.uploaded(noise(10, seed=11), datetime(1970, 1, 1, 1, tzinfo=UTC))
        rows = await catalog(
            caller.stack,
            "select chunk_id::text, tableoid::regclass::text from chunks where tenant = %s",
            caller.tenant,
        )
        assert dict(rows) == {
            chunk_id: f"chunks_{datetime.now(UTC):%Y_%m}",
            odd: "chunks_elsewhen",
        }


async def _last_seen(caller: Account, device: Recorder) -> Any:
    query = "select last_seen_at from devices where device_id = %s"
    return (await catalog(caller.stack, query, device.device_id))[0][0]


class TestLists:
    async def test_pages_follow_each_other_latest_first(
        self, caller: Account, device: Recorder
    ) -> None:
        ids = [await device.uploaded(noise(50, seed=20), start) for start in starts(5)]
        found, cursor = [], None
        while True:
            params = {"limit": "2", "point_id": device.point_id}
            answer = await caller.http.get(
                "/api/v1/chunks", params=params | ({"cursor": cursor} if cursor else {})
            )
            page = answer.json()
            found += [one["chunk_id"] for one in page["items"]]
            cursor = page["next_cursor"]
            assert ("link" in answer.headers) == (cursor is not None)
            if cursor is None:
                break
        assert found == ids[::-1]

    async def test_they_are_narrowed_by_what_is_asked(
        self, caller: Account, device: Recorder
    ) -> None:
        first, second, third = [
            await device.uploaded(noise(50, seed=21), start) for start in starts(3)
        ]
        moments = [start.isoformat() for start in starts(3)]

        async def ids(**params: str) -> list[str]:
            answer = await caller.http.get("/api/v1/chunks", params=params)
            assert answer.status_code == 200, answer.text
            return [one["chunk_id"] for one in answer.json()["items"]]

        assert await ids(**{"from": moments[1]}) == [third, second]
        assert await ids(to=moments[1]) == [first]
        assert await ids(status="QUEUED") == [third, second, first]
        assert await ids(status="DONE") == []
        assert await ids(device_id=device.device_id) == [third, second, first]
        assert await ids(register_id=str(uuid.uuid4())) == []

    async def test_gaps_are_the_holes_longer_than_the_tolerance(
        self, caller: Account, device: Recorder
    ) -> None:
        for offset, seconds in ((0, 10.0), (10.2, 9.8), (30, 10.0), (31, 2.0), (40, 5.0)):
            start = START + timedelta(seconds=offset)
            await device.uploaded(noise(50, seed=30), start, seconds)

        async def gaps(tolerance_ms: int) -> list[float]:
            answer = await caller.http.get(
                "/api/v1/chunks/gaps",
                params={"device_id": device.device_id, "tolerance_ms": str(tolerance_ms)},
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["complete"]
            return [one["duration_sec"] for one in answer.json()["items"]]

        assert await gaps(500) == [10.0]
        assert await gaps(100) == [0.2, 10.0]

    async def test_a_stranger_sees_nothing(self, stranger: Account, device: Recorder) -> None:
        chunk_id = await device.uploaded(noise(50, seed=31))
        problem(await stranger.http.get(f"/api/v1/chunks/{chunk_id}"), 404, "chunk-not-found")
        problem(await stranger.http.get(f"/api/v1/chunks/{chunk_id}/audio"), 404)
        assert (await stranger.http.get("/api/v1/chunks")).json()["items"] == []


class TestDevices:
    async def test_a_device_is_shown_without_its_token(self, caller: Account) -> None:
        body = device_body()
        async with administrator(caller) as admin:
            added = await admin.post("/api/v1/admin/devices", json=body)
            assert added.status_code == 201
            assert body["token_plain"] not in added.text
            listed = await admin.get("/api/v1/admin/devices")
            assert body["token_plain"] not in listed.text
        shown = listed.json()["items"][0]
        assert shown == added.json()
        assert shown["is_enabled"] is True
        assert shown["last_seen_at"] is None

    async def test_the_same_device_twice_is_a_conflict(self, caller: Account) -> None:
        body = device_body()
        async with administrator(caller) as admin:
            await admin.post("/api/v1/admin/devices", json=body)
            again = await admin.post("/api/v1/admin/devices", json=body)
            problem(again, 409, "device-exists")
            other = device_body() | {"token_plain": body["token_plain"]}
            problem(await admin.post("/api/v1/admin/devices", json=other), 409, "device-exists")

    async def test_only_administrators_may(self, caller: Account, device: Recorder) -> None:
        for http in (caller.http, device.http):
            problem(await http.get("/api/v1/admin/devices"), 403, "forbidden")
            problem(await http.post("/api/v1/admin/devices", json=device_body()), 403)

    async def test_revocation_takes_effect_within_two_seconds(
        self, caller: Account, device: Recorder
    ) -> None:
        await device.uploaded(noise(50, seed=40))
        path = f"/api/v1/admin/devices/{device.device_id}"
        async with administrator(caller) as admin:
            for enabled, status in ((False, 403), (True, 200)):
                changed = await admin.patch(path, json={"is_enabled": enabled})
                assert changed.status_code == 200, changed.text
                assert changed.json()["is_enabled"] is enabled

                async def send() -> int:
                    return (await device.send(noise(50, seed=41))).status_code

                await eventually(send, lambda found, wanted=status: found == wanted, seconds=2)
            changed = await admin.patch(path, json={"token_plain": "another-token-for-it"})
            assert changed.status_code == 200

            async def old() -> int:
                return (await device.send(noise(50, seed=42))).status_code

            await eventually(old, lambda found: found == 401, seconds=2)

    async def test_a_device_knows_its_place(self, device: Recorder) -> None:
        assert (await device.http.get("/api/v1/devices/me")).json() == {
            "device_id": device.device_id,
            "point_id": device.point_id,
            "register_id": device.register_id,
            "is_enabled": True,
        }


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"device_id": ELSEWHERE}, 403),
            ({"point_id": ELSEWHERE}, 403),
            ({"register_id": ELSEWHERE}, 403),
            ({"end_ts": START.isoformat()}, 422),
            ({"start_ts": "2026-11-03T09:30:00"}, 422),
            ({"start_ts": "yesterday"}, 422),
            ({"sample_rate": "0"}, 422),
            ({"sample_rate": "1000000000"}, 422),
            ({"channels": "0"}, 422),
            ({"channels": "1000"}, 422),
            ({"codec": "../../x"}, 422),
            ({"point_id": "here"}, 422),
            ({"point_id": None}, 422),
        ],
        ids=str,
    )
    async def test_a_form_that_is_wrong_leaves_nothing(
        self, caller: Account, device: Recorder, changes: dict[str, Any], status: int
    ) -> None:
        found = problem(await device.send(noise(100, seed=50), **changes), status)
        if status == 422:
            assert found["errors"]
        await _nothing_stored(caller)

    async def test_an_empty_file_is_refused(self, caller: Account, device: Recorder) -> None:
        problem(await device.send(b""), 422, "empty-chunk")
        await _nothing_stored(caller)

    async def test_no_file_is_refused(self, caller: Account, device: Recorder) -> None:
        answer = await device.http.post(
            "/api/v1/chunks",
            files={name: (None, value) for name, value in device.fields().items()},
        )
        problem(answer, 422, "file-missing")
        await _nothing_stored(caller)

    async def test_too_large_a_chunk_is_refused(self, caller: Account, device: Recorder) -> None:
        problem(await device.send(bytes(10 * 1024**2 + 1)), 413, "body-too-large")
        problem(await device.send(bytes(12 * 1024**2)), 413, "body-too-large")
        await _nothing_stored(caller)

    async def test_nobodys_token_is_refused_before_the_body(
        self, caller: Account, device: Recorder
    ) -> None:
        headers = {"Authorization": "Bearer nobodys"}
        problem(await device.send(noise(100), headers=headers), 401, "unauthorized")
        problem(
            await caller.http.post("/api/v1/chunks", files={"chunk_file": b"x"}), 403, "forbidden"
        )
        await _nothing_stored(caller)

    async def test_ids_that_are_none_are_not_found(self, caller: Account) -> None:
        for path in ("no-uuid", str(uuid.uuid4())):
            problem(await caller.http.get(f"/api/v1/chunks/{path}"), 404, "chunk-not-found")
        problem(await caller.http.get("/api/v1/chunks?cursor=forged"), 422)
        problem(await caller.http.get("/api/v1/chunks?limit=-1"), 422)


async def _nothing_stored(caller: Account) -> None:
    for table in ("chunks", "objects"):
        query = f"select count(*) from {table} where tenant = %s"
        assert await catalog(caller.stack, query, caller.tenant) == [(0,)]


class TestStatus:
    async def test_workers_move_chunks_and_may_have_them_queued_again(
        self, caller: Account, device: Recorder
    ) -> None:
        chunk_id = await device.uploaded(noise(50, seed=60))

        async def report(status: str) -> httpx.Response:
            body = {"kind": "chunk", "id": chunk_id, "status": status}
            return await caller.http.post("/api/v1/status", json=body)

        problem(await report("DONE"), 409, "illegal-transition")
        for status in ("PROCESSING", "ERROR", "QUEUED", "PROCESSING", "DONE"):
            assert (await report(status)).status_code == 200
        shown = (await caller.http.get(f"/api/v1/chunks/{chunk_id}")).json()
        assert shown["status"] == "DONE"
        problem(await report("lost"), 422, "unknown-status")

    async def test_every_change_is_in_the_log(self, caller: Account, device: Recorder) -> None:
        chunk_id = await device.uploaded(noise(50, seed=61))

        await eventually(
            lambda: statuses_of(caller, chunk_id), lambda found: found == ["UPLOADED", "QUEUED"]
        )


async def test_health_tells_of_database_store_and_bus(caller: Account) -> None:
    answer = await caller.http.get("/health")
    assert answer.status_code == 200
    found = answer.json()
    assert found["status"] == "ok"
    assert (found["db"], found["storage_writable"], found["nats"]) == (True, True, True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)", found["time"])
