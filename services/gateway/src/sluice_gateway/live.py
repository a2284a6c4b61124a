"""Fans live log entries out to the event streams of this process."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from nats.aio.msg import Msg
from pydantic import ValidationError

from sluice_contracts.api import PublicEvent

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
                await asyncio.wait_for(self._woken.wait(), timeout_seconds)
            except TimeoutError:
                return None
        return self._entries.popleft() if self._entries else None


class LiveEvents:
    """One subscription for all readers of this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Listener]] = {}
        self._ended = False

    @contextmanager
    def listen(self, tenant: str) -> Iterator[_Listener]:
        """Hear every entry of a tenant that is written from here on."""
        listener = _Listener()
        listener.ended = self._ended
        self._listeners.setdefault(tenant, set()).add(listener)
        try:
            yield listener
        finally:
            present = self._listeners[tenant]
            present.discard(listener)
            if not present:
                del self._listeners[tenant]

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
