"""Sending one file's bytes to the store: in one PUT, or those parts that are not there yet."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing

from sluice_cli.failures import CommandError, NetworkError
from sluice_cli.reporting import Track
from sluice_cli.upload.door import Door
from sluice_cli.upload.files import Reader, Source
from sluice_contracts.api import PartUrl, SinglePut

# Signatures last a quarter of an hour; an older one is not worth the bytes of a part.
_FRESH_SECONDS = 600.0
_SIGNED_AT_ONCE = 16


class Stopped(Exception):
    """Somebody wants this to end; what was in flight has arrived."""


class Slots:
    """What may be in flight at once, over all files; each place is worth one part of memory."""

    def __init__(self, most: int, stopping: asyncio.Event) -> None:
        self._places = asyncio.Semaphore(most)
        self._stopping = stopping

    async def take(self) -> bool:
        """Whether there is a place; none once somebody wants to stop."""
        await self._places.acquire()
        if self._stopping.is_set():
            self._places.release()
            return False
        return True

    def give_back(self) -> None:
        self._places.release()


async def send_whole(
    source: Source, upload_id: str, put: SinglePut | None, door: Door, slots: Slots, track: Track
) -> str:
    """Send a file in one PUT; its digest.

    Raises:
        Stopped: before it began.
        NetworkError: it did not arrive, however often it was tried.
    """
    if not await slots.take():
        raise Stopped
    patience = door.repeats()
    try:
        while True:
            if put is None:
                put = (await door.sign(upload_id)).put
            if put is None:
                raise NetworkError("the server did not say where to send the file")
            with closing(Reader(source)) as reader:
                try:
                    headers = {**put.headers, "Content-Length": str(source.size_bytes)}
                    await door.put(put.url, _tracked(reader, source, track), headers)
                    return reader.sha256()
                except NetworkError as error:
                    wait = patience.next_wait()
                    if wait is None:
                        raise
                    door.notice(f"{source.shown}: {error}; trying again in {wait:.1f} s")
            put = None
            await asyncio.sleep(wait)
    finally:
        slots.give_back()


async def _tracked(reader: Reader, source: Source, track: Track) -> AsyncIterator[bytes]:
    sent = 0
    track(0)
    async for piece in reader.pieces(source.size_bytes):
        sent += len(piece)
        track(sent)
        yield piece


class PartsOf:
    """One file on its way in parts. Parts are read in order, for the digest, and sent as they
    find a place; those the store has are read only."""

    def __init__(
        self,
        source: Source,
        upload_id: str,
        part_size: int,
        there: Mapping[int, int],
        door: Door,
        slots: Slots,
        track: Track,
    ) -> None:
        """`there` has the sizes of the parts that the store has, by number."""
        self._source = source
        self._upload_id = upload_id
        self._part_size = part_size
        self._door = door
        self._slots = slots
        self._track = track
        self._count = -(-source.size_bytes // part_size)
        numbers = range(1, self._count + 1)
        self._wanted = [one for one in numbers if there.get(one) != self._length(one)]
        self._urls: dict[int, tuple[str, float]] = {}
        self._signing = asyncio.Lock()
        self._arrived = source.size_bytes - sum(self._length(one) for one in self._wanted)
        self._failure: CommandError | None = None
        self.sent_bytes = 0

    def know(self, urls: tuple[PartUrl, ...]) -> None:
        """URLs that came with another answer."""
        for one in urls:
            self._urls[one.number] = (one.url, time.monotonic())

    async def send(self) -> str:
        """Send what is missing; the digest of all of it.

        Raises:
            Stopped: nothing new was begun, what was in flight has arrived.
            CommandError: a part could not be sent.
        """
        self._track(self._arrived)
        stopped = False
        with closing(Reader(self._source)) as reader:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._count + 1):
                    if number not in self._wanted:
                        await self._skip(reader, number)
                        continue
                    # Nothing is read before it has a place: that is what bounds the memory.
                    stopped = not await self._slots.take()
                    if stopped:
                        break
                    data = await self._read(reader, number)
                    if data is None:
                        break
                    group.create_task(self._send(number, data))
            if self._failure is not None:
                raise self._failure
            if stopped:
                raise Stopped
            return reader.sha256()

    async def _skip(self, reader: Reader, number: int) -> None:
        try:
            if self._failure is None:
                await reader.skip(self._length(number))
        except CommandError as error:
            self._failure = error

    async def _read(self, reader: Reader, number: int) -> bytes | None:
        """A part that has its place; None, and the place given back, when there is no use."""
        try:
            if self._failure is None:
                return await reader.read(self._length(number))
        except CommandError as error:
            self._failure = error
        except BaseException:
            self._slots.give_back()
            raise
        self._slots.give_back()
        return None

    def _length(self, number: int) -> int:
        before = (number - 1) * self._part_size
        return min(self._part_size, self._source.size_bytes - before)

    async def _send(self, number: int, data: bytes) -> None:
        try:
            await self._persist(number, data)
            self.sent_bytes += len(data)
            self._arrived += len(data)
            self._track(self._arrived)
        except CommandError as error:
            self._failure = self._failure or error
        finally:
            self._slots.give_back()

    async def _persist(self, number: int, data: bytes) -> None:
        """Send a part until it arrives, each time to a fresh URL: the old one may have expired, or
        belong to a session that the store has lost since."""
        patience = self._door.repeats()
        while True:
            url = await self._url(number)
            try:
                await self._door.put(url, data, {})
                return
            except NetworkError as error:
                wait = patience.next_wait()
                if wait is None:
                    raise
                self._urls.pop(number, None)
                self._door.notice(
                    f"{self._source.shown}, part {number}: {error}; trying again in {wait:.1f} s"
                )
            await asyncio.sleep(wait)

    async def _url(self, number: int) -> str:
        async with self._signing:
            url, since = self._urls.get(number, ("", 0.0))
            if not url or time.monotonic() - since > _FRESH_SECONDS:
                ahead = [one for one in self._wanted if one >= number][:_SIGNED_AT_ONCE]
                self.know((await self._door.sign(self._upload_id, tuple(ahead))).parts)
                url, _ = self._urls.get(number, ("", 0.0))
        if not url:
            raise NetworkError(f"the server did not say where to send part {number}")
        return url
