"""Clients that behave: they upload, they listen, and they remember what they were promised."""

import asyncio
import hashlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import httpx

from sluice_contracts.api import EventList, PresignAnswer, PublicEvent
from tests.support import PATIENCE, Json, eventually

P = TypeVar("P")

# So much of what is sent anyhow does not fit into the memory a body may take.
_STREAMED = 0.2


@dataclass(frozen=True)
class Kept:
    """One recording that was acknowledged."""

    recording_id: str
    batch_id: str
    blob_ref: str
    client_item_id: str
    size_bytes: int
    sha256: str
    data: Json


@dataclass
class Ledger(Generic[P]):
    """What clients were promised, and what they met on the way."""

    kept: list[P] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """Method and status, with the code of a problem, or the name of a broken connection."""
    presigned: int = 0
    """Requests for upload URLs, repeats not counted."""

    @property
    def troubles(self) -> int:
        """How often something had to be repeated."""
        return sum(n for answer, n in self.answers.items() if answer.split()[1] not in _GOOD)

    @property
    def events(self) -> int:
        return len(self.kept) + self.troubles

    async def happened(self, more: int) -> None:
        """Wait until that much more was promised or failed."""
        until = self.events + more

        async def enough() -> bool:
            return self.events >= until

        await eventually(enough, PATIENCE)

    async def promised(self, more: int) -> None:
        """Wait until that much more was promised."""
        until = len(self.kept) + more

        async def enough() -> bool:
            assert len(self.kept) >= until, f"{until - len(self.kept)} missing: {self.answers}"
            return True

        await eventually(enough, 2 * PATIENCE)


_GOOD = ("200", "201", "202")


async def insist(
    http: httpx.AsyncClient,
    ledger: Ledger[P],
    method: str,
    url: str,
    *,
    also: Container[str] = (),
    after_trouble: Container[str] = (),
    **request: Any,
) -> httpx.Response:
    """Repeat a request until it succeeds; anything but a promise to repeat is a failure.

    Problems with a code in `also` are given back, those in `after_trouble` only to a repeat.
    """
    pause, attempts = 0.1, 0
    while True:
        attempts += 1
        try:
            answer = await http.request(method, url, **request)
        except httpx.TransportError as error:
            ledger.answers[f"{method} {type(error).__name__}"] += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
            continue
        if answer.is_success:
            ledger.answers[f"{method} {answer.status_code}"] += 1
            return answer
        problem = answer.json()
        ledger.answers[f"{method} {answer.status_code} {problem['code']}"] += 1
        if problem["code"] in also or (attempts > 1 and problem["code"] in after_trouble):
            return answer
        assert problem["retryable"], f"{method} {url}: {answer.status_code} {answer.text}"
        assert answer.status_code in (409, 429, 503), answer.text
        await asyncio.sleep(float(answer.headers["Retry-After"]))


