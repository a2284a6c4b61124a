"""The reader of the stream notices what it was not told of."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from sluice_notifier.tail import Tail, _LostPlace
from sluice_notifier.usecases import find_position, write_log
from sluice_runtime.pull import PullReader

from .fakes import FakeWorld
from .test_log import read

CREATED = datetime(2026, 11, 1, tzinfo=UTC)


class Stream:
    """A stream of so many messages, of which a consumer has given out some."""

    def __init__(self, *, last: int = 0, delivered: int = 0) -> None:
        self._last = last
        self._delivered = delivered

    async def stream_info(self, _name: str) -> Any:
        return SimpleNamespace(state=SimpleNamespace(last_seq=self._last))

    async def consumer_info(self, _stream: str, _name: str) -> Any:
        return SimpleNamespace(delivered=SimpleNamespace(consumer_seq=self._delivered))


class Silence:
    """A reader to whom nothing comes; after so many reads somebody else's patience is at an end."""

    def __init__(self, reads: int) -> None:
        self._left = reads

    async def read(self) -> Sequence[Msg]:
        if self._left == 0:
            raise asyncio.CancelledError
        self._left -= 1
        return ()


def tail(world: FakeWorld) -> Tail:
    broker = SimpleNamespace(
        config=SimpleNamespace(broker_config=SimpleNamespace(connection_state=True)),
        connection=SimpleNamespace(is_connected=True),
    )
    return Tail(cast(NatsBroker, broker), world.deps())


async def consume(stream: Stream, reads: int = 100) -> None:
    reader = cast(PullReader, Silence(reads))
    await tail(FakeWorld())._consume(cast(JetStreamContext, stream), reader, "name", CREATED)


async def test_what_was_sent_into_a_broken_connection_is_asked_for_again() -> None:
    """No later message shows that it is missing, if none comes."""
    with pytest.raises(_LostPlace):
        await consume(Stream(delivered=1))


async def test_a_quiet_stream_is_waited_for() -> None:
    with pytest.raises(asyncio.CancelledError):
        await consume(Stream(delivered=0))


@pytest.mark.parametrize(("last", "position"), [(100, 100), (101, 100), (99, 0)])
async def test_a_cursor_beyond_the_end_of_the_stream_begins_anew(last: int, position: int) -> None:
    world = FakeWorld()
    await write_log([read(100)], 100, CREATED, world.deps())
    stream = cast(JetStreamContext, Stream(last=last))
    assert await tail(world)._position(stream, CREATED) == position
    assert await find_position(CREATED, world.deps()) == position
