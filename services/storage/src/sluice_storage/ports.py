"""The outside as storage sees it, and everything a use case may touch."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sluice_contracts.facts import Fact, ReplySubject
from sluice_contracts.questions import UploadOutcome
from sluice_runtime.locks import NamedLocks
from sluice_runtime.multipart import OpenSession, SentPart
from sluice_runtime.objects import Listed, Stat
from sluice_runtime.rpc import Asks

_LONGEST_VOUCH = timedelta(minutes=1)
_SHORTEST_VOUCH = timedelta(seconds=10)


class Objects(Protocol):
    """One bucket. Promises and errors stand at `sluice_runtime.objects.ObjectStore`."""

    bucket: str

    async def is_writable(self) -> bool: ...
    def sign(
        self, method: str, key: str, lifetime: timedelta, query: dict[str, str] | None = None
    ) -> str: ...
    async def start_session(self, key: str, content_type: str) -> str: ...
    async def finish_session(
        self, key: str, session_id: str, parts: Sequence[tuple[int, str]]
    ) -> bool: ...
    async def end_session(self, key: str, session_id: str) -> None: ...
    async def open_sessions(self) -> list[OpenSession]: ...
    async def session_parts(self, key: str, session_id: str) -> list[SentPart] | None: ...
    async def stat(self, key: str) -> Stat | None: ...
    async def peek(self, key: str, length: int) -> Stat | None: ...
    async def read(self, key: str) -> bytes | None: ...
    async def digest(self, key: str) -> tuple[int, str] | None: ...
    async def write(self, key: str, data: bytes, content_type: str) -> None: ...
    async def copy(self, source: str, key: str, content_type: str) -> bool: ...
    async def delete(self, key: str) -> None: ...
    async def page(self, prefix: str, after: str, limit: int) -> list[Listed]: ...


class Announces(Protocol):
    """Says a fact; returns when it is durable, raises `Unavailable` otherwise."""

    async def announce(self, fact: Fact, *, event_id: str) -> None: ...


class Replies(Protocol):
    """Tells a waiting gateway at once; a hint that may get lost."""

    async def reply(self, subject: ReplySubject, outcome: UploadOutcome) -> None: ...


class Receipts(Protocol):
    """What the stream says of bytes that arrived."""

    async def are_read(self) -> bool: ...
    async def parked_keys(self) -> set[str]: ...


class Places(Protocol):
    """Keys that were given out lately. Promises stand at `sluice_storage.places.GivenOut`."""

    def give_out(self, key: str) -> None: ...
    def closed(self, key: str) -> AbstractContextManager[bool]: ...


class Erased:
    """The keys this process erased lately."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._keys: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> None:
        self._keys[key] = None
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def __contains__(self, key: str) -> bool:
        return key in self._keys


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, ages and lifetimes. A body of unknown length is always sent in parts."""

    single_put_bytes: int
    part_size_bytes: int
    link_lifetime: timedelta
    orphan_age: timedelta

    @property
    def vouch_lifetime(self) -> timedelta:
        """How long after it was given a place its sender may say by itself that an object is there.

        Saying so takes up to 17 seconds when the bus is slow, and no sweep may take the object for
        an orphan before: a quarter of their age, or nothing if that is too short to send in.
        """
        longest = min(_LONGEST_VOUCH, self.orphan_age / 4)
        return longest if longest >= _SHORTEST_VOUCH else timedelta()


@dataclass(frozen=True)
class Deps:
    """Everything a use case of storage may touch."""

    objects: Objects
    public: Objects
    announcer: Announces
    replies: Replies
    asker: Asks
    finishing: NamedLocks
    erased: Erased
    places: Places
    receipts: Receipts
    limits: Limits
    environment: str
    now: Callable[[], datetime]
