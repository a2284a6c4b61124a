"""Requests with a file and an idempotency key: done once, answered alike."""

import asyncio

import httpx
import pytest

from .api import MIB, Account, catalog, eventually, line, noise, problem
from .calls import FIELDS, UPLOAD, form, mp3

KEY = {"Idempotency-Key": "the-same-call"}


async def send(caller: Account, data: bytes, **changes: str) -> httpx.Response:
    return await caller.http.post(
        UPLOAD,
        data=FIELDS | changes,
        files={"file": ("call.mp3", data, "audio/mpeg")},
        headers=KEY,
    )


async def calls(caller: Account) -> int:
    query = "select count(*) from calls where tenant = %s"
    return int((await catalog(caller.stack, query, caller.tenant))[0][0])


@pytest.mark.parametrize("size", [2000, 3 * MIB], ids=["held", "streamed"])
async def test_the_same_request_again_gets_the_first_answer(caller: Account, size: int) -> None:
    data = mp3(size)
    first = await send(caller, data)
    assert first.status_code == 201, first.text
    again = await send(caller, data)
    assert again.status_code == 201, again.text
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert await calls(caller) == 1


async def test_another_request_with_the_same_key_is_refused(caller: Account) -> None:
    assert (await send(caller, mp3())).status_code == 201
    problem(await send(caller, mp3(seed=5)), 422, "idempotency-key-reused")
    problem(await send(caller, mp3(), call_type="support"), 422, "idempotency-key-reused")
    assert await calls(caller) == 1


async def test_while_the_first_is_running_a_second_is_told_to_wait(caller: Account) -> None:
    data = mp3(3 * MIB)
    body = form("b", *((name, None, value.encode()) for name, value in FIELDS.items()))
    body = body.removesuffix(b"--b--\r\n") + form("b", ("file", "call.mp3", data))
    async with line(caller.stack) as slow:
        head = (
            f"POST {UPLOAD} HTTP/1.1\r\nHost: sluice.test\r\nX-API-Key: {caller.key}\r\n"
            f"Idempotency-Key: {KEY['Idempotency-Key']}\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        await slow.say(head.encode() + body[: 2 * MIB])
        await eventually(lambda: reserved(caller), bool)
        problem(await send(caller, data), 409, "request-in-progress")
        await slow.say(body[2 * MIB :])
        assert (await slow.hear()).status_code == 201
    assert (await send(caller, data)).status_code == 201
    assert await calls(caller) == 1


async def test_a_request_that_failed_gives_its_key_back(caller: Account) -> None:
    problem(await send(caller, noise(100)), 400, "content-mismatch")
    assert not await reserved(caller)
    assert (await send(caller, mp3())).status_code == 201


async def test_a_sender_that_left_gives_its_key_back(caller: Account) -> None:
    body = form("b", ("file", "call.mp3", mp3(3 * MIB)))
    async with line(caller.stack) as gone:
        head = (
            f"POST {UPLOAD} HTTP/1.1\r\nHost: sluice.test\r\nX-API-Key: {caller.key}\r\n"
            f"Idempotency-Key: {KEY['Idempotency-Key']}\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        await gone.say(head.encode() + body[: 2 * MIB])
        await eventually(lambda: reserved(caller), bool)
        gone.hang_up()
    await eventually(lambda: reserved(caller), lambda found: not found)
    assert (await send(caller, mp3())).status_code == 201


async def test_of_many_at_once_one_is_done(caller: Account) -> None:
    data = mp3()
    answers = await asyncio.gather(*(send(caller, data) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    done = {answer.json()["call_id"] for answer in answers if answer.status_code == 201}
    assert len(done) == 1
    assert await calls(caller) == 1


async def reserved(caller: Account) -> bool:
    query = "select count(*) from reservations where tenant = %s and claimed_until > now()"
    return bool((await catalog(caller.stack, query, caller.tenant))[0][0])
