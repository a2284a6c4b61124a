"""Bytes to and from the object store, through signed URLs, on one HTTP session."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp

from sluice_gateway.domain import ByteRange
from sluice_gateway.ports import Body
from sluice_runtime.errors import NotFound, Unavailable
from sluice_runtime.signed_http import HttpSession

_CHUNK = 256 * 1024
_PAUSES_SECONDS = (0.1, 0.5)
# Generous for a slow disk, and still an end: a store that hangs must not hold a sender forever.
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=3, sock_read=60)


class SignedUrlStore:
    """The object store as the gateway may use it: with no credential of its own."""

    def __init__(self, connections: int, *, send_buffer_bytes: int | None = None) -> None:
        self._http = HttpSession(connections, _TIMEOUT, send_buffer_bytes=send_buffer_bytes)

    async def close(self) -> None:
        await self._http.close()

    async def put(self, url: str, body: Body, length: int, content_type: str) -> str:
        """Send `length` bytes as they come; returns the store's tag."""
        return await self._put(
            url, body, {"Content-Length": str(length), "Content-Type": content_type}
        )

    async def put_whole(self, url: str, data: bytes, md5: bytes, content_type: str) -> str:
        """Send a small body with its MD5, so that the store refuses what arrives otherwise."""
        headers = {"Content-Type": content_type, "Content-MD5": base64.b64encode(md5).decode()}
        return await self._persist(lambda: self._put(url, data, headers))

    async def put_part(self, url: str, data: memoryview) -> str:
        """Send one part of a multipart upload; returns its tag."""
        headers = {"Content-Length": str(len(data))}
        return await self._persist(lambda: self._put(url, _slices(data), headers))

    async def _persist(self, put: Callable[[], Awaitable[str]]) -> str:
        """Bytes that are still in memory survive a store that stumbles."""
        for pause in _PAUSES_SECONDS:
            try:
                return await put()
            except Unavailable:
                await asyncio.sleep(pause)
        return await put()

    async def _put(
        self, url: str, body: AsyncIterator[bytes | memoryview] | bytes, headers: dict[str, str]
    ) -> str:
        try:
            async with self._http.open().put(url, data=body, headers=headers) as response:
                if response.status == 200:
                    return response.headers.get("ETag", "").strip('"')
                await response.read()
                raise Unavailable(
                    f"The object store answered {response.status}.", code="store-unavailable"
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable("The object store is away.", code="store-unavailable") from error

    @asynccontextmanager
    async def get(self, url: str, wanted: ByteRange) -> AsyncIterator[Body]:
        """The bytes of a range, as they come. Raises `NotFound` when they were lost."""
        headers = {"Range": f"bytes={wanted.first}-{wanted.last}"}
        try:
            async with self._http.open().get(url, headers=headers) as response:
                if response.status == 404:
                    raise NotFound(
                        "The bytes are gone from the object store.", code="object-missing"
                    )
                if response.status not in (200, 206) or (response.content_length != wanted.length):
                    raise Unavailable(
                        f"The object store answered {response.status}.", code="store-unavailable"
                    )
                yield response.content.iter_chunked(_CHUNK)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable("The object store is away.", code="store-unavailable") from error


async def _slices(data: memoryview) -> AsyncIterator[memoryview]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]
