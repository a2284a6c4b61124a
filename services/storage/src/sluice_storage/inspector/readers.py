"""Child processes that read files, kept for many files and replaced when one breaks them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

import structlog
from prometheus_client import Counter, Histogram
from pydantic import ValidationError

from sluice_runtime.errors import Unavailable
from sluice_storage.inspector.ports import Finding

log = structlog.get_logger(__name__)

INSPECTED = Counter("sluice_inspections", "Files looked into", ["outcome"])
READING = Histogram("sluice_inspection_seconds", "Time a child took to read a file")

# `-I`: no working folder, no user's folder and no variable decides what is imported.
COMMAND = (sys.executable, "-I", "-m", "sluice_storage.inspector.child")
_START_SECONDS = 30.0
# What decoders lose over many files goes with the child.
_FILES_PER_CHILD = 200
_MAX_ANSWER_BYTES = 64 * 1024


class _Ended(Exception):
    """The child is gone, or talks nonsense."""


class _Child:
    """One process and our end of its socket."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises `OSError` when the system has no process or no socket for it."""
        self.files = 0
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        try:
            # The kernel kills it when the thread that starts it ends: this is the main one.
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                (*command, str(os.getpid())),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            self._channel.close()
            raise
        finally:
            theirs.close()

    def ask(self, file: IO[bytes]) -> None:
        """Hand over an open file; a byte always fits into an empty socket."""
        self.files += 1
        try:
            socket.send_fds(self._channel, [b"?"], [file.fileno()])
        except OSError as error:
            raise _Ended from error

    async def line(self) -> bytes:
        loop, received = asyncio.get_running_loop(), b""
        while not received.endswith(b"\n"):
            try:
                more = await loop.sock_recv(self._channel, _MAX_ANSWER_BYTES)
            except OSError as error:
                raise _Ended from error
            received += more
            if not more or len(received) > _MAX_ANSWER_BYTES:
                raise _Ended
        return received

    async def end(self) -> int:
        """Kill it, if it has not ended before; how it ended."""
        self._channel.close()
        self.process.kill()
        return await asyncio.to_thread(self.process.wait)


class Reader:
    """Reads one file at a time in a child process."""

    def __init__(
        self,
        timeout_seconds: float,
        *,
        command: Sequence[str] = COMMAND,
        files_per_child: int = _FILES_PER_CHILD,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._command = command
        self._files_per_child = files_per_child
        self._child: _Child | None = None
        self._at_work = asyncio.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id of the child, if there is one."""
        return None if self._child is None else self._child.process.pid

    async def read(self, file: IO[bytes]) -> Finding:
        """What is in an open file.

        Raises:
            Unavailable: no child starts, or we are closing.
        """
        async with self._at_work:
            return await self._read(file)

    async def close(self) -> None:
        """Leave no process behind."""
        self._closed = True
        if self._child is not None:
            # Whoever waits for its answer hears that there will be none.
            self._child.process.kill()
        async with self._at_work:
            await self._end()

    async def _read(self, file: IO[bytes]) -> Finding:
        child = await self._ready()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                child.ask(file)
                finding = Finding.model_validate_json(await child.line())
        except TimeoutError:
            await self._end()
            return Finding(readable=False, reason="timed-out")
        except (_Ended, ValidationError):
            return await self._buried()
        except BaseException:
            # It may still be at work, and its answer would be taken for that to the next file.
            await self._end()
            raise
        if child.files >= self._files_per_child or finding.reason == "out-of-memory":
            await self._end()
        return finding

    async def _ready(self) -> _Child:
        if self._closed:
            raise Unavailable("The inspector is stopping.", code="reader-unavailable")
        if self._child is not None:
            return self._child
        try:
            child = self._child = _Child(self._command)
            async with asyncio.timeout(_START_SECONDS):
                await child.line()
        except (_Ended, OSError) as error:
            code = await self._end()
            log.error("reader does not start", exit_code=code, error=repr(error))  # noqa: TRY400
            raise Unavailable("No reader starts.", code="reader-unavailable") from error
        except BaseException:
            await self._end()
            raise
        return child

    async def _buried(self) -> Finding:
        """What the end of the child says of the file it had."""
        code = await self._end()
        if self._closed:
            raise Unavailable("The inspector is stopping.", code="reader-unavailable")
        log.warning("reader ended", exit_code=code)
        reason = "timed-out" if code == -signal.SIGXCPU else "crashed"
        return Finding(readable=False, reason=reason)

    async def _end(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else await child.end()


class Readers:
    """Several children, each at work on another file; started when they are needed."""

    def __init__(self, children: int, timeout_seconds: float) -> None:
        self._all = [Reader(timeout_seconds) for _ in range(children)]
        # The one that was used last is warm.
        self._free: asyncio.LifoQueue[Reader] = asyncio.LifoQueue()
        for reader in self._all:
            self._free.put_nowait(reader)

    async def read(self, file: IO[bytes]) -> Finding:
        """What is in an open file, as soon as a child is free. Raises as `Reader.read` does."""
        reader = await self._free.get()
        try:
            started = time.perf_counter()
            finding = await reader.read(file)
            READING.observe(time.perf_counter() - started)
        finally:
            self._free.put_nowait(reader)
        INSPECTED.labels(finding.reason or "readable").inc()
        return finding

    async def close(self) -> None:
        """Leave no process behind."""
        for reader in self._all:
            await reader.close()
