"""What the relay sends as one and what singly, what it takes for published, and what it does with a
stream that does not confirm."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import MetaData

from sluice_contracts.topology import EVENTS, TASKS
from sluice_runtime import relay as module
from sluice_runtime.database import outbox_table
from sluice_runtime.errors import Unavailable
from sluice_runtime.relay import Relay, Rows, by_stream

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FACT = "sluice.v1.dev.upload.status_changed.u"
TASK = "sluice.task.v1.chunk.normal.c"


@dataclass
class Sent:
    subject: str
    headers: dict[str, str]

    @property
    def batch(self) -> str | None:
        return self.headers.get("Nats-Batch-Id")


class FakeBus:
    """A connection that notes what it is given; batches are answered with `answer`.

    The stream `sick` refuses what comes singly, or is silent.
    """

    def __init__(self, answer: str = "whole", denied: str | None = None) -> None:
        self.is_connected = True
        self.sent: list[Sent] = []
        self.confirmed: list[str] = []
        self.answer = answer
        self.denied = denied
        self.sick: str | None = None
        self.is_silent = False

    def jetstream(self, **_: Any) -> "FakeStream":
        return FakeStream(self)

    async def publish(self, subject: str, body: bytes, *, headers: dict[str, str]) -> None:
        self.sent.append(Sent(subject, headers))

    async def request(self, subject: str, body: bytes, *, headers: dict[str, str], **_: Any) -> Any:
        self.sent.append(Sent(subject, headers))
        if self.answer == "silence":
            raise TimeoutError
        told = {"error": {"err_code": 10201}}
        if self.answer == "whole":
            assert headers["Nats-Batch-Commit"] == "1"
            told = {"count": cast(Any, int(headers["Nats-Batch-Sequence"]))}
        return SimpleNamespace(data=json.dumps(told).encode())


class FakeStream:
    def __init__(self, bus: FakeBus) -> None:
        self._bus = bus

    async def publish(
        self, subject: str, body: bytes, *, stream: str, headers: Any, **_: Any
    ) -> None:
        if stream == self._bus.sick and self._bus.is_silent:
            await asyncio.Event().wait()
        if stream == self._bus.sick or headers["Nats-Msg-Id"] == self._bus.denied:
            raise TimeoutError
        self._bus.sent.append(Sent(subject, headers))
        self._bus.confirmed.append(headers["Nats-Msg-Id"])


def rows(count: int, subject: str = FACT, first: int = 0) -> Rows:
    return [
        SimpleNamespace(
            position=n,
            subject=subject,
            payload="{}",
            headers={"Nats-Msg-Id": f"e{n}"},
            aggregate_id=f"a{n % 7}",
            created_at=NOW,
            looked_at=NOW + timedelta(seconds=9),
        )
        for n in range(first, first + count)
    ]


class FakeOutbox:
    """The rows of an outbox, and what a relay asks of them, told by what it gives along."""

    def __init__(self, *waiting: Any) -> None:
        self.rows = list(waiting)

    async def ask(self, question: Any, parameters: Mapping[str, Any]) -> list[Any]:
        await asyncio.sleep(0)
        if "positions" in parameters:
            gone = set(parameters["positions"])
            self.rows = [row for row in self.rows if row.position not in gone]
            return []
        prefixes = tuple(one.removesuffix("%") for one in parameters["patterns"])
        wants_these = "NOT LIKE" not in str(question)
        found = [row for row in self.rows if row.subject.startswith(prefixes) == wants_these]
        return found[:500]

    async def execute(self, _question: Any) -> Any:
        return SimpleNamespace(scalar_one=lambda: True)


class RelayOf(Relay):
    """A relay without a database."""

    def __init__(self, bus: FakeBus, outbox: FakeOutbox) -> None:
        config = SimpleNamespace(broker_config=SimpleNamespace(connection_state=True))
        broker: Any = SimpleNamespace(config=config, connection=bus)
        nothing: Any = None
        super().__init__(nothing, outbox_table(MetaData()), broker)
        self._outbox: Any = outbox

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        yield self._outbox


def relay(bus: FakeBus) -> Relay:
    return RelayOf(bus, FakeOutbox())


async def publish(one: Relay, waiting: Sequence[Any]) -> list[int]:
    streams = by_stream(waiting).items()
    return sorted([p for stream, some in streams for p in await one._publish_to(stream, some)])


@asynccontextmanager
async def relaying(bus: FakeBus, outbox: FakeOutbox) -> AsyncIterator[None]:
    task = asyncio.create_task(RelayOf(bus, outbox).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def age() -> float | None:
    return REGISTRY.get_sample_value("sluice_outbox_oldest_age_seconds")


async def test_few_go_singly() -> None:
    bus = FakeBus()
    assert await publish(relay(bus), rows(19)) == list(range(19))
    assert {one.batch for one in bus.sent} == {None}


async def test_many_go_as_one_in_their_order() -> None:
    bus = FakeBus()
    assert await publish(relay(bus), rows(20)) == list(range(20))
    assert len({one.batch for one in bus.sent}) == 1
    assert [one.headers["Nats-Msg-Id"] for one in bus.sent] == [f"e{n}" for n in range(20)]
    places = [int(one.headers["Nats-Batch-Sequence"]) for one in bus.sent]
    assert places == list(range(1, 21))
    assert [one.headers.get("Nats-Batch-Commit") for one in bus.sent] == [None] * 19 + ["1"]


async def test_each_stream_is_counted_for_itself() -> None:
    bus = FakeBus()
    assert await publish(relay(bus), [*rows(25), *rows(5, TASK, first=25)]) == list(range(30))
    batches = {one.batch for one in bus.sent if one.subject == FACT}
    assert len(batches) == 1
    assert {one.batch for one in bus.sent if one.subject == TASK} == {None}


async def test_a_batch_that_is_refused_goes_singly_at_once() -> None:
    bus = FakeBus(answer="refusal")
    assert await publish(relay(bus), rows(20)) == list(range(20))
    assert sorted(bus.confirmed) == sorted(f"e{n}" for n in range(20))


async def test_a_batch_that_is_not_confirmed_goes_singly_next_and_stops_one_lane() -> None:
    bus = FakeBus(answer="silence", denied="e3")
    one = relay(bus)
    assert await publish(one, rows(20)) == []
    # e3, e10 and e17 are of one aggregate.
    assert await publish(one, rows(20)) == [n for n in range(20) if n % 7 != 3]
    bus.answer = "whole"
    assert await publish(one, rows(20)) == list(range(20))


async def test_a_stream_that_refuses_holds_up_no_other() -> None:
    bus = FakeBus(answer="refusal")
    bus.sick = TASKS.name
    outbox = FakeOutbox(*rows(600, TASK), *rows(600, first=600))
    async with relaying(bus, outbox):
        await until(lambda: len(bus.confirmed) == 600)
        await until(lambda: len(outbox.rows) == 600)
        assert {row.subject for row in outbox.rows} == {TASK}


async def test_a_silent_stream_delays_the_others_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.2)
    bus = FakeBus()
    bus.sick, bus.is_silent = EVENTS.name, True
    outbox = FakeOutbox(*rows(1))
    async with relaying(bus, outbox):
        outbox.rows += rows(1, TASK, first=1)
        await until(lambda: len(outbox.rows) == 1)
        # Longer than the deadline: whoever waited for the silent stream again would miss it.
        monkeypatch.setattr(module, "_PATIENCE_SECONDS", 60.0)
        for n in range(2, 7):
            outbox.rows += rows(1, TASK, first=n)
            await until(lambda: len(outbox.rows) == 1)
    assert bus.confirmed == [f"e{n}" for n in range(1, 7)]


async def test_a_stream_that_confirms_again_is_given_all_that_waits_in_order() -> None:
    bus = FakeBus(answer="refusal")
    bus.sick = TASKS.name
    outbox = FakeOutbox(*rows(1200, TASK))
    async with relaying(bus, outbox):
        await until(lambda: age() == 9)
        bus.sick = None
        await until(lambda: not outbox.rows)
        await until(lambda: age() == 0)
        outbox.rows += [*rows(3, TASK, first=1200), *rows(3, first=1203)]
        await until(lambda: not outbox.rows)
    assert len(bus.confirmed) == 1206
    for lane in range(7):
        told = [n for n in (int(one[1:]) for one in bus.confirmed) if n < 1200 and n % 7 == lane]
        assert told == sorted(told)


async def test_a_bus_that_goes_and_comes_is_given_all_that_waits() -> None:
    bus = FakeBus(answer="refusal")
    bus.sick = TASKS.name
    outbox = FakeOutbox(*rows(30, TASK), *rows(30, first=30))
    async with relaying(bus, outbox):
        await until(lambda: len(outbox.rows) == 30)
        bus.is_connected, bus.sick = False, None
        outbox.rows += rows(1, first=60)
        await asyncio.sleep(0.3)
        assert len(outbox.rows) == 31
        bus.is_connected = True
        await until(lambda: not outbox.rows)
    assert sorted(bus.confirmed) == sorted(f"e{n}" for n in range(61))


async def test_a_relay_that_is_told_to_end_does_although_a_turn_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task group whose tasks fail forgets that it was cancelled."""
    bus, outbox = FakeBus(), FakeOutbox(*rows(1))
    ending = asyncio.Event()

    class Failing(RelayOf):
        async def _publish_to(self, stream: str, rows: Rows) -> list[int]:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ending.set()
                raise Unavailable("the bus is away") from None
            return []

    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)
    task = asyncio.create_task(Failing(bus, outbox).run())
    await asyncio.sleep(0.1)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert ending.is_set()
    assert done
    assert task.cancelled()


@pytest.mark.parametrize("steps", range(5))
async def test_a_relay_that_is_woken_and_told_to_end_ends(steps: int) -> None:
    """However close to one another both are said."""
    one = RelayOf(FakeBus(), FakeOutbox())
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0.05)
    one.wake()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=10)
    assert done
