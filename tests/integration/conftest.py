"""A stack for each module that breaks things: its history is what those tests count."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack
from tests.support import http_client
from tests.uploading import Client, Ledger


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack nobody else uses."""
    async with Stack(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http(own: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(own) as client:
        yield client


@pytest.fixture(scope="module")
def uploader(http: httpx.AsyncClient) -> Client:
    """A client that behaves."""
    return Client(http, Ledger())
