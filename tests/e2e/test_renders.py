"""The renders door, from outside: audio of an app, and the link by which it is played."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.fixtures import patient_stack
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import object_store

from .api import (
    MIB,
    Account,
    account,
    catalog,
    eventually,
    head,
    line,
    make_key,
    noise,
    problem,
    statuses_of,
)
from .calls import form
from .renders import UPLOAD, mp3, send, uploaded, wav


async def left(caller: Account) -> dict[str, int]:
    tables = ("renders", "objects", "messages")
    query = ", ".join(f"(select count(*) from {one} where tenant = %s)" for one in tables)
    row = (await catalog(caller.stack, f"select {query}", *[caller.tenant] * len(tables)))[0]
    return dict(zip(tables, row, strict=True))


NOTHING = {"renders": 0, "objects": 0, "messages": 0}


@pytest_asyncio.fixture(loop_scope="session")
async def nobody(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without any key."""
    async with plain_client(base_url=stack.url) as http:
        yield http


async def grow_old(caller: Account, render_id: str, *, with_history: bool = True) -> None:
    """Let a render be two days old; without its history, only heard of now."""
    if with_history:
        query = "update status_history set changed_at = now() - interval '2 days' where id = %s"
        await catalog(caller.stack, query, render_id)
    query = "update renders set created_at = now() - interval '2 days' where render_id = %s"
    await catalog(caller.stack, query, render_id)


