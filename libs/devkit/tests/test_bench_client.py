"""A measurement outlives an answer that says "later"."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice_devkit.bench.client import patient_session

BODY = b"RIFF" * 1000


class Busy:
    """Answers 503 so many times before it takes anything."""

    def __init__(self) -> None:
        self.refusals = 0
        self.received: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.received.append(await request.read())
        return web.Response(status=503 if len(self.received) <= self.refusals else 201)


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest_asyncio.fixture
async def url(busy: Busy) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_put("/", busy.answer)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


async def streamed() -> AsyncIterator[bytes]:
    yield BODY


async def test_what_was_refused_for_now_is_sent_again(busy: Busy, url: str) -> None:
    busy.refusals = 2
    async with patient_session(1) as http, http.put(url, data=BODY) as response:
        assert response.status == 201
    assert busy.received == [BODY] * 3


async def test_a_body_that_streamed_is_sent_once(busy: Busy, url: str) -> None:
    busy.refusals = 1
    async with patient_session(1) as http, http.put(url, data=streamed()) as response:
        assert response.status == 503
    assert busy.received == [BODY]


async def test_it_does_not_go_on_for_ever(
    busy: Busy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_devkit.bench.client._AGAIN_SECONDS", 0.0)
    busy.refusals = 100
    async with patient_session(1) as http, http.put(url, data=BODY) as response:
        assert response.status == 503
    assert len(busy.received) < busy.refusals
