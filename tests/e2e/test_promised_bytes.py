"""What the head of a `PUT` says of its bytes, and the bytes that come."""

import base64
import gzip
import hashlib
from collections.abc import AsyncIterator

import pytest

from .api import MIB, Account, noise, pieces, problem

# Held and sent whole; streamed in one PUT; and, where nobody says how long it is, in parts.
WAYS = {"whole": 10, "streamed": 3 * MIB, "parts": 9 * MIB}


def body_of(data: bytes, way: str) -> bytes | AsyncIterator[bytes]:
    return pieces(data) if way == "parts" else data


def md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize("way", WAYS)
async def test_bytes_with_the_promised_md5_are_taken(caller: Account, way: str) -> None:
    presigned = await caller.presign("a.wav")
    data = noise(WAYS[way])
    body, headers = body_of(data, way), {"Content-MD5": md5_of(data)}
    answer = await caller.put(presigned["items"][0], body, **headers)
    assert answer.status_code == 201, answer.text
    recording_id = (await caller.register(presigned)).json()["items"][0]["recording_id"]
    await caller.completed(presigned["batch_id"])
    assert await caller.download(recording_id) == data


@pytest.mark.parametrize("way", WAYS)
async def test_bytes_with_another_md5_are_refused_and_may_come_again(
    caller: Account, way: str
) -> None:
    (item,) = (await caller.presign("a.wav"))["items"]
    data = noise(WAYS[way])
    headers = {"Content-MD5": md5_of(data + b"x")}
    async with caller.nothing_left():
        answer = await caller.put(item, body_of(data, way), **headers)
        problem(answer, 422, "digest-mismatch")
    assert (await caller.put(item, data)).status_code == 201


@pytest.mark.parametrize("md5", ["", "nonsense", "0" * 32, base64.b64encode(b"short").decode()])
async def test_what_is_no_md5_is_refused(caller: Account, md5: str) -> None:
    (item,) = (await caller.presign("a.wav"))["items"]
    async with caller.nothing_left():
        answer = await caller.put(item, noise(10), **{"Content-MD5": md5})
        problem(answer, 422, "digest-malformed")


async def test_compressed_bytes_are_refused(caller: Account) -> None:
    (item,) = (await caller.presign("a.wav"))["items"]
    async with caller.nothing_left():
        answer = await caller.put(item, gzip.compress(noise(10)), **{"Content-Encoding": "gzip"})
        problem(answer, 415, "content-encoding-unsupported")
    assert (await caller.put(item, noise(10))).status_code == 201
