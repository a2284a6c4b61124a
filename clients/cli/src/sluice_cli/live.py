"""The live log: server-sent events, across every disconnect."""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

import httpx
from pydantic import ValidationError

from sluice_cli.backoff import backoff, is_repeatable, retry_after_seconds
from sluice_cli.client import Client
from sluice_cli.failures import CommandError, NetworkError
from sluice_cli.sse import EventParser, ServerEvent
from sluice_cli.transport import Notice, broken, failure_of, problem_of
from sluice_contracts.api import PublicEvent

# The server sends a heartbeat every 15 s; three missing ones mean that nobody is there.
SILENCE_SECONDS = 45.0
_SEQUENCE = re.compile(r"[0-9]{1,19}")


class _LostError(NetworkError):
    """The connection is gone, or the server asks to come back later."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class LiveLog:
    """The log of one tenant from a sequence on; it remembers how far it got."""

    def __init__(
        self,
        client: Client,
        notice: Notice,
        after: int,
        *,
        types: Sequence[str] = (),
        ids: Sequence[str] = (),
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._client = client
        self._notice = notice
        self._after = after
        self._types = types
        self._ids = ids
        self._silence = silence

    async def events(self) -> AsyncGenerator[PublicEvent]:
        """Every entry, once and in order, without an end.

        Raises:
            RefusedError: the server does not let us read.
        """
        repeat = 0
        while True:
            try:
                async for event in self._connection():
                    repeat = 0
                    yield event
            except _LostError as lost:
                chance = random.random()  # noqa: S311 - spreads waits, keeps no secret
                wait = max(backoff(repeat, chance), lost.retry_after or 0.0)
                self._notice(f"{lost}; going on after {self._after} in {wait:.1f} s")
                repeat += 1
                await asyncio.sleep(wait)

    async def _connection(self) -> AsyncGenerator[PublicEvent]:
        try:
            async with self._client.open_events(
                after=self._after, types=self._types, ids=self._ids, silence=self._silence
            ) as response:
                await _check(response)
                parser = EventParser()
                async for chunk in response.aiter_bytes():
                    for received in parser.feed(chunk):
                        event = self._accept(received)
                        if event is not None:
                            yield event
        except httpx.RequestError as error:
            raise _LostError(str(broken(error))) from error
        raise _LostError("the stream ended")

    def _accept(self, received: ServerEvent) -> PublicEvent | None:
        """The entry in an event; None for a repeated one and for kinds from a newer server."""
        try:
            event = PublicEvent.model_validate_json(received.data)
        except ValidationError:
            self._notice(f"skipped an event of the unknown type {received.event}")
            if received.last_id is not None and _SEQUENCE.fullmatch(received.last_id):
                self._after = max(self._after, int(received.last_id))
            return None
        if event.sequence <= self._after:
            return None
        self._after = event.sequence
        return event


async def _check(response: httpx.Response) -> None:
    """Raise unless `response` is the stream that was asked for."""
    if not response.is_success:
        await response.aread()
        failure: CommandError = failure_of(response)
        if is_repeatable(response.status_code, problem_of(response)):
            header = response.headers.get("retry-after")
            raise _LostError(str(failure), retry_after_seconds(header, datetime.now(UTC)))
        raise failure
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise NetworkError("what answers there does not send events")
