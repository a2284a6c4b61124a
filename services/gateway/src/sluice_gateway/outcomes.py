"""Waits for what became of an upload, on one reply subject per gateway process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from nats.aio.msg import Msg
from pydantic import ValidationError

from sluice_contracts.questions import UploadOutcome
from sluice_contracts.topology import reply_subject

log = structlog.get_logger(__name__)


class _Waiting:
    def __init__(self, reply_to: str) -> None:
        self.reply_to = reply_to
        self._queue: asyncio.Queue[UploadOutcome] = asyncio.Queue()

    def hear(self, outcome: UploadOutcome) -> None:
        self._queue.put_nowait(outcome)

    async def outcome(self, timeout_seconds: float) -> UploadOutcome | None:
        """The next news of this upload; None when none came in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._queue.get()
        except TimeoutError:
            return None


class NatsOutcomes:
    """Hands replies to whoever waits for them; a late one has nobody left to tell."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._waiting: dict[str, _Waiting] = {}

    @property
    def subject(self) -> str:
        return reply_subject(self._instance, "*")

    @contextmanager
    def expect(self, claim_id: str) -> Iterator[_Waiting]:
        """Listen from here on, so that no answer can come too early."""
        waiting = _Waiting(reply_subject(self._instance, claim_id))
        self._waiting[claim_id] = waiting
        try:
            yield waiting
        finally:
            del self._waiting[claim_id]

    async def hear(self, message: Msg) -> None:
        """Called for each reply."""
        try:
            outcome = UploadOutcome.model_validate_json(message.data)
        except ValidationError:
            log.warning("reply not understood", subject=message.subject)
            return
        waiting = self._waiting.get(outcome.claim_id or "")
        if waiting is not None:
            waiting.hear(outcome)
