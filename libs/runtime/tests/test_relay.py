"""What the relay sends as one and what singly, and what it takes for published."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import MetaData

from sluice_runtime.database import outbox_table
from sluice_runtime.relay import Relay, Rows

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
    """A connection that notes what it is given; batches are answered with `answer`."""

    def __init__(self, answer: str = "whole", denied: str | None = None) -> None:
        self.is_connected = True
        self.sent: list[Sent] = []
        self.confirmed: list[str] = []
        self.answer = answer
        self.denied = denied

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

    async def publish(self, subject: str, body: bytes, *, headers: Any, **_: Any) -> None:
        if headers["Nats-Msg-Id"] == self._bus.denied:
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
        )
        for n in range(first, first + count)
    ]


def relay(bus: FakeBus) -> Relay:
    config = SimpleNamespace(broker_config=SimpleNamespace(connection_state=True))
    broker: Any = SimpleNamespace(config=config, connection=bus)
    nothing: Any = None
    return Relay(nothing, outbox_table(MetaData()), broker)


async def publish(one: Relay, waiting: Sequence[Any]) -> list[int]:
    return sorted(await one._publish(waiting))


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
