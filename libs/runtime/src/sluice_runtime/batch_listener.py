"""Reads facts in batches, for the consumers every upload passes through.

The promises of `Listener` hold for each message: retried with delays, then set aside; handled
again in place while something it needs is away; never lost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from sluice_contracts.envelope import Envelope, Event
from sluice_contracts.facts import Fact
from sluice_contracts.topology import Consumer
from sluice_runtime.broker import connected
from sluice_runtime.dead_letters import settle_failure
from sluice_runtime.errors import Rejected, Unavailable
from sluice_runtime.facts import until_available
from sluice_runtime.pressure import Courtesy
from sluice_runtime.pull import PullReader

log = structlog.get_logger(__name__)

HandleMany = Callable[[Sequence[Event[Any]]], Awaitable[None]]

_RETRY_SECONDS = 0.5
_GRACE_SECONDS = 5.0


class BatchListener:
    """One durable consumer, read in batches; run it beside the service.

    Each event brings its own trace: `with tracing(trace_of(event.envelope))`.
    """

    def __init__(
        self,
        broker: NatsBroker,
        consumer: Consumer,
        handle: HandleMany,
        *,
        rounds: int = 1,
        courtesy: Courtesy | None = None,
    ) -> None:
        """`handle` takes effect for all events it is given, or for none and raises.

        `rounds` is how many batches may be under way at once. With `courtesy` each waits for its
        turn: work nobody waits for yields to the other.
        """
        self._broker = broker
        self._consumer = consumer
        self._handle = handle
        self._facts = {fact.type_name(): fact for fact in consumer.reads}
        self._places = asyncio.Semaphore(rounds)
        self._courtesy = courtesy
        self._held: dict[int, Msg] = {}

    @property
    def name(self) -> str:
        return self._consumer.name

    async def run(self) -> None:
        """Listen until cancelled; survives a bus that comes and goes."""
        while True:
            try:
                await self._listen()
            except (Unavailable, NatsError, TimeoutError) as error:
                log.warning("listener waits", consumer=self._consumer.name, error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        consumer = self._consumer
        reader = PullReader(
            connected(self._broker),
            consumer.stream.name,
            consumer.name,
            service=consumer.service,
            batch=consumer.parallel,
        )
        rounds: set[asyncio.Task[None]] = set()
        async with reader:
            keeper = asyncio.create_task(self._keep_alive(reader))
            try:
                while True:
                    connected(self._broker)
                    # A place first: what was read is worked on at once.
                    await self._places.acquire()
                    messages = await self._read_or_release(reader)
                    if not messages:
                        continue
                    running = asyncio.create_task(self._round(messages))
                    rounds.add(running)
                    running.add_done_callback(rounds.discard)
            finally:
                # What is under way may end well: nobody has to do it again.
                if rounds:
                    await asyncio.wait(rounds, timeout=_GRACE_SECONDS)
                keeper.cancel()

    async def _read_or_release(self, reader: PullReader) -> Sequence[Msg]:
        messages: Sequence[Msg] = ()
        try:
            arrived = await reader.arrival()
            if arrived and self._courtesy is not None:
                await self._courtesy.wait(_age_of(arrived))
                # Also what came meanwhile.
                await reader.top_up()
            messages = await reader.read() if arrived else ()
        finally:
            if not messages:
                self._places.release()
        return messages

    async def _round(self, messages: Sequence[Msg]) -> None:
        """Handle a batch, and its messages one by one if it fails as a whole."""
        held = {id(message): message for message in messages}
        self._held |= held
        began = time.monotonic()
        try:
            read = await self._read(messages)
            try:
                await self._together(read)
            except Exception as error:  # noqa: BLE001 - found out one by one below
                if len(read) > 1:
                    log.warning("batch split", consumer=self._consumer.name, error=repr(error))
                for message, event in read:
                    await self._alone(message, event)
        except (NatsError, TimeoutError) as error:
            # Acks that are not sent only mean that the messages come again.
            log.warning("round not settled", consumer=self._consumer.name, error=repr(error))
        finally:
            for key in held:
                del self._held[key]
            if self._courtesy is not None:
                self._courtesy.note_round(time.monotonic() - began)
            self._places.release()

    async def _read(self, messages: Sequence[Msg]) -> list[tuple[Msg, Event[Any]]]:
        read: list[tuple[Msg, Event[Any]]] = []
        for message in messages:
            try:
                read.append((message, self._event(message)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is set aside
                await self._settle(message, error)
        return read

    def _event(self, message: Msg) -> Event[Any]:
        envelope = Envelope.from_headers(message.headers)
        fact: type[Fact] | None = self._facts.get(envelope.type)
        if fact is None:
            raise Rejected(f"{self._consumer.name} cannot read {envelope.type}")
        return Event(envelope=envelope, data=fact.model_validate_json(message.data))

    async def _together(self, read: Sequence[tuple[Msg, Event[Any]]]) -> None:
        if not read:
            return
        events = [event for _, event in read]
        await until_available(lambda: self._handle(events), self._consumer.name)
        for message, _ in read:
            await message.ack()

    async def _alone(self, message: Msg, event: Event[Any]) -> None:
        try:
            await self._together([(message, event)])
        except Exception as error:  # noqa: BLE001 - retried or set aside
            await self._settle(message, error)

    async def _settle(self, message: Msg, error: Exception) -> None:
        delay = await settle_failure(self._broker, message, error)
        if delay is None:
            await message.term()
        else:
            await message.nak(delay=delay)

    async def _keep_alive(self, reader: PullReader) -> None:
        """Tell the server that the work goes on, so that nobody else is given it: for messages
        that are worked on, and for those that came and wait for a place."""
        while True:
            await asyncio.sleep(self._consumer.ack_wait.total_seconds() / 3)
            held = [one for one in self._held.values() if not one.is_acked]
            for message in (*held, *reader.waiting()):
                try:
                    await message.in_progress()
                except NatsError as error:
                    log.warning("in-progress not sent", error=repr(error))


def _age_of(messages: Sequence[Msg]) -> float:
    """Seconds since the oldest of the messages was stored."""
    oldest = min(message.metadata.timestamp for message in messages)
    return (datetime.now(UTC) - oldest).total_seconds()
