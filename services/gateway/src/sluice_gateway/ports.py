"""The outside as the gateway sees it, and everything a use case may touch."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sluice_contracts.api import PublicEvent
from sluice_contracts.facts import Fact
from sluice_contracts.questions import (
    Claim,
    PlaceUpload,
    Principal,
    UploadClaimed,
    UploadOutcome,
    UploadPlaced,
)
from sluice_gateway.domain import ByteRange, UploadTokens
from sluice_runtime.rpc import Asks

Body = AsyncIterator[bytes]


class ByteStore(Protocol):
    """Moves bytes to and from the object store through signed URLs.

    Every method raises `Unavailable` when the store is away or refuses.
    """

    async def put(self, url: str, body: Body, length: int, content_type: str) -> str: ...
    async def put_whole(self, url: str, data: bytes, md5: bytes, content_type: str) -> str: ...
    async def put_part(self, url: str, data: memoryview) -> str: ...
    def get(self, url: str, wanted: ByteRange) -> AbstractAsyncContextManager[Body]: ...


class Announces(Protocol):
    """Says a fact; returns when it is durable, raises `Unavailable` otherwise."""

    async def announce(self, fact: Fact, *, event_id: str, budget_seconds: float = ...) -> None: ...


class Claims(Protocol):
    """Gives the single use of an upload to one sender; raises `SluiceError` when it does not."""

    async def claim(self, claim: Claim) -> UploadClaimed: ...


class FindsPlaces(Protocol):
    """Says where files are going to lie; raises `SluiceError` when nobody does."""

    async def place(self, place: PlaceUpload) -> UploadPlaced: ...


class Waiting(Protocol):
    """One upload whose outcome is awaited."""

    reply_to: str

    async def outcome(self, timeout_seconds: float) -> UploadOutcome | None: ...


class Outcomes(Protocol):
    """Hears what became of uploads."""

    def expect(self, claim_id: str) -> AbstractContextManager[Waiting]: ...


class Listener(Protocol):
    """One reader of live events."""

    async def next(self, timeout_seconds: float) -> PublicEvent | None: ...
    @property
    def ended(self) -> bool: ...


class Live(Protocol):
    """Hears log entries the moment they are written."""

    def listen(self, tenant: str) -> AbstractAsyncContextManager[Listener]: ...


class Principals(Protocol):
    """Knows whose token it is; None for nobody's."""

    async def resolve(self, token: str) -> Principal | None: ...


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    presign_lifetime_seconds: int
    register_timeout_seconds: float
    max_upload_bytes: int
    max_chunk_bytes: int
    max_call_bytes: int
    max_render_bytes: int
    parts_in_flight: int
    min_rate_bytes: int
    min_rate_seconds: float


@dataclass(frozen=True)
class Deps:
    """Everything a use case of the gateway may touch."""

    asker: Asks
    store: ByteStore
    media: ByteStore
    claims: Claims
    places: FindsPlaces
    announcer: Announces
    outcomes: Outcomes
    live: Live
    tokens: UploadTokens
    limits: Limits
    now: Callable[[], datetime]
    new_id: Callable[[str], str]
