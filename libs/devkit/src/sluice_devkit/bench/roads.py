"""The road straight into the store, beside which every other one is measured."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import aiohttp

from sluice_devkit.stack import Stack
from sluice_runtime.objects import ObjectStore

CHUNK_BYTES = 256 * 1024
_CHUNK = bytes(CHUNK_BYTES)


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

    def puts(self, urls: list[str], body: bytes) -> Callable[[], Awaitable[int]]:
        """Sends `body` to another of the URLs with each call."""
        return lambda: self.put(urls.pop(), body, len(body))


async def settle() -> None:
    """What was measured before must not slow down what comes next through the page cache."""
    await asyncio.to_thread(os.sync)