class TestUploading:
    async def test_the_answer_is_that_of_the_source_document(self, caller: Account) -> None:
        data = mp3()
        answer = await send(caller, data, format="mp3", bitrate=320, duration=45.5)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        uuid.UUID(found["id"])
        assert datetime.fromisoformat(found["created_at"]).tzinfo is not None
        assert found["url"].startswith(f"{caller.stack.url}/r/{found['id']}/")
        assert (found["format"], found["bitrate"], found["duration"]) == ("mp3", 320, 45.5)
        assert found["size_bytes"] == len(data)

    async def test_what_was_not_said_is_left_out(self, caller: Account) -> None:
        found = await uploaded(caller, mp3())
        assert set(found) == {"id", "url", "format", "size_bytes", "created_at"}

    @pytest.mark.parametrize("size", [2000, 3 * MIB], ids=["held", "streamed"])
    async def test_its_link_plays_without_any_key(
        self, caller: Account, nobody: httpx.AsyncClient, size: int
    ) -> None:
        data = mp3(size)
        found = await uploaded(caller, data)
        played = await nobody.get(found["url"])
        assert (played.status_code, played.content) == (200, data)
        assert played.headers["content-type"] == "audio/mpeg"
        some = await nobody.get(found["url"], headers={"Range": "bytes=10-19"})
        assert (some.status_code, some.content) == (206, data[10:20])
        linked = await nobody.get(found["url"], params={"proxy": 0})
        assert linked.status_code == 307
        asked = await nobody.head(found["url"], params={"proxy": 0})
        assert (asked.status_code, asked.headers["content-length"]) == (200, str(size))
        own = await caller.http.get(f"/api/v1/renders/{found['id']}/audio?proxy=1")
        assert own.content == data

    @pytest.mark.parametrize(
        "fields", [{"bitrate": ""}, {"duration": ""}, {"format": ""}, {"format": "MP3"}], ids=str
    )
    async def test_an_empty_field_is_one_left_out_and_a_format_has_no_case(
        self, caller: Account, fields: dict[str, str]
    ) -> None:
        found = await uploaded(caller, mp3(), **fields)
        assert set(found) == {"id", "url", "format", "size_bytes", "created_at"}

    async def test_its_object_lies_where_the_source_document_says(self, caller: Account) -> None:
        found = await uploaded(caller, wav(), filename="a.wav", format="wav")
        store = object_store(caller.stack)
        try:
            stat = await store.stat(f"development/renders/{found['id']}.wav")
        finally:
            await store.close()
        assert stat is not None
        assert stat.size_bytes == found["size_bytes"]

    async def test_the_format_may_come_behind_the_file(self, caller: Account) -> None:
        for size in (5000, 3 * MIB):
            parts = (("file", "a.wav", wav() + bytes(size)), ("format", None, b"wav"))
            answer = await caller.http.post(
                UPLOAD,
                content=form("late", *parts),
                headers={"Content-Type": "multipart/form-data; boundary=late"},
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["format"] == "wav"

    async def test_a_request_with_a_key_is_done_once(self, caller: Account) -> None:
        headers = {"Idempotency-Key": "take-1"}
        first = await send(caller, mp3(), headers=headers, bitrate=128)
        again = await send(caller, mp3(), headers=headers, bitrate=128)
        assert again.status_code == first.status_code == 200
        assert again.json() == first.json()
        other = await send(caller, mp3(seed=9), headers=headers)
        problem(other, 422, "idempotency-key-reused")
        assert (await left(caller))["renders"] == 1


class TestTokens:
    @pytest.mark.parametrize("place", ["field", "query", "bearer", "header"])
    async def test_each_place_of_the_token_lets_in(
        self, caller: Account, nobody: httpx.AsyncClient, place: str
    ) -> None:
        request: dict[str, Any] = {
            "field": {"data": {"token": caller.key}},
            "query": {"params": {"token": caller.key}},
            "bearer": {"headers": {"Authorization": f"Bearer {caller.key}"}},
            "header": {"headers": {"X-API-Key": caller.key}},
        }[place]
        answer = await nobody.post(UPLOAD, files={"file": ("a.mp3", mp3())}, **request)
        assert answer.status_code == 200, answer.text

    async def test_behind_the_file_it_is_found_while_the_file_is_small(
        self, caller: Account, nobody: httpx.AsyncClient
    ) -> None:
        for size, status in ((5000, 200), (3 * MIB, 401)):
            parts = (("file", "a.mp3", mp3(size)), ("token", None, caller.key.encode()))
            answer = await nobody.post(
                UPLOAD,
                content=form("late", *parts),
                headers={"Content-Type": "multipart/form-data; boundary=late"},
            )
            assert answer.status_code == status, answer.text

    @pytest.mark.parametrize("token", ["", "wrong", "x" * 600])
    async def test_nobodys_token_is_refused(
        self, caller: Account, nobody: httpx.AsyncClient, token: str
    ) -> None:
        file = {"file": ("a.mp3", mp3())}
        problem(await nobody.post(UPLOAD, data={"token": token}, files=file), 401, "unauthorized")
        problem(await nobody.post(UPLOAD, params={"token": token}, files=file), 401)
        problem(await nobody.post(UPLOAD, files=file), 401)
        assert await left(caller) == NOTHING

    async def test_a_stranger_hears_of_nothing_but_the_token(
        self, caller: Account, nobody: httpx.AsyncClient
    ) -> None:
        for data, files in (
            ({"bitrate": "loud"}, {"file": ("a.mp3", mp3())}),
            ({}, {"format": (None, "exe")}),
            ({"token": "wrong"}, {"file": ("a.mp3", b"")}),
            ({}, {"file": ("a.mp3", b"")}),
        ):
            problem(await nobody.post(UPLOAD, data=data, files=files), 401, "unauthorized")
        assert await left(caller) == NOTHING

    async def test_a_missing_scope_is_said_to_be_missing(
        self, caller: Account, nobody: httpx.AsyncClient
    ) -> None:
        key = await make_key(caller.stack, caller.tenant, ("renders:read",))
        file = {"file": ("a.mp3", mp3())}
        problem(await nobody.post(UPLOAD, data={"token": key}, files=file), 403, "forbidden")
        assert await left(caller) == NOTHING


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "fields", "code"),
        [
            (b"", {}, "empty-render"),
            (b"<html><body>hi</body></html>", {}, "unsupported-audio"),
            (noise(500), {}, "unsupported-audio"),
            (wav(), {}, "format-mismatch"),
            (mp3(), {"format": "flac"}, "format-mismatch"),
            (mp3(), {"format": "exe"}, "invalid-request"),
            (mp3(), {"bitrate": "loud"}, "invalid-request"),
            (mp3(), {"duration": "-1"}, "invalid-request"),
            (mp3(), {"duration": "nan"}, "invalid-request"),
            (wav(2 * MIB), {}, "format-mismatch"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    async def test_what_is_not_a_render_leaves_nothing(
        self, caller: Account, data: bytes, fields: dict[str, str], code: str
    ) -> None:
        problem(await send(caller, data, **fields), 422, code)
        assert await left(caller) == NOTHING

    async def test_a_large_file_called_something_else_behind_it_is_given_back(
        self, caller: Account
    ) -> None:
        parts = (("file", "a.wav", wav(2 * MIB)), ("format", None, b"flac"))
        answer = await caller.http.post(
            UPLOAD,
            content=form("late", *parts),
            headers={"Content-Type": "multipart/form-data; boundary=late"},
        )
        problem(answer, 422, "format-mismatch")
        assert await left(caller) == NOTHING
        store = object_store(caller.stack)

        async def open_for_renders() -> list[str]:
            return [one.key for one in await store.open_sessions() if "/renders/" in one.key]

        try:
            await eventually(open_for_renders, lambda found: found == [])
        finally:
            await store.close()

    async def test_without_a_file_there_is_nothing_to_take(self, caller: Account) -> None:
        answer = await caller.http.post(UPLOAD, files={"format": (None, "mp3")})
        problem(answer, 422, "file-missing")

    async def test_links_nobody_gave_out_lead_nowhere(
        self, caller: Account, nobody: httpx.AsyncClient
    ) -> None:
        found = await uploaded(caller, mp3())
        url = str(found["url"])
        other = url.replace(found["id"], str(uuid.uuid4()))
        for wrong in (other, url[:-8] + "aaaa.mp3", f"{caller.stack.url}/r/x/y.mp3"):
            problem(await nobody.get(wrong), 404, "render-not-found")

    async def test_a_stranger_has_no_such_render(self, caller: Account, stranger: Account) -> None:
        found = await uploaded(caller, mp3())
        path = f"/api/v1/renders/{found['id']}/audio"
        problem(await stranger.http.get(path), 404, "render-not-found")


class TestSweeping:
    async def test_a_render_no_message_claims_is_swept(
        self, caller: Account, nobody: httpx.AsyncClient
    ) -> None:
        found = await uploaded(caller, mp3())
        await grow_old(caller, found["id"])
        await eventually(lambda: left(caller), lambda rest: rest["renders"] == 0)
        problem(await nobody.get(found["url"]), 404)
        await eventually(lambda: left(caller), lambda rest: rest == NOTHING)

        await eventually(
            lambda: statuses_of(caller, found["id"]), lambda seen: seen == ["uploaded", "deleted"]
        )

    async def test_one_that_was_heard_of_late_still_has_its_time(self, caller: Account) -> None:
        late, old = await uploaded(caller, mp3()), await uploaded(caller, mp3(seed=2))
        await grow_old(caller, late["id"], with_history=False)
        await grow_old(caller, old["id"])
        # Both are looked at in one round.
        await eventually(lambda: left(caller), lambda rest: rest["renders"] == 1)
        path = f"/api/v1/renders/{late['id']}/audio?proxy=1"
        assert (await caller.http.get(path)).status_code == 200


async def test_senders_nobody_knows_keep_no_place_from_others(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = {"gateway": {"SLUICE_MAX_UPLOADS_IN_FLIGHT": "1"}}
    body = form("b", ("file", "a.mp3", mp3(100_000)))
    told = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(body)}")
    async with (
        patient_stack(tmp_path_factory.mktemp("narrow"), settings=settings) as narrow,
        account(narrow) as known,
        line(narrow) as slow,
    ):
        await slow.say(head("POST", UPLOAD, *told) + body[:50_000])

        async def unnamed() -> httpx.Response:
            async with plain_client(base_url=narrow.url) as http:
                return await http.post(UPLOAD, files={"file": ("a.mp3", mp3())})

        busy = await eventually(unnamed, lambda answer: answer.status_code != 401)
        problem(busy, 429, "too-many-uploads")
        await uploaded(known, mp3())
        await slow.say(body[50_000:])
        problem(await slow.hear(), 401, "unauthorized")
