"""Fans live log entries out to the event streams of this process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic import ValidationError

from sluice_contracts.api import PublicEvent
from sluice_contracts.topology import live_subjects

log = structlog.get_logger(__name__)

# A reader that falls further behind reads the log instead; nothing is lost by dropping here.
_BACKLOG = 256


class _Listener:
    def __init__(self) -> None:
        self._entries: deque[PublicEvent] = deque(maxlen=_BACKLOG)
        self._woken = asyncio.Event()
        self.ended = False

    def hear(self, entry: PublicEvent) -> None:
        self._entries.append(entry)
        self._woken.set()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    async def next(self, timeout_seconds: float) -> PublicEvent | None:
        """The next entry; None when none came in time, or the stream is to end."""
        if not self._entries and not self.ended:
            self._woken.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._woken.wait()
            except TimeoutError:
                return None
        return self._entries.popleft() if self._entries else None


class LiveEvents:
    """One subscription for all readers of a tenant, for as long as there is one: a gateway without
    readers hears nothing."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker
        self._listeners: dict[str, set[_Listener]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        # A reader that comes second must not go on before the first has subscribed.
        self._lock = asyncio.Lock()
        self._ended = False

    @asynccontextmanager
    async def listen(self, tenant: str) -> AsyncIterator[_Listener]:
        """Hear every entry of a tenant that is written from here on."""
        listener = _Listener()
        listener.ended = self._ended
        self._listeners.setdefault(tenant, set()).add(listener)
        try:
            await self._subscribe(tenant)
            yield listener
        finally:
            self._listeners[tenant].discard(listener)
            await asyncio.shield(self._unsubscribe(tenant))

    async def _subscribe(self, tenant: str) -> None:
        """Without a bus there are no hints, and who listens reads the log alone."""
        async with self._lock:
            if self._ended or tenant in self._subscriptions:
                return
            connection = self._broker.connection
            try:
                subscription = await connection.subscribe(live_subjects(tenant), cb=self.hear)
            except NatsError as error:
                log.warning("no hints", error=repr(error))
                return
            self._subscriptions[tenant] = subscription

    async def _unsubscribe(self, tenant: str) -> None:
        """Unless somebody else listens by now."""
        async with self._lock:
            if self._listeners.get(tenant):
                return
            self._listeners.pop(tenant, None)
            subscription = self._subscriptions.pop(tenant, None)
            if subscription is not None:
                with suppress(NatsError):
                    await subscription.unsubscribe()

    def end(self) -> None:
        """End all streams: the process is about to stop."""
        self._ended = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()

    async def hear(self, message: Msg) -> None:
        """Called for each entry."""
        tenant = message.subject.split(".")[4]
        listeners = self._listeners.get(tenant)
        if not listeners:
            return
        try:
            entry = PublicEvent.model_validate_json(message.data)
        except ValidationError:
            log.warning("live entry not understood", subject=message.subject)
            return
        for listener in listeners:
            listener.hear(entry)
