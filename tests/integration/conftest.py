"""A stack for each module that breaks things: its history is what those tests count. A database for
each that needs no more."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack
from tests.integration.catalog_database import catalog_database
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


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database of a catalog nobody else uses."""
    with catalog_database(tmp_path_factory.mktemp("postgres")) as there:
        yield there
