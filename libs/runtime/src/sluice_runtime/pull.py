"""Reads a pull consumer in batches of whatever is there, without waiting for a batch to fill.

FastStream's batch subscriber waits until the batch is full or its timeout ends, and its single
one costs a middleware chain a message. Where every upload passes, facts are read here instead.
See `docs/adr/0005-batches-on-the-hot-road.md`.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

# A round of so many means that more are on their way.
BUSY = 3
# A lost request (the server was restarted) is found out when its time is over.
_REQUEST_SECONDS = 1.0
_GRACE_SECONDS = 0.5
# What is there comes at once; so long it takes to learn that there is no more.
_TOP_UP_SECONDS = 0.05
_REFUSED_SECONDS = 0.5
# Nothing there (404), and time is up (408).
_ORDINARY = frozenset({"404", "408"})


class PullReader:
    """The messages of one consumer, for as long as the `async with` block lasts."""

    def __init__(
        self,
        connection: Client,
        stream: str,
        consumer: str,
        *,
        service: str,
        batch: int,
        linger_seconds: float = 0.008,
    ) -> None:
        self._connection = connection
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = f"_INBOX_{service}.{secrets.token_hex(12)}"
        self._batch = batch
        self._arrived: deque[Msg] = deque()
        self._woken = asyncio.Event()
        self._owed = 0
        self._refused = False
        self._last_size = 0
        self._linger_seconds = linger_seconds
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._connection.subscribe(self._inbox, cb=self._take)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._subscription is not None and not self._connection.is_closed:
            await self._subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        if message.headers and "Status" in message.headers and not message.data:
            # The request is over: nothing there, time is up, or the consumer is gone.
            self._owed = 0
            self._refused = message.headers["Status"] not in _ORDINARY
        else:
            self._owed -= 1
            self._arrived.append(message)
        self._woken.set()

    async def arrival(self) -> Sequence[Msg]:
        """What is there to be read, at least one message; none when a request came back empty."""
        if not self._arrived:
            if self._refused:
                # Asking again at once, and again, would keep two processes busy with nothing.
                await asyncio.sleep(_REFUSED_SECONDS)
            if self._owed <= 0:
                await self._ask(self._batch, _REQUEST_SECONDS)
            self._woken.clear()
            try:
                async with asyncio.timeout(_REQUEST_SECONDS + _GRACE_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                self._owed = 0
        return self.waiting()

    async def read(self) -> Sequence[Msg]:
        """Everything that is there, at least one message; none when a request came back empty."""
        await self.arrival()
        await self._linger()
        messages = self.waiting()
        self._arrived.clear()
        return messages

    async def top_up(self) -> None:
        """Have what came after the last request was over among those that wait."""
        missing = self._batch - len(self._arrived)
        if self._owed > 0 or missing <= 0:
            return
        await self._ask(missing, _TOP_UP_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TOP_UP_SECONDS + _GRACE_SECONDS):
                while self._owed > 0:
                    self._woken.clear()
                    await self._woken.wait()

    def waiting(self) -> Sequence[Msg]:
        """Messages that came and were not read yet."""
        return tuple(self._arrived)

    async def _linger(self) -> None:
        """Let a batch grow for a moment to the size of the last one; a lone message never waits."""
        if self._last_size >= BUSY and 0 < len(self._arrived) < self._last_size:
            await asyncio.sleep(self._linger_seconds)
        self._last_size = len(self._arrived)

    async def _ask(self, batch: int, seconds: float) -> None:
        self._owed, self._refused = batch, False
        request = {"batch": batch, "expires": int(seconds * 1_000_000_000)}
        await self._connection.publish(self._next, json.dumps(request).encode(), reply=self._inbox)
