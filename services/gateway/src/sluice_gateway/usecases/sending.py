"""Moving one body to the store: one PUT, or parts of which a few are in flight.

Memory is bounded by the parts in flight; nothing is written to a disk of ours.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sluice_contracts.facts import MultipartSession, Part
from sluice_contracts.questions import BeginUpload, SignedPart, SignParts, UploadBegun
from sluice_gateway.ports import Body, Deps
from sluice_runtime.errors import Rejected, Unavailable

# Bodies up to this size are held whole, which lets the store check their MD5.
WHOLE_BYTES = 1024**2
_HEAD_BYTES = 512
_PIECE_BYTES = 1024**2
_PIECE_SECONDS = 1.0


@dataclass(frozen=True)
class Sent:
    """What arrived in the store: its size, its digest, and the parts still to be joined.

    `etag` and `head` are there when the store compared a small body with its MD5.
    """

    size_bytes: int
    sha256: str
    multipart: MultipartSession | None = None
    etag: str | None = None
    head: bytes = b""


@dataclass
class Sending:
    """One body on its way. `put_url` was signed with the plan and serves a small body; with
    `begun_as` storage has been asked already.

    `begun` and `session_id` are set as soon as there is something to clean up. `sha256` is there
    when the digest of a small body is known already.
    """

    key: str
    content_type: str
    size_bytes: int | None
    put_url: str | None = None
    session_id: str | None = None
    begun: bool = field(default=False)
    begun_as: UploadBegun | None = None
    sha256: str | None = None


async def send(sending: Sending, body: Body, deps: Deps) -> Sent:
    """Send `body` to the store.

    Raises:
        Rejected: it is empty, or ended early.
        Unavailable: the store is away.
    """
    size = sending.size_bytes
    if sending.put_url is not None and size is not None and size <= WHOLE_BYTES:
        sending.begun = True
        data = await _held(body, size)
        try:
            return await _send_whole(sending.put_url, sending, data, deps)
        except Unavailable:
            # It was signed a while ago: the store may have moved since, or changed its keys.
            body = _again(data)
    begun = sending.begun_as or await deps.asker.ask(
        BeginUpload(key=sending.key, content_type=sending.content_type, size_bytes=size)
    )
    sending.begun, sending.session_id = True, begun.session_id
    if begun.put_url is None:
        return await _Parts(sending, begun, deps).send(body)
    assert size is not None
    if size > WHOLE_BYTES:
        return await _send_stream(begun.put_url, sending, body, deps)
    return await _send_whole(begun.put_url, sending, await _held(body, size), deps)


async def _held(body: Body, size: int) -> bytes:
    held = bytearray()
    async for chunk in body:
        held += chunk
    _require_all(len(held), size)
    return bytes(held)


async def _again(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _send_whole(url: str, sending: Sending, data: bytes, deps: Deps) -> Sent:
    digest = sending.sha256 or hashlib.sha256(data).hexdigest()
    md5 = hashlib.md5(data, usedforsecurity=False)
    etag = await deps.store.put_whole(url, data, md5.digest(), sending.content_type)
    if etag != md5.hexdigest():
        return Sent(len(data), digest)
    return Sent(len(data), digest, etag=etag, head=data[:_HEAD_BYTES])


async def _send_stream(url: str, sending: Sending, body: Body, deps: Deps) -> Sent:
    size, digest = sending.size_bytes or 0, hashlib.sha256()
    failures: list[Exception] = []

    async def hashed() -> AsyncIterator[bytes]:
        sent = 0
        try:
            async for chunk in _gathered(body):
                digest.update(chunk)
                sent += len(chunk)
                yield chunk
            _require_all(sent, size)
        except Exception as error:
            failures.append(error)
            raise

    try:
        await deps.store.put(url, hashed(), size, sending.content_type)
    except Unavailable:
        if failures:
            # To whoever talks to the store, a body that fails is a connection that does.
            raise failures[0] from None
        raise
    return Sent(size, digest.hexdigest())


async def _gathered(body: Body) -> AsyncIterator[bytes]:
    """`body` in larger pieces: each of them costs the event loop, the network and the store the
    same, whatever its size. A sender that takes its time is not waited for."""
    held, size, until = list[bytes](), 0, time.monotonic() + _PIECE_SECONDS
    async for chunk in body:
        held.append(chunk)
        size += len(chunk)
        if size >= _PIECE_BYTES or time.monotonic() >= until:
            yield b"".join(held)
            held, size, until = [], 0, time.monotonic() + _PIECE_SECONDS
    if held:
        yield b"".join(held)


def _require_all(sent: int, promised: int | None) -> None:
    if sent == 0:
        raise Rejected("The body is empty; send the bytes of the file.", code="empty-upload")
    if promised is not None and sent != promised:
        raise Rejected(f"{promised} bytes were promised and {sent} came.", code="body-incomplete")


class _Parts:
    """Cuts a body into parts, and sends a few of them at a time."""

    def __init__(self, sending: Sending, begun: UploadBegun, deps: Deps) -> None:
        assert begun.session_id is not None
        self._sending = sending
        self._session = begun.session_id
        self._part_size = begun.part_size
        self._urls = {part.number: part.url for part in begun.parts}
        self._deps = deps
        self._places = asyncio.Semaphore(deps.limits.parts_in_flight)
        # At most one buffer for each part in flight, and one that is being filled.
        self._buffers: list[bytearray] = []
        self._done: list[Part] = []
        self._digest = hashlib.sha256()
        self._size = 0

    async def send(self, body: Body) -> Sent:
        try:
            async with asyncio.TaskGroup() as group:
                await self._cut(body, group)
        except BaseExceptionGroup as failures:
            raise _first(failures) from failures
        parts = tuple(sorted(self._done, key=lambda part: part.number))
        session = MultipartSession(session_id=self._session, parts=parts)
        return Sent(self._size, self._digest.hexdigest(), session)

    async def _cut(self, body: Body, group: asyncio.TaskGroup) -> None:
        number, filled, buffer = 1, 0, self._buffer()
        async for chunk in body:
            offset = 0
            while offset < len(chunk):
                taken = min(len(chunk) - offset, self._part_size - filled)
                piece = memoryview(chunk)[offset : offset + taken]
                # At once: it is in the cache of the processor still, a whole part would not be.
                self._digest.update(piece)
                buffer[filled : filled + taken] = piece
                filled, offset = filled + taken, offset + taken
                if filled == self._part_size:
                    await self._dispatch(group, number, buffer, filled)
                    number, filled, buffer = number + 1, 0, self._buffer()
        if filled:
            await self._dispatch(group, number, buffer, filled)
        _require_all(self._size, self._sending.size_bytes)

    def _buffer(self) -> bytearray:
        """One that came back, or a new one: a short body needs no more than it fills."""
        return self._buffers.pop() if self._buffers else bytearray(self._part_size)

    async def _dispatch(
        self, group: asyncio.TaskGroup, number: int, buffer: bytearray, filled: int
    ) -> None:
        data = memoryview(buffer)[:filled]
        self._size += filled
        await self._places.acquire()
        url = await self._url(number)
        group.create_task(self._send_part(number, url, buffer, data))

    async def _send_part(self, number: int, url: str, buffer: bytearray, data: memoryview) -> None:
        try:
            etag = await self._deps.store.put_part(url, data)
        except Unavailable:
            # A slow sender outlasts what was signed when it began.
            (signed,) = await self._sign((number,))
            etag = await self._deps.store.put_part(signed.url, data)
        self._done.append(Part(number=number, etag=etag))
        self._buffers.append(buffer)
        self._places.release()

    async def _url(self, number: int) -> str:
        if number not in self._urls:
            signed = await self._sign(tuple(range(number, number + 64)))
            self._urls = {part.number: part.url for part in signed}
        return self._urls.pop(number)

    async def _sign(self, numbers: tuple[int, ...]) -> tuple[SignedPart, ...]:
        question = SignParts(key=self._sending.key, session_id=self._session, numbers=numbers)
        return (await self._deps.asker.ask(question)).parts


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that began it; the others only followed."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
