"""Clients of direct uploads, for the tests of their door."""

import asyncio
from typing import Any

import httpx

from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import object_store

from .api import MIB, PATIENCE_SECONDS, Account, catalog

UPLOADS = "/api/v1/uploads"
OBJECTS = "/api/v1/objects"
PART = 8 * MIB


async def begin(caller: Account, headers: dict[str, str] | None = None, **asked: Any) -> Any:
    """A new upload; what the gateway answered."""
    body = {"filename": "talk.bin", "content_type": "application/octet-stream"} | asked
    answer = await caller.http.post(UPLOADS, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(url: str, body: bytes, headers: dict[str, str] | None = None) -> str:
    """PUT bytes to a signed URL, as anybody who has it can; the store's tag."""
    async with plain_client(timeout=PATIENCE_SECONDS) as anybody:
        answer = await anybody.put(url, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def send_parts(begun: Any, body: bytes) -> list[dict[str, Any]]:
    """All parts at once, the last one first; the list to complete with."""
    size = begun["multipart"]["part_size"]
    urls = {one["number"]: one["url"] for one in begun["multipart"]["parts"]}
    numbers = range(1, -(-len(body) // size) + 1)

    async def one(number: int) -> dict[str, Any]:
        etag = await send(urls[number], body[(number - 1) * size : number * size])
        return {"number": number, "etag": etag}

    sent = await asyncio.gather(*(one(number) for number in reversed(numbers)))
    return sorted(sent, key=lambda part: part["number"])


async def complete(caller: Account, begun: Any, **asked: Any) -> httpx.Response:
    return await caller.http.post(f"{UPLOADS}/{begun['upload_id']}/complete", json=asked)


async def state(caller: Account, begun: Any) -> Any:
    answer = await caller.http.get(f"{UPLOADS}/{begun['upload_id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(caller: Account, body: bytes, **asked: Any) -> Any:
    """An upload in one PUT that is registered."""
    begun = await begin(caller, size_bytes=len(body), **asked)
    await send(begun["put"]["url"], body, begun["put"]["headers"])
    answer = await complete(caller, begun)
    assert answer.status_code == 200, answer.text
    return answer.json() | {"put": begun["put"]}


async def key_of(caller: Account, begun: Any) -> str:
    query = "select key from direct_uploads where upload_id = %s"
    return str((await catalog(caller.stack, query, begun["upload_id"]))[0][0])


async def session_of(caller: Account, begun: Any) -> tuple[str, str]:
    """Key and id of the session its parts are sent to."""
    query = "select key, session_id from direct_uploads where upload_id = %s"
    key, session_id = (await catalog(caller.stack, query, begun["upload_id"]))[0]
    return key, session_id


async def in_store(stack: Stack, key: str) -> bool:
    store = object_store(stack)
    try:
        return await store.stat(key) is not None
    finally:
        await store.close()


async def statuses(caller: Account, begun: Any) -> list[str]:
    answer = await caller.http.get(f"{UPLOADS}/{begun['upload_id']}/timeline")
    assert answer.status_code == 200, answer.text
    return [one["event"] for one in answer.json()["items"]]
