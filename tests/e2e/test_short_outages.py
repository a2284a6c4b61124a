"""The catalog or the store is away for a moment, and one request comes meanwhile."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack

from . import calls, renders
from .api import MIB, Account, account, catalog, eventually, noise, problem, sha256


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fragile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose members may be killed, and that accepts what it cannot register soon."""
    settings = {"gateway": {"SLUICE_REGISTER_TIMEOUT_SECONDS": "1"}}
    async with Stack(tmp_path_factory.mktemp("fragile"), settings=settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(fragile: Stack) -> AsyncIterator[Account]:
    """A caller of the fragile stack, with a key that the gateway knows: it goes on working."""
    async with account(fragile) as one:
        assert (await one.http.get("/api/v1/calls")).is_success
        yield one


async def come_back(stack: Stack, member: str) -> None:
    await stack.start(member)
    await stack.wait_ready(member)


@pytest.mark.parametrize("size", [2000, 9 * MIB])
async def test_without_the_catalog_a_call_is_accepted_and_appears_later(
    client: Account, size: int
) -> None:
    await client.stack.kill("catalog")
    try:
        data = calls.mp3(size)
        answer = await calls.send_behind(client, data, company_name="Later Ltd")
        assert answer.status_code == 202, answer.text
        body = answer.json()
        assert body["status"] == "accepted"
        assert body["message"]
        assert answer.headers["location"] == f"/api/v1/calls/{body['call_id']}"
        reading = await client.http.get(answer.headers["location"])
        assert int(reading.headers["retry-after"]) >= 1
        problem(reading, 503, "catalog-unavailable")
    finally:
        await come_back(client.stack, "catalog")

    async def found() -> int:
        return (await client.http.get(answer.headers["location"])).status_code

    await eventually(found, lambda status: status == 200)
    shown = await calls.shown(client, body["call_id"])
    assert shown["metadata"]["company_name"] == "Later Ltd"
    played = await client.http.get(f"/api/v1/calls/{body['call_id']}/audio?proxy=1")
    assert sha256(played.content) == sha256(data)


@pytest.mark.parametrize("size", [2000, 3 * MIB])
async def test_without_the_store_a_call_is_not_taken_and_may_be_sent_again(
    client: Account, size: int
) -> None:
    await client.stack.kill("objects")
    try:
        answer = await calls.send(client, calls.mp3(size))
        assert re.search(r"again|repeat|later|moment|reach|away", problem(answer, 503)["detail"])
    finally:
        await come_back(client.stack, "objects")
    query = "select count(*) from calls where tenant = %s"
    assert await catalog(client.stack, query, client.tenant) == [(0,)]
    answer = await calls.send(client, calls.mp3(size))
    assert answer.status_code in (201, 202), answer.text
    query = "select call_id::text from calls where tenant = %s"
    rows = await eventually(lambda: catalog(client.stack, query, client.tenant), bool)
    assert rows == [(answer.json()["call_id"],)]


async def test_without_the_catalog_a_render_is_accepted_and_appears_later(
    client: Account,
) -> None:
    await client.stack.kill("catalog")
    try:
        answer = await renders.send(client, renders.mp3(seed=3))
        assert answer.status_code == 202, answer.text
        path = f"/api/v1/renders/{answer.json()['id']}/audio"
        assert answer.headers["location"] == path
    finally:
        await come_back(client.stack, "catalog")
    played = await eventually(
        lambda: client.http.get(path, params={"proxy": "1"}),
        lambda found: found.status_code == 200,
    )
    assert played.content == renders.mp3(seed=3)


async def test_bytes_of_a_recording_that_arrive_without_the_catalog_are_not_lost(
    client: Account,
) -> None:
    presigned = await client.presign("call.wav")
    (item,) = presigned["items"]
    body, catalog_is_gone = noise(200_000), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:1000]
        await catalog_is_gone.wait()
        yield body[1000:]

    sending = asyncio.create_task(client.put(item, slowly()))
    await client.wait_until_claimed(item)
    await client.stack.kill("catalog")
    try:
        catalog_is_gone.set()
        answer = await sending
    finally:
        await come_back(client.stack, "catalog")

    assert answer.status_code in (202, 503), answer.text
    if answer.status_code == 503:
        assert problem(answer, 503)["retryable"]
        assert "retry-after" in answer.headers
        assert (await client.put_again(item, body)).status_code in (201, 202, 400)
    answer = await eventually(
        lambda: client.register(presigned, key="after-the-outage"),
        lambda answer: answer.status_code not in (409, 503),
    )
    assert answer.status_code == 202
    await client.completed(presigned["batch_id"])
    recording_id = answer.json()["items"][0]["recording_id"]
    assert await client.download(recording_id) == body
