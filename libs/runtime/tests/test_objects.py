"""The object store, on a server that answers as some stores do."""

import gzip
import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice_runtime.objects import ObjectStore

PLAIN = b"sound" * 1000


class Shelf:
    """One object that was sent as compressed, whether it is or not."""

    def __init__(self) -> None:
        self.body = b""

    async def get(self, _: web.Request) -> web.Response:
        return web.Response(body=self.body, headers={"Content-Encoding": "gzip"})


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest_asyncio.fixture
async def store(shelf: Shelf) -> AsyncIterator[ObjectStore]:
    application = web.Application()
    application.router.add_get("/bucket/key", shelf.get)
    async with TestServer(application) as server:
        opened = ObjectStore(
            str(server.make_url("")),
            access_key="access-key",
            secret_key="secret-key",
            bucket="bucket",
            region="us-east-1",
        )
        yield opened
        await opened.close()


@pytest.mark.parametrize("body", [PLAIN, gzip.compress(PLAIN)], ids=["plain", "compressed"])
async def test_a_digest_is_that_of_the_bytes_as_they_lie_there(
    store: ObjectStore, shelf: Shelf, body: bytes
) -> None:
    """A sender may say that they are compressed, and may lie: neither is to change what they are,
    nor to look like a store that is away."""
    shelf.body = body
    assert await store.digest("key") == (len(body), hashlib.sha256(body).hexdigest())
