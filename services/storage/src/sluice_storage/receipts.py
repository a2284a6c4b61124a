"""Looks at the event stream for news of bytes that storage has not worked through yet."""

import asyncio
import time

from faststream.nats import NatsBroker
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, RawStreamMsg
from nats.js.errors import NotFoundError
from pydantic import BaseModel, ValidationError

from sluice_contracts.facts import StoredBytes
from sluice_contracts.topology import (
    DEAD_LETTERS,
    EVENTS,
    STORAGE_REGISTRATIONS,
    STORAGE_UPLOADS,
    dead_letter_subject,
)
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable

# What the first of them reads becomes news for the second.
_READERS = (STORAGE_UPLOADS, STORAGE_REGISTRATIONS)
_PATIENCE_SECONDS = 20.0
_LOOK_SECONDS = 0.5
_TIMEOUT_SECONDS = 3.0


class StreamReceipts:
    """Compares the end of the stream with how far our consumers are."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def are_read(self) -> bool:
        """Whether all that was received until now has been announced, and its registration written;
        waits a while for it.

        Raises:
            Unavailable: the stream cannot be read right now.
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        stream = connected(self._broker).jetstream(timeout=_TIMEOUT_SECONDS)
        try:
            for reader in _READERS:
                last = (await stream.stream_info(EVENTS.name)).state.last_seq
                while not _has_read(await stream.consumer_info(EVENTS.name, reader.name), last):
                    if time.monotonic() > until:
                        return False
                    await asyncio.sleep(_LOOK_SECONDS)
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The message bus did not answer.", code="bus-unavailable") from error
        return True

    async def parked_keys(self) -> set[str]:
        """Keys of bytes whose news was set aside: whoever sends it again is to find them there.

        Raises:
            Unavailable: the letters cannot be read right now.
        """
        stream = connected(self._broker).jetstream(timeout=_TIMEOUT_SECONDS)
        keys: set[str] = set()
        try:
            for reader in _READERS:
                subject, sequence = dead_letter_subject(EVENTS.name, reader.name), 1
                while (letter := await _letter(stream, subject, sequence)) is not None:
                    keys |= _keys_in(letter.data or b"")
                    sequence = (letter.seq or sequence) + 1
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The message bus did not answer.", code="bus-unavailable") from error
        return keys


async def _letter(stream: JetStreamContext, subject: str, sequence: int) -> RawStreamMsg | None:
    """The first letter of a reader from `sequence` on."""
    try:
        return await stream.get_msg(DEAD_LETTERS.name, seq=sequence, subject=subject, next=True)
    except NotFoundError:
        return None


class _News(BaseModel):
    """So much of a fact as names its bytes."""

    bytes: StoredBytes


def _keys_in(body: bytes) -> set[str]:
    try:
        return {_News.model_validate_json(body).bytes.key}
    except ValidationError:
        return set()


def _has_read(info: ConsumerInfo, last: int) -> bool:
    """Whether a consumer has handled all it is to read up to `last`."""
    if not info.num_pending and not info.num_ack_pending:
        return True
    return info.ack_floor is not None and info.ack_floor.stream_seq >= last
