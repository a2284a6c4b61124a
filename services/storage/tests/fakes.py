"""What storage works with, in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice_contracts.facts import Fact
from sluice_contracts.questions import FindOwners, OwnedObject, OwnedObjects, UploadOutcome
from sluice_runtime.errors import Unavailable
from sluice_runtime.locks import NamedLocks
from sluice_runtime.multipart import OpenSession, SentPart
from sluice_runtime.objects import Listed, Stat
from sluice_storage.places import GivenOut
from sluice_storage.ports import Deps, Erased, Limits

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MIB = 1024**2


@dataclass
class FakeObjects:
    """A bucket. `parts` are what a session holds before it is finished."""

    host: str = "http://store"
    bucket: str = "media"
    held: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    sessions: dict[str, OpenSession] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    away: bool = False
    now: datetime = NOW

    def _require(self) -> None:
        if self.away:
            raise Unavailable("The object store is away.", code="store-unavailable")

    async def is_writable(self) -> bool:
        return not self.away

    def sign(
        self, method: str, key: str, lifetime: timedelta, query: dict[str, str] | None = None
    ) -> str:
        words = "&".join(f"{name}={value}" for name, value in (query or {}).items())
        return f"{self.host}/{self.bucket}/{key}?{method}&{int(lifetime.total_seconds())}&{words}"

    async def start_session(self, key: str, content_type: str) -> str:
        self._require()
        name = f"s{len(self.sessions) + 1}"
        self.sessions[name] = OpenSession(key, name, self.now)
        self.parts[name] = {}
        return name

    async def finish_session(
        self, key: str, session_id: str, parts: Sequence[tuple[int, str]]
    ) -> bool:
        self._require()
        if self.sessions.pop(session_id, None) is None:
            return False
        sent = self.parts.pop(session_id)
        self.held[key] = (b"".join(sent[number] for number, _ in parts), self.now)
        return True

    async def end_session(self, key: str, session_id: str) -> None:
        self._require()
        self.sessions.pop(session_id, None)

    async def open_sessions(self) -> list[OpenSession]:
        self._require()
        return list(self.sessions.values())

    async def session_parts(self, key: str, session_id: str) -> list[SentPart] | None:
        self._require()
        if session_id not in self.sessions:
            return None
        sent = sorted(self.parts[session_id].items())
        return [SentPart(number, f"e{number}", len(data), self.now) for number, data in sent]

    async def stat(self, key: str) -> Stat | None:
        return await self.peek(key, 0)

    async def peek(self, key: str, length: int) -> Stat | None:
        self._require()
        if key not in self.held:
            return None
        data, modified = self.held[key]
        return Stat(len(data), hashlib.sha256(data).hexdigest()[:8], modified, data[:length])

    async def read(self, key: str) -> bytes | None:
        self._require()
        return self.held[key][0] if key in self.held else None

    async def digest(self, key: str) -> tuple[int, str] | None:
        data = await self.read(key)
        return None if data is None else (len(data), hashlib.sha256(data).hexdigest())

    async def write(self, key: str, data: bytes, content_type: str) -> None:
        self._require()
        self.held[key] = (data, self.now)

    async def copy(self, source: str, key: str, content_type: str) -> bool:
        data = await self.read(source)
        if data is None:
            return False
        await self.write(key, data, content_type)
        return True

    async def delete(self, key: str) -> None:
        self._require()
        self.held.pop(key, None)

    async def page(self, prefix: str, after: str, limit: int) -> list[Listed]:
        self._require()
        keys = sorted(key for key in self.held if key.startswith(prefix) and key > after)
        return [Listed(key, len(self.held[key][0]), self.held[key][1]) for key in keys[:limit]]


@dataclass
class FakeWorld:
    """Whom storage talks to: the catalog it asks, and everybody who hears it."""

    owners: dict[str, OwnedObject] = field(default_factory=dict)
    announced: list[tuple[Fact, str]] = field(default_factory=list)
    replies: list[tuple[str, UploadOutcome]] = field(default_factory=list)
    away: bool = False
    unread: bool = False
    parked: list[set[str]] = field(default_factory=list)  # one for each look
    """Whether news of bytes that arrived waits to be read."""

    async def ask(self, question: Any, *, timeout_seconds: float = 5.0) -> Any:
        assert isinstance(question, FindOwners)
        if self.away:
            raise Unavailable("The catalog service is not running.")
        found = [self.owners[key] for key in question.keys if key in self.owners]
        return OwnedObjects(objects=tuple(found))

    async def announce(self, fact: Fact, *, event_id: str) -> None:
        if self.away:
            raise Unavailable("The message bus is not reachable.")
        self.announced.append((fact, event_id))

    async def reply(self, subject: str, outcome: UploadOutcome) -> None:
        self.replies.append((subject, outcome))

    async def are_read(self) -> bool:
        return not self.unread

    async def parked_keys(self) -> set[str]:
        return self.parked.pop(0) if self.parked else set()

    def facts(self) -> list[Fact]:
        """What was said, once each: a repeated id is the same news."""
        return list({event_id: fact for fact, event_id in self.announced}.values())

    def own(self, key: str, state: Any) -> None:
        size, digest = (None, None) if state == "expected" else (1, "0" * 64)
        self.owners[key] = OwnedObject(
            key=key, upload_id="upl_00000001", size_bytes=size, sha256=digest, state=state
        )


def deps_of(objects: FakeObjects, world: FakeWorld) -> Deps:
    return Deps(
        objects=objects,
        public=FakeObjects(host="https://public"),
        announcer=world,
        replies=world,
        asker=world,
        finishing=NamedLocks(),
        erased=Erased(),
        places=GivenOut(timedelta(minutes=1)),
        receipts=world,
        limits=Limits(8 * MIB, 5 * MIB, timedelta(seconds=900), timedelta(hours=1)),
        environment="development",
        now=lambda: NOW,
    )
