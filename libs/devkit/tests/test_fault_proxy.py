"""The proxy that misbehaves does so exactly as it is told."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sluice_devkit.fault_proxy import FINE, FaultProxy, Faults
from sluice_devkit.ports import HOST

DEADLINE = 20.0
LONG = bytes(1_000_000)


class Echo:
    """Sends back what it gets, and counts it."""

    def __init__(self) -> None:
        self.received = 0
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.received += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        finally:
            writer.close()


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    one = Echo()
    server = await asyncio.start_server(one.answer, HOST, 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


@pytest_asyncio.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(HOST, echo.port, seed=1) as running:
        yield running


async def exchange(proxy: FaultProxy, data: bytes) -> bytes:
    """What comes back of `data`, until the end."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        async with asyncio.timeout(DEADLINE):
            answer = asyncio.create_task(reader.read())
            try:
                writer.write(data)
                await writer.drain()
                writer.write_eof()
            finally:
                back = await answer
        return back
    finally:
        writer.transport.abort()


async def test_everything_passes_when_nothing_is_wrong(proxy: FaultProxy) -> None:
    knock = asyncio.create_task(proxy.next_connection())
    assert await exchange(proxy, LONG) == LONG
    async with asyncio.timeout(DEADLINE):
        await knock
    assert await asyncio.gather(*(exchange(proxy, b"x") for _ in range(5))) == [b"x"] * 5
    assert (proxy.connections, proxy.resets) == (6, 0)


async def test_a_connection_is_reset_after_so_many_bytes(proxy: FaultProxy, echo: Echo) -> None:
    await proxy.become(Faults(cut_after_bytes=(5000, 5000)))
    assert await exchange(proxy, b"short") == b"short"
    with pytest.raises(ConnectionError):
        await exchange(proxy, LONG)
    assert 0 < echo.received <= 5005
    assert proxy.resets == 1


async def test_the_same_seed_cuts_at_the_same_places(echo: Echo) -> None:
    arrived = []
    for _ in range(2):
        async with FaultProxy(HOST, echo.port, seed=7) as proxy:
            await proxy.become(Faults(cut_after_bytes=(1, 100_000)))
            places = [proxy._cut() for _ in range(5)]
        arrived.append(places)
    assert arrived[0] == arrived[1]
    assert len(set(arrived[0])) > 1


async def test_a_stalled_connection_stays_open_and_goes_on_later(proxy: FaultProxy) -> None:
    await proxy.become(Faults(stall=True))
    waiting = asyncio.create_task(exchange(proxy, b"patience"))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    await proxy.become(FINE)
    assert await waiting == b"patience"


async def test_nobody_listens_while_connections_are_refused(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    await proxy.become(Faults(refuse=True))
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            await reader.readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await exchange(proxy, b"x")
    await proxy.become(FINE)
    assert await exchange(proxy, b"x") == b"x"
    writer.transport.abort()


async def test_open_connections_are_reset_on_request(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    proxy.reset_all()
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(DEADLINE):
            await reader.readexactly(1)
    writer.transport.abort()


async def test_latency_and_rate_hold_bytes_back(proxy: FaultProxy) -> None:
    await proxy.become(Faults(latency_seconds=(0.1, 0.1)))
    began = time.monotonic()
    assert await exchange(proxy, b"x") == b"x"
    assert time.monotonic() - began >= 0.2

    await proxy.become(Faults(bytes_per_second=200_000))
    began = time.monotonic()
    assert await exchange(proxy, LONG[:60_000]) == LONG[:60_000]
    assert time.monotonic() - began >= 0.3


async def test_a_server_that_is_gone_resets_the_client(echo: Echo) -> None:
    async with FaultProxy(HOST, 1) as proxy:
        with pytest.raises(ConnectionError):
            await exchange(proxy, b"x")
