"""Small requests to the object store on signed URLs, asynchronously and on kept connections."""

import base64
import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from sluice_runtime.errors import Unavailable

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=2)


@dataclass(frozen=True)
class Answered:
    """What the store said; `headers` match in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpSession:
    """One pool of kept connections to one store."""

    def __init__(
        self,
        connections: int,
        timeout: aiohttp.ClientTimeout,
        *,
        send_buffer_bytes: int | None = None,
    ) -> None:
        """`send_buffer_bytes` bounds what the system holds of a body that the store has not taken
        yet. Without it the system decides, which is right for a store at a distance."""
        self._connections = connections
        self._timeout = timeout
        self._send_buffer_bytes = send_buffer_bytes
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> aiohttp.ClientSession:
        """Made on first use: a session belongs to a running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, socket_factory=self._socket
                ),
                timeout=self._timeout,
                auto_decompress=False,
                # A header nobody signed is refused by some stores.
                skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
            )
        return self._session

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        if self._send_buffer_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer_bytes)
        return made

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class SignedHttp:
    """Small requests on signed URLs."""

    def __init__(self, connections: int) -> None:
        self._http = HttpSession(connections, _TIMEOUT)

    async def close(self) -> None:
        await self._http.close()

    async def get(self, url: str, length: int | None = None) -> Answered:
        """An object, or its first `length` bytes."""
        headers = {} if length is None else {"Range": f"bytes=0-{length - 1}"}
        return await self._send("GET", url, headers, None, length)

    async def put(self, url: str, data: bytes, content_type: str) -> Answered:
        """Write a small object; the store refuses what does not match its MD5."""
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        headers = {
            "Content-Type": content_type,
            "Content-MD5": base64.b64encode(digest).decode(),
        }
        return await self._send("PUT", url, headers, data)

    async def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | None,
        most: int | None = None,
    ) -> Answered:
        """Raises `Unavailable` when the store is away or fails."""
        try:
            async with self._http.open().request(
                method, url, headers=headers, data=data
            ) as response:
                if most is not None and (response.content_length or 0) > most:
                    # A store that ignores ranges sends the whole, which may be large.
                    body = await response.content.read(most)
                    response.close()
                else:
                    body = await response.read()
                answered = Answered(response.status, response.headers, body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable("The object store is away.", code="store-unavailable") from error
        if answered.status >= 400 and answered.status not in (404, 416):
            raise Unavailable(
                f"The object store answered {answered.status}.", code="store-unavailable"
            )
        return answered
