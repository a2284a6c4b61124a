"""A TCP proxy that misbehaves on request: it stands between a client and a server, and is the
network of which one says that it cannot be relied upon."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sluice_devkit.ports import HOST, free_ports

_PIECE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Faults:
    """How the network is. All of it holds for connections that are open already, too, except that
    where a connection is cut is drawn when it opens."""

    refuse: bool = False
    """Nobody listens: new connections are refused by the kernel, old ones are reset."""
    stall: bool = False
    """Connections stay open, and nothing passes in either direction."""
    cut_after_bytes: tuple[int, int] | None = None
    """Each new connection is reset after so many bytes, both directions counted together; the
    number is drawn evenly from this range."""
    latency_seconds: tuple[float, float] = (0.0, 0.0)
    """Each piece is held back for a time drawn evenly from this range."""
    bytes_per_second: int | None = None
    """The most each direction of each connection carries."""


FINE = Faults()
"""Everything passes."""


class FaultProxy:
    """Forwards a free port of the loopback interface to `host:port` while its block lasts.

    The same seed draws the same faults, as long as the same connections come in the same order.
    """

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self.host = HOST
        self.port = free_ports(1)[0]
        self.connections = 0
        """How many were opened so far."""
        self.resets = 0
        """How many of them ended with a reset of ours."""
        self._target = (host, port)
        self._chance = random.Random(seed)
        self._faults = FINE
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._knock = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.reset_all()

    async def become(self, faults: Faults) -> None:
        """Change how the network is, from now on."""
        self._faults = faults
        if faults.stall:
            self._flowing.clear()
        else:
            self._flowing.set()
        if faults.refuse:
            self._close()
            self.reset_all()
        elif self._server is None:
            await self._listen()

    async def next_connection(self) -> None:
        """Return when somebody connects."""
        await self._knock.wait()

    def reset_all(self) -> None:
        """Reset every open connection, in both directions."""
        for connection in list(self._open):
            self._reset(connection)

    async def _listen(self) -> None:
        # Resets leave no connection waiting, so the same port is free again at once.
        self._server = await asyncio.start_server(self._accept, self.host, self.port)

    def _close(self) -> None:
        """Stop listening. What is open stays open, so there is nothing to wait for."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self._knock.set()
        self._knock = asyncio.Event()
        connection = _Connection(writer, self._cut())
        self._open.add(connection)
        try:
            there, other = await asyncio.open_connection(*self._target)
            connection.server = other
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(connection, reader, other))
                group.create_task(self._carry(connection, there, writer))
            self._open.discard(connection)
            connection.close()
        except* OSError:
            pass  # gone, on one side or the other: the other one is told below
        finally:
            # Still open only when something broke: whoever is left must not wait for ever.
            self._reset(connection)

    def _cut(self) -> int | None:
        bounds = self._faults.cut_after_bytes
        return None if bounds is None else self._chance.randint(*bounds)

    async def _carry(
        self, connection: "_Connection", source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        """Forward until `source` ends; resets both sides where the connection is to be cut."""
        while data := await source.read(_PIECE_BYTES):
            await self._hold_back(len(data))
            left = connection.count(len(data))
            if left is not None:
                # What came before the cut may arrive: neither side knows how much the other has.
                sink.write(data[:left])
                with suppress(OSError):
                    await sink.drain()
                raise ConnectionResetError("cut on request")
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()

    async def _hold_back(self, size: int) -> None:
        await self._flowing.wait()
        faults = self._faults
        seconds = self._chance.uniform(*faults.latency_seconds)
        if faults.bytes_per_second:
            seconds += size / faults.bytes_per_second
        if seconds:
            await asyncio.sleep(seconds)
            # It may have stalled meanwhile.
            await self._flowing.wait()

    def _reset(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        if connection.reset():
            self.resets += 1


class _Connection:
    """The two sides of one connection, and how far it goes."""

    def __init__(self, client: asyncio.StreamWriter, cut: int | None) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self._left = cut
        self._done = False

    def count(self, size: int) -> int | None:
        """Where to cut a piece of `size` bytes; None when all of it may pass."""
        if self._left is None:
            return None
        self._left -= size
        return size + self._left if self._left < 0 else None

    def close(self) -> None:
        self._end(lambda writer: writer.close())

    def reset(self) -> bool:
        """End both sides with a reset; False when they had ended."""
        return self._end(_abort)

    def _end(self, how: Callable[[asyncio.StreamWriter], None]) -> bool:
        if self._done:
            return False
        self._done = True
        how(self.client)
        if self.server is not None:
            how(self.server)
        return True


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close so that the kernel sends a reset: lingering for no time at all."""
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
