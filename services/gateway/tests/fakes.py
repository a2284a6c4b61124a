"""What the gateway works with, in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice_contracts.api import PublicEvent
from sluice_contracts.facts import Fact, RecordingUpload
from sluice_contracts.questions import (
    AbandonUpload,
    BeginUpload,
    Claim,
    Done,
    PlaceUpload,
    PlannedUpload,
    ReleaseClaim,
    RenewClaim,
    SignedPart,
    SignedParts,
    SignParts,
    UploadBegun,
    UploadClaimed,
    UploadOutcome,
    UploadPlaced,
)
from sluice_gateway.domain import ByteRange, UploadTokens
from sluice_gateway.ports import Body, Deps, Limits
from sluice_runtime.errors import SluiceError, Unavailable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UPLOAD = "upl_00000001"
KEY = "tenants/dev/recordings/2026/11/20/rec_00000001/a.wav"
FORM_KEY = "audio/p/r/2026-11-20/12/chunk.ogg"
TOKENS = UploadTokens("s" * 32)
TOKEN = TOKENS.sign(UPLOAD, NOW + timedelta(minutes=10))
REPLY_TO = f"sluice.live.v1.reply.i.{UPLOAD}"


async def body_of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


@dataclass
class FakeStore:
    """A store behind signed URLs; keeps what it was sent, and how much of it at once."""

    whole: dict[str, bytes] = field(default_factory=dict)
    parts: dict[int, bytes] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    buffers: set[int] = field(default_factory=set)
    in_flight: int = 0
    most_in_flight: int = 0
    fails_at: int | None = None
    away: bool = False
    dead: set[str] = field(default_factory=set)  # URLs that are no longer good
    pauses: Iterator[float] | None = None
    tag: str | None = None  # instead of the MD5, as of a store that tags otherwise

    def _require(self) -> None:
        if self.away:
            raise Unavailable("The object store is away.", code="store-unavailable")

    async def put(self, url: str, body: Body, length: int, content_type: str) -> str:
        self._require()
        try:
            self.pieces = [chunk async for chunk in body]
        except Exception as error:
            # As HTTP libraries do: they cannot tell a body that fails from a broken connection.
            raise Unavailable("The object store is away.", code="store-unavailable") from error
        data = b"".join(self.pieces)
        assert len(data) == length, "HTTP would not let another length through"
        self.whole[url] = data
        return "tag"

    async def put_whole(self, url: str, data: bytes, md5: bytes, content_type: str) -> str:
        self._require()
        if url in self.dead:
            raise Unavailable("The object store answered 403.", code="store-unavailable")
        assert hashlib.md5(data, usedforsecurity=False).digest() == md5
        self.whole[url] = data
        return md5.hex() if self.tag is None else self.tag

    async def put_part(self, url: str, data: memoryview) -> str:
        number = int(url.rpartition("=")[2])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.buffers.add(id(data.obj))
        try:
            self._require()
            if url in self.dead:
                raise Unavailable("The object store answered 403.", code="store-unavailable")
            before = hashlib.sha256(data).hexdigest()
            await asyncio.sleep(next(self.pauses, 0) if self.pauses else 0)
            if number == self.fails_at:
                raise Unavailable("The object store answered 500.", code="store-unavailable")
            assert hashlib.sha256(data).hexdigest() == before, "changed while it was being sent"
            self.parts[number] = bytes(data)
            return f"etag{number}"
        finally:
            self.in_flight -= 1

    def get(self, url: str, wanted: ByteRange) -> AbstractAsyncContextManager[Body]:
        raise NotImplementedError


@dataclass
class FakeWorld:
    """The other services: they answer as they would, and what they were asked is kept."""

    store: FakeStore = field(default_factory=FakeStore)
    part_size: int = 4
    in_flight: int = 2
    signed_first: int = 3
    register_timeout: float = 5.0
    max_upload_bytes: int = 1000
    min_rate_bytes: int = 0
    min_rate_seconds: float = 30.0
    lease_seconds: float = 30.0
    put_url: str | None = None
    is_first: bool = True
    vouch_seconds: float = 50.0
    outcomes: list[UploadOutcome | None] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    announced: list[tuple[Fact, str]] = field(default_factory=list)
    refuses_claim: SluiceError | None = None
    refuses_place: SluiceError | None = None
    refuses_renewal: SluiceError | None = None
    refuses_fact: SluiceError | None = None
    answers: dict[type, Callable[[Any], Awaitable[Any]]] = field(default_factory=dict)
    live: Any = None
    is_expecting: bool = False

    def questions(self, kind: type) -> list[Any]:
        return [one for one in self.asked if isinstance(one, kind)]

    async def ask(self, question: Any, *, timeout_seconds: float = 5.0) -> Any:
        self.asked.append(question)
        if type(question) in self.answers:
            return await self.answers[type(question)](question)
        if isinstance(question, BeginUpload):
            return self._begin(question)
        if isinstance(question, SignParts):
            return SignedParts(
                parts=tuple(
                    SignedPart(number=number, url=part_url(number, "anew"))
                    for number in question.numbers
                )
            )
        if isinstance(question, RenewClaim) and self.refuses_renewal is not None:
            raise self.refuses_renewal
        assert isinstance(question, AbandonUpload | ReleaseClaim | RenewClaim), question
        return Done()

    def _begin(self, question: BeginUpload) -> UploadBegun:
        size = question.size_bytes
        if size is not None and size <= self.part_size:
            return UploadBegun(put_url="http://store/whole", part_size=self.part_size)
        signed = tuple(
            SignedPart(number=number, url=part_url(number))
            for number in range(1, self.signed_first + 1)
        )
        return UploadBegun(session_id="s1", part_size=self.part_size, parts=signed)

    async def claim(self, claim: Claim) -> UploadClaimed:
        self.asked.append(claim)
        if self.refuses_claim is not None:
            raise self.refuses_claim
        return UploadClaimed(
            upload=PlannedUpload(
                upload_id=claim.upload_id,
                recording_id="rec_00000001",
                filename="a.wav",
                content_type=claim.content_type,
                bucket="media",
                key=KEY,
                put_url=self.put_url,
            ),
            tenant="dev",
            registration=RecordingUpload(
                batch_id="rb_00000001",
                recording_id="rec_00000001",
                filename="a.wav",
                created_by="me",
            ),
            lease_seconds=self.lease_seconds,
            is_first=self.is_first,
        )

    async def place(self, place: PlaceUpload) -> UploadPlaced:
        self.asked.append(place)
        if self.refuses_place is not None:
            raise self.refuses_place
        asked = BeginUpload(
            key=FORM_KEY, content_type=place.content_type, size_bytes=place.size_bytes
        )
        return UploadPlaced(
            bucket="media",
            key=FORM_KEY,
            begun=self._begin(asked),
            vouch_seconds=self.vouch_seconds,
        )

    async def announce(self, fact: Fact, *, event_id: str, budget_seconds: float = 12.0) -> None:
        assert self.is_expecting, "the answer could come before anybody listens"
        if self.refuses_fact is not None:
            raise self.refuses_fact
        self.announced.append((fact, event_id))

    @contextmanager
    def expect(self, claim_id: str) -> Iterator["FakeWaiting"]:
        claims = self.questions(Claim)
        assert not claims or claim_id == claims[-1].claim_id
        self.is_expecting = True
        yield FakeWaiting(self)
        self.is_expecting = False

    def deps(self) -> Deps:
        return Deps(
            asker=self,
            store=self.store,
            media=self.store,
            claims=self,
            places=self,
            announcer=self,
            outcomes=self,
            live=self.live,
            tokens=TOKENS,
            limits=Limits(
                presign_lifetime_seconds=600,
                register_timeout_seconds=self.register_timeout,
                max_upload_bytes=self.max_upload_bytes,
                max_chunk_bytes=self.max_upload_bytes,
                max_call_bytes=self.max_upload_bytes,
                max_render_bytes=self.max_upload_bytes,
                parts_in_flight=self.in_flight,
                min_rate_bytes=self.min_rate_bytes,
                min_rate_seconds=self.min_rate_seconds,
            ),
            now=lambda: NOW,
            new_id=lambda prefix: f"{prefix}_00000009",
        )


class FakeWaiting:
    """Hands out the outcomes the world has ready; None when time is up."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self.reply_to = REPLY_TO

    async def outcome(self, timeout_seconds: float) -> UploadOutcome | None:
        self._world.patience.append(timeout_seconds)
        return self._world.outcomes.pop(0) if self._world.outcomes else None


def part_url(number: int, signed: str = "first") -> str:
    return f"http://store/part?signed={signed}&partNumber={number}"


class FakeListener:
    """One reader of live events, fed by `advance`, which makes the world go on by one step."""

    def __init__(self, advance: Callable[["FakeListener"], bool | None]) -> None:
        self.queue: list[PublicEvent] = []
        self.ended = False
        self._advance = advance

    async def next(self, timeout_seconds: float) -> PublicEvent | None:
        while not self.queue and not self.ended:
            await asyncio.sleep(0)
            if not self._advance(self):
                return None
        return self.queue.pop(0) if self.queue else None
