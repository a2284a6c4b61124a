"""What the head of a `PUT` says of its bytes, and the bytes that come."""

import base64
import gzip
import hashlib

import pytest

from .api import MIB, Account, noise, problem

# One PUT of bytes that are held, one of a stream, and parts: each begins with a megabyte.
SIZES = [10, 3 * MIB]


def md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_with_the_promised_md5_are_taken(caller: Account, size: int) -> None:
    presigned = await caller.presign("a.wav")
    data = noise(size)
    answer = await caller.put(presigned["items"][0], data, **{"Content-MD5": md5_of(data)})
    assert answer.status_code == 201, answer.text
    recording_id = (await caller.register(presigned)).json()["items"][0]["recording_id"]
    await caller.completed(presigned["batch_id"])
    assert await caller.download(recording_id) == data


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_with_another_md5_are_refused_and_may_come_again(
    caller: Account, size: int
) -> None:
    (item,) = (await caller.presign("a.wav"))["items"]
    data = noise(size)
    async with caller.nothing_left():
        answer = await caller.put(item, data, **{"Content-MD5": md5_of(data + b"x")})
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