class Client:
    """A client that behaves: it repeats what may be repeated, with the same key and bytes."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger[Kept]) -> None:
        self._http = http
        self._ledger = ledger

    async def keep(self, *bodies: bytes) -> list[Kept]:
        """Presign, send and register `bodies` in one batch; returns when all are acknowledged."""
        presigned = await self.presign(len(bodies))
        sends = zip(presigned.items, bodies, strict=True)
        await asyncio.gather(*(self.send(item.upload_url, body) for item, body in sends))
        return await self.register(presigned, *bodies)

    async def presign(self, number: int = 1) -> PresignAnswer:
        """Places for some bodies, in a new batch."""
        self._ledger.presigned += 1
        answer = await insist(
            self._http,
            self._ledger,
            "POST",
            "/uploads/presign",
            json={"items": [{"filename": "call.wav", "contentType": "audio/wav"}] * number},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        return PresignAnswer.model_validate_json(answer.content)

    async def send(self, url: str, body: bytes) -> int:
        """Send one body; the status of the answer."""
        sent = await insist(
            self._http,
            self._ledger,
            "PUT",
            url,
            # An attempt of ours that seemed to fail had gone through.
            after_trouble=("upload-token-used",),
            content=body,
            headers={"Content-Type": "audio/wav"},
        )
        return sent.status_code

    async def fail(self, url: str) -> None:
        """An attempt that sends nothing: the next one is not the first, and storage looks at it."""

        async def nothing() -> AsyncIterator[bytes]:
            for byte in ():
                yield byte

        headers = {"Content-Type": "audio/wav"}
        answer = await self._http.put(url, content=nothing(), headers=headers)
        assert answer.json()["code"] == "empty-upload", answer.text

    async def register(self, presigned: PresignAnswer, *bodies: bytes) -> list[Kept]:
        """Make recordings of what was sent."""
        kept = [
            Kept(
                recording_id="",
                batch_id=presigned.batch_id,
                blob_ref=item.blob_ref,
                client_item_id=f"item-{number}",
                size_bytes=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                data={"topic": uuid.uuid4().hex, "number": number},
            )
            for number, (item, body) in enumerate(zip(presigned.items, bodies, strict=True))
        ]
        answer = await insist(
            self._http,
            self._ledger,
            "POST",
            "/recordings",
            json={
                "batch_id": presigned.batch_id,
                "idempotency_key": uuid.uuid4().hex,
                "items": [
                    {
                        "client_item_id": one.client_item_id,
                        "blob_ref": one.blob_ref,
                        "data": one.data,
                    }
                    for one in kept
                ],
            },
        )
        assert answer.status_code == 202, answer.text
        told = {one["client_item_id"]: one["recording_id"] for one in answer.json()["items"]}
        assert len(told) == len(kept), answer.text
        kept = [replace(one, recording_id=told[one.client_item_id]) for one in kept]
        self._ledger.kept += kept
        return kept


def some_bytes(chance: random.Random, most: int = 24_000) -> bytes:
    """A small body, for which the gateway vouches."""
    return chance.randbytes(chance.randint(1, most))


def streamed_bytes(chance: random.Random) -> bytes:
    """A body too large to be held whole: storage looks at what became of it."""
    return chance.randbytes(1024**2 + chance.randint(1, 1000))


def any_bytes(chance: random.Random) -> bytes:
    """Mostly a small body."""
    return streamed_bytes(chance) if chance.random() < _STREAMED else some_bytes(chance)


async def read_log(http: httpx.AsyncClient, after: int = 0) -> list[PublicEvent]:
    """The log, page by page to its end."""
    found: list[PublicEvent] = []
    while True:
        answer = await http.get("/api/v1/events", params={"after": after, "limit": 200})
        assert answer.status_code == 200, answer.text
        page = EventList.model_validate_json(answer.content)
        found += page.items
        if page.next_after >= page.last_sequence:
            return found
        after = page.next_after


class Subscriber:
    """Reads server-sent events for as long as its block lasts, and resumes when it is cut off."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._last: int | None = None
        self._after = 0
        self.seen: list[PublicEvent] = []
        self.connections = 0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Subscriber"]:
        """From the present end of the log on."""
        log = await read_log(self._http)
        self._after = log[-1].sequence if log else 0
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _read(self) -> None:
        while True:
            headers = {"Accept": "text/event-stream"}
            if self._last is not None:
                headers["Last-Event-ID"] = str(self._last)
            # A heartbeat comes every 15 seconds; a silent connection is a broken one.
            limit = httpx.Timeout(10.0, read=20.0)
            with suppress(httpx.TransportError):
                async with self._http.stream(
                    "GET",
                    "/api/v1/events",
                    headers=headers,
                    params={"after": self._after},
                    timeout=limit,
                ) as answer:
                    if answer.status_code == 200:
                        self.connections += 1
                        await self._take(answer)
                    else:
                        assert answer.status_code == 503, await answer.aread()
            await asyncio.sleep(0.2)

    async def _take(self, answer: httpx.Response) -> None:
        sequence: int | None = None
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                sequence = int(value)
            elif name == "data":
                self.seen.append(PublicEvent.model_validate_json(value))
            elif not line and sequence is not None:
                self._last = sequence

    async def check(self, log: list[PublicEvent]) -> None:
        """Wait for the end of `log`; what came must be its part behind our start, and no more."""
        wanted = [event for event in log if event.sequence > self._after]

        async def arrived() -> bool:
            assert len(self.seen) >= len(wanted), f"{len(self.seen)} of {len(wanted)} arrived"
            return True

        await eventually(arrived)
        assert self.seen == wanted
