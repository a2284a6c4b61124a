"""Requests that mean no good to the doors that take forms: broken HTTP, and senders that leave or
dawdle."""

import asyncio
import gzip
import random
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.fixtures import patient_stack
from sluice_devkit.stack import Stack

from .api import MIB, eventually, head, line
from .calls import mp3
from .doors import DOORS, Door, leave, length, open_door, refused, unharmed

SLOWEST_SECONDS = 2
PLACES = 24


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _unharmed(stack: Stack) -> AsyncIterator[None]:
    async with unharmed(stack):
        yield


@pytest_asyncio.fixture(loop_scope="session", params=DOORS)
async def door(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Door]:
    """Each door in turn."""
    async with open_door(stack, request.param) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def calls(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "calls") as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hurried(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack that waits for nobody, has few places, and is swept all the time."""
    settings = {
        "gateway": {
            "SLUICE_MIN_UPLOAD_RATE_SECONDS": str(SLOWEST_SECONDS),
            "SLUICE_MAX_UPLOADS_IN_FLIGHT": str(PLACES),
        },
        "storage": {"SLUICE_ORPHAN_AGE_SECONDS": "4", "SLUICE_SWEEP_INTERVAL_SECONDS": "1"},
    }
    async with patient_stack(tmp_path_factory.mktemp("hurried"), settings=settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", params=DOORS)
async def brisk(request: pytest.FixtureRequest, hurried: Stack) -> AsyncIterator[Door]:
    """Each door of the hurried stack, which outlives the test."""
    async with unharmed(hurried), open_door(hurried, request.param) as one:
        yield one


class TestHttp:
    @pytest.mark.parametrize(
        "lines",
        [
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Content-Length: 5"),
            ("Content-Length: -5",),
            ("Content-Length: 5", "Content-Length: 6"),
            ("Content-Length: 99999999999999999999",),
            ("Content-Length: five",),
            ("Content-Length: 5", "Bad Header : x"),
        ],
    )
    async def test_a_length_that_is_none_is_refused(
        self, door: Door, lines: tuple[str, ...]
    ) -> None:
        async with door.nothing_left(), line(door.stack) as one:
            await one.say(door.head(*lines) + b"5\r\nabcde\r\n0\r\n\r\n")
            refused(await one.hear(), 400, "malformed-http")
            assert await one.ended() == b""

    async def test_a_form_behind_its_length_is_cut_there(self, door: Door) -> None:
        body = door.good()
        async with door.nothing_left(), line(door.stack) as one:
            await one.say(door.head(length(len(body) - 300)) + body[:-300])
            refused(await one.hear(), 400, "form-incomplete")
            await one.say(body[-300:])
            refused(await one.hear(), 400, "malformed-http")
            assert await one.ended() == b""

    async def test_a_form_before_its_length_is_waited_for_and_cut(self, brisk: Door) -> None:
        body = brisk.good()
        async with brisk.nothing_left(), line(brisk.stack) as one:
            await one.say(brisk.head(length(len(body) + 1)) + body)
            refused(await one.hear(), 408, "body-too-slow")
        async with brisk.nothing_left():
            await leave(brisk.stack, brisk.head(length(len(body) + 1)) + body)

    async def test_a_compressed_form_is_refused(self, door: Door) -> None:
        bomb = gzip.compress(door.good(bytes(100 * MIB)), compresslevel=1)
        async with door.nothing_left():
            for encoding in ("gzip", "GZIP", "br", "gzip, identity", "x"):
                for body in (gzip.compress(door.good()), bomb):
                    answer = await door.post(body, headers={"Content-Encoding": encoding})
                    refused(answer, 415, "not-a-form", "Content-Encoding")

    async def test_a_form_that_says_it_is_not_compressed_is_taken(self, door: Door) -> None:
        answer = await door.post(door.good(), headers={"Content-Encoding": "Identity"})
        assert answer.status_code == door.success, answer.text

    async def test_a_compressed_transfer_is_refused(self, door: Door) -> None:
        async with door.nothing_left(), line(door.stack) as one:
            await one.say(door.head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n")
            refused(await one.hear(), 501, "transfer-encoding-unknown")

    async def test_other_methods_are_refused(self, door: Door) -> None:
        async with door.nothing_left():
            for method in ("PUT", "PATCH", "TRACE", "PURGE"):
                answer = await door.http.request(method, door.path, content=door.good())
                refused(answer, 405, "method-not-allowed")
                assert answer.headers["allow"]
            async with line(door.stack) as one:
                await one.say(head("BREW", door.path, door.credential))
                refused(await one.hear(), 400, "malformed-http")

    async def test_a_method_cannot_be_overridden(self, calls: Door) -> None:
        place = f"/api/v1/calls/{await calls.uploaded(mp3())}"
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            for method, status in (("GET", 200), ("POST", 405)):
                answer = await calls.http.request(
                    method, place, headers={name: "DELETE"}, params={"_method": "DELETE"}
                )
                assert answer.status_code == status
        assert (await calls.http.get(place)).status_code == 200


class TestSlowness:
    @pytest.mark.parametrize("trickle", [True, False], ids=["a byte a second", "silent"])
    async def test_a_sender_that_dawdles_is_cut_wherever_it_is(
        self, brisk: Door, trickle: bool
    ) -> None:
        body = brisk.good(mp3(3 * MIB))
        places = (0, 30, body.index(b"\r\n\r\n") + 5, body.index(mp3(50)), 2 * MIB, len(body) - 9)

        async def dawdle(start: int) -> httpx.Response:
            async with line(brisk.stack) as one:
                await one.say(brisk.head(length(body)) + body[:start])
                answering = asyncio.create_task(one.hear())
                for at in range(start, len(body)):
                    done, _ = await asyncio.wait({answering}, timeout=1)
                    if done:
                        break
                    if trickle:
                        await one.say(body[at : at + 1])
                return await answering

        async with brisk.nothing_left():
            for answer in await asyncio.gather(*map(dawdle, places)):
                refused(answer, 408, "body-too-slow")


class TestLeaving:
    async def test_who_leaves_leaves_nothing_wherever_that_is(self, brisk: Door) -> None:
        chance = random.Random(brisk.name)
        body = brisk.good(mp3(3 * MIB))
        places = [0, 1, 20, body.index(b"\r\n\r\n") + 2, body.index(mp3(50)) - 9]
        places += [chance.randrange(len(body)) for _ in range(20)]
        places += [len(body) - 20, len(body) - 4, len(body) - 3, len(body) - 2, len(body) - 1]
        assert len(places) > PLACES
        async with brisk.nothing_left():
            for place in places:
                key = f"Idempotency-Key: {uuid.uuid4()}"
                await leave(brisk.stack, brisk.head(length(body), key) + body[:place])

        async def status() -> int:
            return (await brisk.post(body)).status_code

        # No place is lost to those who left.
        await eventually(status, lambda found: found == brisk.success)
