"""Messages of threads, from outside: with the renders they carry, until both are deleted."""

import uuid

import httpx
import pytest

from sluice_devkit.http import plain_client
from tests.support import object_store

from .api import Account, catalog, eventually, problem
from .renders import message, message_body, mp3, uploaded

MESSAGES = "/api/v1/messages"


async def attach(caller: Account, message_id: str, render: object) -> httpx.Response:
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
    async with plain_client() as nobody:
        assert (await nobody.get(render["url"])).content == mp3()

    problem(await stranger.http.delete(f"{MESSAGES}/{kept['id']}"), 404, "message-not-found")
    gone = await caller.http.delete(f"{MESSAGES}/{kept['id']}")
    assert gone.status_code == 200, gone.text
    assert gone.json() == {"status": "deleted", "id": kept["id"], "renders_deleted": 1}
    problem(await caller.http.get(f"{MESSAGES}/{kept['id']}"), 404, "message-not-found")
    async with plain_client() as nobody:
        problem(await nobody.get(render["url"]), 404, "render-not-found")
    store = object_store(caller.stack)
    try:
        key = f"development/renders/{render['id']}.mp3"
        await eventually(lambda: store.stat(key), lambda found: found is None)
    finally:
        await store.close()


async def test_a_request_that_does_not_say_where_it_went_keeps_nothing(caller: Account) -> None:
    async with caller.nothing_left():
        answer = await caller.http.post(MESSAGES, json=message_body(), headers={"Host": "a b"})
        problem(answer, 422, "invalid-host")


async def test_a_message_may_name_its_renders_at_once(caller: Account) -> None:
    renders = [await uploaded(caller, mp3(seed=seed)) for seed in (1, 2)]
    kept = await message(caller, renders=renders, snapshot_metadata={"title": "take"})
    assert [one["id"] for one in kept["renders"]] == [one["id"] for one in renders]
    assert kept["snapshot_metadata"] == {"title": "take"}


async def test_an_id_is_enough_to_name_a_render(caller: Account) -> None:
    first, second = [await uploaded(caller, mp3(seed=seed)) for seed in (1, 2)]
    kept = await message(caller, renders=[first["id"], first["id"]])
    assert [one["id"] for one in kept["renders"]] == [first["id"]]
    answer = await attach(caller, kept["id"], second["id"])
    assert answer.status_code == 200, answer.text
    assert (await message(caller, renders=None))["renders"] == []


async def test_renders_keep_the_order_in_which_they_are_named(caller: Account) -> None:
    renders = [await uploaded(caller, mp3(seed=seed)) for seed in range(6)]
    kept = await message(caller, renders=renders[::-1])
    assert kept["renders"] == renders[::-1]


async def test_a_message_carries_so_many_renders_and_no_more(caller: Account) -> None:
    render, kept = await uploaded(caller, mp3()), await message(caller)
    copies = """insert into renders
        select gen_random_uuid(), tenant, 'upl_' || n || upload_id, %s, filename, format, bitrate,
            duration, 'attached', 2, created_at, created_by, created_at
        from renders, generate_series(1, 100) as n where render_id = %s"""
    await catalog(caller.stack, copies, kept["id"], render["id"])
    problem(await attach(caller, kept["id"], render), 409, "too-many-renders")
    other = await message(caller)
    assert (await attach(caller, other["id"], render)).status_code == 200


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
    small = await message(caller)
    for order in ("asc", "desc"):
        params, found, pages = {"order": order}, [], 0
        while True:
            page = (await caller.http.get(MESSAGES, params=params)).json()
            assert 1 <= len(page["messages"]) < 5
            found, pages = found + [one["id"] for one in page["messages"]], pages + 1
            if "next_cursor" not in page:
                break
            params["cursor"] = page["next_cursor"]
        assert len(found) == len(set(found)) == 5
        assert found[-1 if order == "asc" else 0] == small["id"]
        assert pages >= 2
    page = (await caller.http.get(MESSAGES, params={"include_snapshot": "false"})).json()
    assert len(page["messages"]) == 5


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
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"timestamp": "9999-12-31T23:59:59-14:00"},
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
    async with plain_client(base_url=caller.stack.url) as nobody:
        kept = await nobody.post(MESSAGES, json=message_body(token=caller.key))
        assert kept.status_code == 200, kept.text
        assert caller.key not in kept.text
        problem(await nobody.post(MESSAGES, json=message_body(token="wrong")), 401)
        problem(await nobody.post(MESSAGES, json=message_body()), 401, "unauthorized")
        for body in ({"snapshot": 1}, {"token": "wrong"}, {"token": 5}, {"token": "x" * 600}):
            for path in (MESSAGES, f"{MESSAGES}/none/renders"):
                problem(await nobody.post(path, json=body), 401, "unauthorized")
        render = await uploaded(caller, mp3())
        body = {"token": caller.key, "render": render}
        path = f"{MESSAGES}/{kept.json()['id']}"
        assert (await nobody.post(f"{path}/renders", json=body)).status_code == 200
        assert (await nobody.get(path, params={"token": caller.key})).status_code == 200
        assert (await nobody.delete(path, params={"token": caller.key})).status_code == 200
