"""The connections on which bytes travel to the object store."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from sluice_runtime.signed_http import HttpSession

TIMEOUT = aiohttp.ClientTimeout(total=30)
SEND_BUFFER = 96 * 1024


@asynccontextmanager
async def unfinished_server() -> AsyncIterator[str]:
    """A server whose answers never end, so that their connection can be looked at."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def send_buffer_of(http: HttpSession) -> int:
    async with unfinished_server() as url, http.open().get(url) as response:
        assert response.connection is not None
        transport = response.connection.transport
        assert transport is not None
        used: socket.socket = transport.get_extra_info("socket")
        size = used.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    await http.close()
    return size


async def test_connections_send_ahead_no_more_than_they_may() -> None:
    size = await send_buffer_of(HttpSession(1, TIMEOUT, send_buffer_bytes=SEND_BUFFER))
    # Linux doubles it, for its own books.
    assert size in (SEND_BUFFER, 2 * SEND_BUFFER)


async def test_unless_they_are_told_the_system_decides() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = socket.create_connection(listening.getsockname())
        usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        plain.close()
    assert await send_buffer_of(HttpSession(1, TIMEOUT)) == usual
