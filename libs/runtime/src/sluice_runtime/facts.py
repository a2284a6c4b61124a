"""Facts out, with the PubAck awaited; facts in, through durable pull consumers."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import stamina
import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.errors import Error as NatsError

from sluice_contracts.envelope import Envelope, Event, wrap
from sluice_contracts.facts import Fact
from sluice_contracts.topology import Consumer
from sluice_runtime.broker import connected, undecoded
from sluice_runtime.errors import Rejected, Unavailable
from sluice_runtime.publish import Letter, publish
from sluice_runtime.trace import current_trace, trace_of, tracing

F = TypeVar("F", bound=Fact)

log = structlog.get_logger(__name__)

_NAMESPACE = uuid.UUID("6f0c1f5e-2f0e-4c59-9d1b-6a1f0b7f2d11")
_WAIT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0)


def derived_id(*parts: str) -> str:
    """An event id that follows from what happened, so that saying it twice is saying it once."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join(parts)))


class Announcer:
    """Publishes facts of one service and returns only when JetStream has them."""

    def __init__(self, broker: NatsBroker, service: str) -> None:
        self._broker = broker
        self._service = service

    async def announce(self, fact: Fact, *, event_id: str, budget_seconds: float = 12.0) -> None:
        """Publish `fact` under `event_id`; repeating it within the dedupe window is harmless.

        Raises:
            Unavailable: JetStream did not confirm within `budget_seconds`. The fact may still
                arrive: a repeat must use the same id.
        """
        trace = current_trace()
        event = wrap(
            fact,
            event_id=event_id,
            source=self._service,
            at=datetime.now(UTC),
            correlation_id=trace.correlation_id,
            causation_id=trace.causation_id,
            traceparent=trace.traceparent,
        )
        letter = Letter(fact.subject(), event.body(), event.envelope.headers())
        try:
            await publish(connected(self._broker), letter)
        except (TimeoutError, NatsError, Unavailable):
            await self._persist(letter, budget_seconds)

    async def _persist(self, letter: Letter, budget_seconds: float) -> None:
        try:
            async for attempt in stamina.retry_context(
                on=(TimeoutError, NatsError, Unavailable),
                attempts=None,
                timeout=budget_seconds,
                wait_initial=0.1,
                wait_max=1.0,
            ):
                with attempt:
                    await publish(connected(self._broker), letter)
        except (TimeoutError, NatsError) as error:
            raise Unavailable(
                "The message bus did not confirm the message.", code="bus-unavailable"
            ) from error


Handler = Callable[[Event[Any]], Awaitable[None]]


class Listener:
    """Reads facts through one durable consumer and hands each to the use case of its type.

    A handler that raises `Unavailable` is run again in place until what it needs is back: the
    message stays ours, no delivery is used up, and the consumer pauses by itself. Every other
    failure is left to the dead-letter middleware.
    """

    def __init__(self, broker: NatsBroker, consumer: Consumer) -> None:
        self._consumer = consumer
        self._handlers: dict[str, tuple[type[Fact], Handler]] = {}
        inbox = f"_INBOX_{consumer.service}.".encode()
        subscriber = broker.subscriber(
            consumer.subjects()[0],
            stream=JStream(consumer.stream.name, declare=False),
            durable=consumer.name,
            pull_sub=PullSub(batch_size=consumer.parallel, timeout=1.0),
            max_workers=consumer.parallel,
            inbox_prefix=inbox,
            decoder=undecoded,
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        subscriber(self._on_message)

    def on(self, fact: type[F], handle: Callable[[Event[F]], Awaitable[None]]) -> None:
        """Hand every `fact` to `handle`."""
        assert fact in self._consumer.reads, f"{self._consumer.name} does not read {fact}"
        self._handlers[fact.type_name()] = (fact, handle)

    async def _on_message(self, message: NatsMessage) -> None:
        raw = message.raw_message
        envelope = Envelope.from_headers(raw.headers)
        known = self._handlers.get(envelope.type)
        if known is None:
            raise Rejected(f"{self._consumer.name} cannot read {envelope.type}")
        fact, handle = known
        event = Event(envelope=envelope, data=fact.model_validate_json(raw.data))
        with tracing(trace_of(envelope)):
            keep = asyncio.create_task(_keep_alive(message, self._consumer))
            try:
                await until_available(lambda: handle(event), envelope.type)
            finally:
                keep.cancel()


async def _keep_alive(message: NatsMessage, consumer: Consumer) -> None:
    """Tell the server that the work goes on, so that nobody else is given it."""
    while True:
        await asyncio.sleep(consumer.ack_wait.total_seconds() / 3)
        try:
            await message.in_progress()
        except NatsError as error:
            log.warning("in-progress not sent", consumer=consumer.name, error=repr(error))


async def until_available(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Do `work`, again and again for as long as something it needs is away."""
    attempt = 0
    while True:
        try:
            return await work()
        except Unavailable as error:
            delay = _WAIT_SECONDS[min(attempt, len(_WAIT_SECONDS) - 1)]
            attempt += 1
            log.warning("waiting", what=what, code=error.code, seconds=delay)
            await asyncio.sleep(delay)
