"""The relay: publishes what the outbox holds, at least once, in order for each aggregate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError
from prometheus_client import Gauge
from sqlalchemy import ARRAY, Table, Text, all_, any_, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice_contracts.topology import STREAMS, stream_of
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable
from sluice_runtime.publish import BatchRefused, Letter, publish, publish_together
from sluice_runtime.pull import BUSY
from sluice_runtime.session import Session, session_on, transaction

log = structlog.get_logger(__name__)

OUTBOX_AGE = Gauge("sluice_outbox_oldest_age_seconds", "Age of the oldest unpublished fact")

# One relay leads per database; the number is arbitrary and must only stay the same.
_LEADER_LOCK = 0x510CE001
_LOCK = select(func.pg_try_advisory_lock(_LEADER_LOCK))
_BATCH = 500
_LANES = 64
# From so many on, an atomic batch costs less than as many single messages.
_TOGETHER = 20
# So that enough wait by the next round, where they come fast.
_LINGER_SECONDS = 0.1
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 0.25
# A stream that is well confirms a round in a tenth of it.
_PATIENCE_SECONDS = 1.0
_PATTERNS = {
    stream.name: [subject.replace(">", "%") for subject in stream.subjects] for stream in STREAMS
}

Rows = Sequence[Any]
"""Rows of an outbox, as named tuples."""


class Relay:
    """Publishes outbox rows and deletes each only after JetStream confirmed it.

    `wake()` after a commit saves waiting for the next poll; the poll finds what other
    processes committed. In each stream, rows of one aggregate go out one after the other or all at
    once, so a repeat can never let a later fact overtake an earlier one.

    A stream that does not confirm all it is given, and soon, goes apart: what waits for it is
    published beside the rounds, which leave it out until it keeps up again. Otherwise its rows
    would fill every round, and its silence delay them.
    """

    def __init__(self, engine: AsyncEngine, table: Table, broker: NatsBroker) -> None:
        self._engine = engine
        self._broker = broker
        looked_at = func.now().label("looked_at")
        waiting = select(table, looked_at).order_by(table.c.position).limit(_BATCH)
        patterns = bindparam("patterns", type_=ARRAY(Text))
        self._waiting = waiting.where(table.c.subject.not_like(all_(patterns)))
        self._waiting_apart = waiting.where(table.c.subject.like(any_(patterns)))
        self._delete = text(
            f"delete from {table.name} where position = any(cast(:positions as bigint[]))"  # noqa: S608 - a name
        )
        self._woken = asyncio.Event()
        # Streams whose last batch was not confirmed: what waits for them goes singly once.
        self._unconfirmed: set[str] = set()
        # Streams that are apart, and how old the oldest fact is that waits for each, in seconds.
        self._apart: dict[str, float] = {}

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled; survives a database or a bus that comes and goes."""
        while True:
            try:
                await self._lead()
            except* Unavailable as errors:
                log.warning("relay waits", error=repr(errors.exceptions[0]))
            _end_if_asked_to()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as tasks, self._session() as session:
            try:
                while True:
                    if (await session.execute(_LOCK)).scalar_one():
                        break
                    # Whoever leads tells.
                    OUTBOX_AGE.set(0)
                    await asyncio.sleep(_RETRY_SECONDS)
                self._apart.clear()
                while True:
                    await self._round(session, tasks)
            finally:
                # The connection goes back to the pool; a lock that stayed on it would
                # keep every other relay waiting.
                with suppress(Exception):
                    await session.execute(text("select pg_advisory_unlock_all()"))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        """A connection on which each statement is a transaction."""
        async with transaction(self._engine) as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            yield await session_on(connection)

    async def _round(self, session: Session, tasks: asyncio.TaskGroup) -> None:
        self._woken.clear()
        patterns = [one for stream in self._apart for one in _PATTERNS[stream]]
        rows = await session.ask(self._waiting, {"patterns": patterns})
        OUTBOX_AGE.set(max(_age(rows), *self._apart.values(), 0))
        if not rows:
            # `wait_for` would not notice, on Python 3.11, that it is cancelled right after a wake.
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._woken.wait()
            return
        streams = by_stream(rows)
        turns = {
            stream: tasks.create_task(self._publish_to(stream, waiting))
            for stream, waiting in streams.items()
        }
        await asyncio.wait(turns.values(), timeout=_PATIENCE_SECONDS)
        published: list[int] = []
        for stream, turn in turns.items():
            if turn.done() and len(turn.result()) == len(streams[stream]):
                published += turn.result()
            else:
                self._apart[stream] = _age(streams[stream])
                tasks.create_task(self._relay_apart(stream, streams[stream], turn))
        if published:
            await session.ask(self._delete, {"positions": published})
            if BUSY <= len(rows) < _BATCH:
                await asyncio.sleep(_LINGER_SECONDS)

    async def _relay_apart(self, stream: str, rows: Rows, turn: Awaitable[list[int]]) -> None:
        """Publish what waits for one stream, beginning with the turn it is late with, until it
        keeps up."""
        clock = asyncio.get_running_loop().time
        begun = clock() - _PATIENCE_SECONDS
        async with self._session() as session:
            while True:
                published = await turn
                await session.ask(self._delete, {"positions": published})
                if len(published) < len(rows):
                    await asyncio.sleep(_RETRY_SECONDS)
                elif len(rows) < _BATCH and clock() - begun < _PATIENCE_SECONDS:
                    break
                begun = clock()
                rows = await session.ask(self._waiting_apart, {"patterns": _PATTERNS[stream]})
                self._apart[stream] = _age(rows)
                turn = self._publish_to(stream, rows)
        del self._apart[stream]

    async def _publish_to(self, stream: str, rows: Rows) -> list[int]:
        """As one, if there are many of them; one by one if JetStream does not take them so."""
        if len(rows) < _TOGETHER or stream in self._unconfirmed:
            self._unconfirmed.discard(stream)
            return await self._publish_singly(rows)
        try:
            await publish_together(connected(self._broker), [_letter(row) for row in rows])
        except BatchRefused as error:
            # Most often it knows one of them: a relay ended between publishing and deleting.
            log.warning("relayed singly", error=repr(error))
            return await self._publish_singly(rows)
        except (TimeoutError, NatsError) as error:
            # One of them may be the reason, which must not hold up the others for ever.
            log.warning("not relayed", error=repr(error))
            self._unconfirmed.add(stream)
            return []
        return [row.position for row in rows]

    async def _publish_singly(self, rows: Rows) -> list[int]:
        """One lane for each aggregate. A failure stops only its own."""
        connection = connected(self._broker)
        lanes: dict[str, list[Any]] = {}
        for row in rows:
            lanes.setdefault(row.aggregate_id, []).append(row)
        published: list[int] = []
        places = asyncio.Semaphore(_LANES)

        async def send(lane: Rows) -> None:
            async with places:
                for row in lane:
                    try:
                        await publish(connection, _letter(row))
                    except (TimeoutError, NatsError) as error:
                        log.warning("not relayed", subject=row.subject, error=repr(error))
                        return
                    published.append(row.position)

        await asyncio.gather(*(send(lane) for lane in lanes.values()))
        return published


def _end_if_asked_to() -> None:
    """A task group whose tasks failed forgets that it was cancelled as well."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def by_stream(rows: Rows) -> Mapping[str, Rows]:
    """Rows by the name of the stream they go to, in their order."""
    streams: dict[str, list[Any]] = {}
    for row in rows:
        streams.setdefault(stream_of(row.subject).name, []).append(row)
    return streams


def _age(rows: Rows) -> float:
    """How long the oldest of the rows waits, in seconds."""
    return (rows[0].looked_at - rows[0].created_at).total_seconds() if rows else 0


def _letter(row: Any) -> Letter:
    return Letter(row.subject, row.payload.encode(), row.headers)
