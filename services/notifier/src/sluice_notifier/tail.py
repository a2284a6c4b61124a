"""Reads status changes from the stream, in its order, from the log's own cursor.

A durable consumer would forget the order after a crash, or hand out one message at a time. This
one is made anew at each start, behind the last change the log holds, and needs no acks: the
cursor in the database says what was read. See `docs/adr/0004-log-cursor.md`.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError
from prometheus_client import Gauge

from sluice_contracts.envelope import Envelope, Event
from sluice_contracts.facts import StatusChanged
from sluice_contracts.topology import EVENTS
from sluice_notifier import usecases
from sluice_notifier.domain import Read
from sluice_notifier.ports import Deps
from sluice_runtime.broker import connected
from sluice_runtime.dead_letters import Origin, letter_headers, park
from sluice_runtime.errors import Unavailable
from sluice_runtime.pull import PullReader

log = structlog.get_logger(__name__)

LAG = Gauge("sluice_log_lag", "Status changes in the stream that the log does not hold yet")

READER = "notifier-log"
_BATCH = 256
_IDLE_READS = 5
# A busy log is written twenty times a second rather than once for each change.
_LINGER_SECONDS = 0.05
_RETRY_SECONDS = 0.5
_IDLE_CONSUMER_SECONDS = 120.0


class _LostPlace(Exception):
    """A message is missing between two others, or the consumer is gone."""


class Tail:
    """Follows the stream for as long as the service runs."""

    def __init__(self, broker: NatsBroker, deps: Deps) -> None:
        self._broker = broker
        self._deps = deps

    async def run(self) -> None:
        """Follow until cancelled; survives a bus and a database that come and go."""
        while True:
            try:
                await self._follow()
            except _LostPlace:
                log.info("tail begins again")
            except (Unavailable, NatsError, TimeoutError) as error:
                log.warning("tail waits", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self) -> None:
        stream = connected(self._broker).jetstream(timeout=5)
        created = await _created(stream)
        position = await self._position(stream, created)
        name = f"{READER}-{secrets.token_hex(4)}"
        await stream.add_consumer(EVENTS.name, _consumer(name, position))
        reader = PullReader(
            connected(self._broker),
            EVENTS.name,
            name,
            service="notifier",
            batch=_BATCH,
            linger_seconds=_LINGER_SECONDS,
        )
        async with reader:
            await self._consume(stream, reader, name, created)

    async def _position(self, stream: JetStreamContext, created: datetime) -> int:
        position = await usecases.find_position(created, self._deps)
        # Asked for once the position is known, which can only have grown with the stream.
        last = (await stream.stream_info(EVENTS.name)).state.last_seq
        if position <= last:
            return position
        log.warning("the stream lost its end", position=position, last=last)
        return await usecases.begin_anew(created, self._deps)

    async def _consume(
        self, stream: JetStreamContext, reader: PullReader, name: str, created: datetime
    ) -> None:
        expected, idle, lost = 1, 0, False
        while True:
            connected(self._broker)
            messages = await reader.read()
            if not messages:
                if lost:
                    raise _LostPlace
                idle += 1
                if idle % _IDLE_READS == 0:
                    # Without acks, what was sent into a connection that broke counts as delivered.
                    lost = await _delivered(stream, name) >= expected
                continue
            idle, lost = 0, False
            for message in messages:
                if message.metadata.sequence.consumer != expected:
                    raise _LostPlace
                expected += 1
            LAG.set(messages[-1].metadata.num_pending)
            await self._write(messages, created)

    async def _write(self, messages: Sequence[Msg], created: datetime) -> None:
        reads: list[Read] = []
        for message in messages:
            try:
                reads.append(_read(message))
            except ValueError as error:
                await self._park(message, error)
        read_to = messages[-1].metadata.sequence.stream
        await _until_available(lambda: usecases.write_log(reads, read_to, created, self._deps))

    async def _park(self, message: Msg, error: ValueError) -> None:
        """Set aside what cannot be read, so that it does not stop what follows."""
        meta = message.metadata
        origin = Origin(meta.stream, READER, meta.sequence.stream, 1)
        headers = letter_headers(origin, message.subject, message.headers, "permanent", error)
        await park(self._broker, origin, message.data, headers, "permanent")
        log.error("set aside", reader=READER, sequence=origin.sequence)


def _consumer(name: str, position: int) -> ConsumerConfig:
    return ConsumerConfig(
        name=name,
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=position + 1,
        filter_subject=StatusChanged.pattern(),
        inactive_threshold=_IDLE_CONSUMER_SECONDS,
    )


async def _created(stream: JetStreamContext) -> datetime:
    info = await stream.stream_info(EVENTS.name)
    created = info.created
    return created if isinstance(created, datetime) else datetime.fromisoformat(str(created))


async def _delivered(stream: JetStreamContext, name: str) -> int:
    """How many messages the consumer has given out.

    Raises:
        _LostPlace: it is gone.
    """
    try:
        info = await stream.consumer_info(EVENTS.name, name)
    except NotFoundError as error:
        raise _LostPlace from error
    return info.delivered.consumer_seq if info.delivered else 0


def _texts(envelope: Envelope) -> tuple[str, ...]:
    return (envelope.id, envelope.type, envelope.correlationid or "")


def _read(message: Msg) -> Read:
    """Raises `ValueError` for what is no status change, or cannot be written down."""
    envelope = Envelope.from_headers(message.headers)
    data = StatusChanged.model_validate_json(message.data)
    if rb"\u0000" in message.data or any("\0" in text for text in _texts(envelope)):
        raise ValueError("a text holds a NUL, which the database does not take")
    return Read(message.metadata.sequence.stream, Event(envelope=envelope, data=data))


async def _until_available(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await work()
        except Unavailable as error:
            log.warning("log waits", code=error.code)
            await asyncio.sleep(_RETRY_SECONDS)
