"""The road straight into the store, beside which every other one is measured."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiohttp
import nats
from nats.aio.client import Client

from sluice_contracts.topology import CONSUMERS, TASKS, Consumer
from sluice_devkit.stack import Stack
from sluice_runtime.objects import ObjectStore

CHUNK_BYTES = 256 * 1024
_CHUNK = bytes(CHUNK_BYTES)
_REST_SECONDS = 300.0


async def zeros(length: int) -> AsyncIterator[bytes]:
    """A body of `length` bytes, a multiple of 256 KiB."""
    for _ in range(length // len(_CHUNK)):
        yield _CHUNK


class Direct:
    """Signed PUTs of the store itself."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._http = http
        access = stack.s3
        self._store = ObjectStore(
            access.url,
            access_key=access.access_key,
            secret_key=access.secret_key,
            bucket=access.bucket,
            region="us-east-1",
        )

    def urls(self, count: int) -> list[str]:
        """Signed URLs for keys nobody else uses."""
        lifetime = timedelta(minutes=15)
        keys = [f"bench/{uuid4().hex}.wav" for _ in range(count)]
        return [self._store.sign("PUT", key, lifetime) for key in keys]

    async def put(self, url: str, body: AsyncIterator[bytes] | bytes, length: int) -> int:
        """Send one body; returns the status. A refusal ends the bench."""
        headers = {"Content-Type": "audio/wav", "Content-Length": str(length)}
        async with self._http.put(url, data=body, headers=headers) as response:
            await response.read()
            if response.status not in (200, 201, 202):
                raise RuntimeError(f"PUT was answered {response.status}")
            return response.status

    async def delete(self, url: str) -> None:
        """Remove what was sent to a signed URL: it is not to fill disk and memory meanwhile."""
        await self._store.delete(
            unquote(urlsplit(url).path).removeprefix(f"/{self._store.bucket}/")
        )

    def puts(self, urls: list[str], body: bytes) -> Callable[[], Awaitable[int]]:
        """Sends `body` to another of the URLs with each call."""
        return lambda: self.put(urls.pop(), body, len(body))


async def settle(stack: Stack) -> None:
    """What was measured before must slow down nothing that comes next: neither by what services do
    behind their answers, nor through the page cache.

    Raises:
        RuntimeError: the services did not come to rest.
    """
    connection = await nats.connect(
        stack.nats_url,
        user="topology",
        password=stack.nats_users["topology"],
        inbox_prefix=b"_INBOX_topology",
    )
    try:
        until = time.monotonic() + _REST_SECONDS
        for consumer in CONSUMERS:
            while consumer.stream is not TASKS and await _is_busy(connection, consumer):
                if time.monotonic() > until:
                    raise RuntimeError(f"{consumer.name} did not come to rest")
                await asyncio.sleep(0.1)
    finally:
        await connection.close()
    await asyncio.to_thread(os.sync)


async def _is_busy(connection: Client, consumer: Consumer) -> bool:
    info = await connection.jetstream(timeout=10).consumer_info(consumer.stream.name, consumer.name)
    return bool(info.num_pending or info.num_ack_pending)
