"""Work nobody waits for, on a real bus."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from faststream.nats import NatsBroker
from faststream.security import SASLPlaintext
from nats.js.api import ConsumerInfo

from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectStored
from sluice_contracts.topology import INSPECTOR_OBJECTS
from sluice_devkit.stack import Stack
from sluice_runtime.batch_listener import BatchListener
from sluice_runtime.pressure import Courtesy
from tests.checks import drained
from tests.stream import keep
from tests.support import PATIENCE, bus, eventually
from tests.uploading import Client


@asynccontextmanager
async def in_place_of_the_inspector(stack: Stack) -> AsyncIterator[NatsBroker]:
    """A broker that may do what the inspector may, which is away as long as the block lasts."""
    name = INSPECTOR_OBJECTS.service
    await stack.stop(name)
    security = SASLPlaintext(username=name, password=stack.nats_users[name])
    broker = NatsBroker(
        stack.nats_url, security=security, inbox_prefix=f"_INBOX_{name}".encode(), logger=None
    )
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
        await stack.start(name)
        await stack.wait_ready(name, PATIENCE)


async def test_work_waits_for_a_quiet_moment_and_takes_what_came_meanwhile(
    own: Stack, uploader: Client
) -> None:
    await keep(uploader)
    await drained(own)
    looked, quiet = asyncio.Event(), asyncio.Event()
    handled: list[int] = []

    async def sleep(_: float) -> None:
        looked.set()
        await quiet.wait()

    async def handle(events: Sequence[Event[ObjectStored]]) -> None:
        handled.append(len(events))

    async def consumer() -> ConsumerInfo:
        async with bus(own, "topology") as connection:
            return await connection.jetstream().consumer_info(
                INSPECTOR_OBJECTS.stream.name, INSPECTOR_OBJECTS.name
            )

    async def nobody_asks() -> bool:
        return (await consumer()).num_waiting == 0

    async def another_came() -> bool:
        info = await consumer()
        return (info.num_ack_pending, info.num_pending) == (1, 1)

    async def some_are_handled() -> bool:
        return bool(handled)

    courtesy = Courtesy(waited=lambda: 0.0 if quiet.is_set() else time.monotonic(), sleep=sleep)
    async with in_place_of_the_inspector(own) as broker:
        listener = BatchListener(broker, INSPECTOR_OBJECTS, handle, courtesy=courtesy)
        listening = asyncio.create_task(listener.run())
        await keep(uploader)
        await asyncio.wait_for(looked.wait(), PATIENCE)
        # The request that brought the first is over when the second comes.
        await eventually(nobody_asks)
        await keep(uploader)
        await eventually(another_came)
        assert handled == []
        quiet.set()
        await eventually(some_are_handled)
        listening.cancel()
        await asyncio.wait((listening,))
    assert handled == [2]
