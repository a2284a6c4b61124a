"""Messages of threads, from outside: with the renders they carry, until both are deleted."""

import uuid

import httpx
import pytest

from tests.support import object_store

from .api import Account, catalog, eventually, problem
from .renders import message, message_body, mp3, uploaded

MESSAGES = "/api/v1/messages"


async def attach(caller: Account, message_id: str, render: dict[str, object]) -> httpx.Response:
    return await caller.http.post(f"{MESSAGES}/{message_id}/renders", json={"render": render})


async def test_the_flow_of_the_source_document(caller: Account, stranger: Account) -> None:
    kept = await message(caller)
    assert kept["renders"] == []
    assert kept["snapshot"] == message_body()["snapshot"], "null inside a snapshot is a value"
    render = await uploaded(caller, mp3(), bitrate=320, duration=45.5)
    attached = await attach(caller, kept["id"], render)
    assert attached.status_code == 200, attached.text
    assert attached.json() == {"status": "render_attached", "message_id": kept["id"]}
    again = await attach(caller, kept["id"], render)
    assert again.json() == attached.json()

    shown = (await caller.http.get(f"{MESSAGES}/{kept['id']}")).json()
    assert shown["renders"] == [render]
    async with httpx.AsyncClient() as nobody:
        assert (await nobody.get(render["url"])).content == mp3()

    problem(await stranger.http.delete(f"{MESSAGES}/{kept['id']}"), 404, "message-not-found")
    gone = await caller.http.delete(f"{MESSAGES}/{kept['id']}")
    assert gone.status_code == 200, gone.text
    assert gone.json() == {"status": "deleted", "id": kept["id"], "renders_deleted": 1}
    problem(await caller.http.get(f"{MESSAGES}/{kept['id']}"), 404, "message-not-found")
    async with httpx.AsyncClient() as nobody:
        problem(await nobody.get(render["url"]), 404, "render-not-found")
    store = object_store(caller.stack)
    try:
        key = f"development/renders/{render['id']}.mp3"
        await eventually(lambda: store.stat(key), lambda found: found is None)
    finally:
        await store.close()


async def test_a_message_may_name_its_renders_at_once(caller: Account) -> None:
    renders = [await uploaded(caller, mp3(seed=seed)) for seed in (1, 2)]
    kept = await message(caller, renders=renders, snapshot_metadata={"title": "take"})
    assert [one["id"] for one in kept["renders"]] == [one["id"] for one in renders]
    assert kept["snapshot_metadata"] == {"title": "take"}


async def test_a_render_that_is_not_there_keeps_nothing(caller: Account) -> None:
    body = message_body(renders=[{"id": str(uuid.uuid4())}])
    problem(await caller.http.post(MESSAGES, json=body), 404, "render-not-found")
    query = "select count(*) from messages where tenant = %s"
    assert await catalog(caller.stack, query, caller.tenant) == [(0,)]
    kept = await message(caller)
    problem(await attach(caller, kept["id"], {"id": str(uuid.uuid4())}), 404, "render-not-found")
    problem(await attach(caller, "msg_nobody12", {"id": str(uuid.uuid4())}), 404)


async def test_a_render_belongs_to_one_message_and_to_its_tenant(
    caller: Account, stranger: Account
) -> None:
    render = await uploaded(caller, mp3())
    first, second = await message(caller), await message(caller)
    assert (await attach(caller, first["id"], render)).status_code == 200
    problem(await attach(caller, second["id"], render), 409, "render-attached")
    theirs = await message(stranger)
    problem(await attach(stranger, theirs["id"], render), 404, "render-not-found")


async def test_a_thread_is_listed_page_by_page_in_both_orders(caller: Account) -> None:
    times = [f"2026-11-20T10:00:0{second}Z" for second in range(5)]
    kept = [(await message(caller, timestamp=time))["id"] for time in times]
    await message(caller, parent_thread="another")

    async def pages(order: str) -> list[str]:
        found: list[str] = []
        params = {"thread_id": "thread-1", "limit": "2", "order": order}
        while True:
            page = (await caller.http.get(MESSAGES, params=params)).json()
            found += [one["id"] for one in page["messages"]]
            if "next_cursor" not in page:
                return found
            params["cursor"] = page["next_cursor"]

    assert await pages("asc") == kept
    assert await pages("desc") == kept[::-1]


async def test_snapshots_are_left_out_where_nobody_wants_them(caller: Account) -> None:
    kept = await message(caller)
    where = {"include_snapshot": "false"}
    assert "snapshot" not in (await caller.http.get(MESSAGES, params=where)).json()["messages"][0]
    assert (
        "snapshot" not in (await caller.http.get(f"{MESSAGES}/{kept['id']}", params=where)).json()
    )


async def test_large_snapshots_make_short_pages(caller: Account) -> None:
    for _ in range(4):
        await message(caller, snapshot={"notes": "x" * 900_000})
    page = (await caller.http.get(MESSAGES)).json()
    assert 1 <= len(page["messages"]) < 4
    assert page["next_cursor"]


async def test_a_message_with_a_key_is_kept_once(caller: Account) -> None:
    headers = {"Idempotency-Key": "message-1"}
    first = await caller.http.post(MESSAGES, json=message_body(), headers=headers)
    again = await caller.http.post(MESSAGES, json=message_body(), headers=headers)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    other = await caller.http.post(MESSAGES, json=message_body(user_id="bob"), headers=headers)
    problem(other, 422, "idempotency-key-reused")


@pytest.mark.parametrize(
    "changes",
    [
        {"parent_thread": ""},
        {"snapshot": "text"},
        {"timestamp": "2026-11-20T10:00:00"},
        {"renders": [{"id": "none"}]},
        {"user_id": None},
    ],
    ids=str,
)
async def test_a_message_that_is_wrong_is_not_kept(
    caller: Account, changes: dict[str, object]
) -> None:
    answer = await caller.http.post(MESSAGES, json=message_body(**changes))
    assert problem(answer, 422, "invalid-request")["errors"]


async def test_the_token_may_be_a_field_of_the_body(caller: Account) -> None:
    async with httpx.AsyncClient(base_url=caller.stack.url) as nobody:
        kept = await nobody.post(MESSAGES, json=message_body(token=caller.key))
        assert kept.status_code == 200, kept.text
        assert caller.key not in kept.text
        problem(await nobody.post(MESSAGES, json=message_body(token="wrong")), 401)
        problem(await nobody.post(MESSAGES, json=message_body()), 401, "unauthorized")
        render = await uploaded(caller, mp3())
        body = {"token": caller.key, "render": render}
        path = f"{MESSAGES}/{kept.json()['id']}"
        assert (await nobody.post(f"{path}/renders", json=body)).status_code == 200
        assert (await nobody.get(path, params={"token": caller.key})).status_code == 200
        assert (await nobody.delete(path, params={"token": caller.key})).status_code == 200
