"""The relay of a running catalog, while it can publish to one of its two streams alone."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg
from nats.js.errors import NotFoundError

from sluice_contracts.facts import ObjectDiscarded
from sluice_contracts.topology import EVENTS, TASKS, Stream
from sluice_devkit.stack import Stack
from tests.stream import headers_of
from tests.support import bus, count, eventually, provision_topology, rows

# More than a round of the relay reads.
WAITING = 1200
AGGREGATES = 7
SUBJECTS = {
    EVENTS.name: ObjectDiscarded.subject_of("dev", "upl_relay"),
    TASKS.name: "sluice.task.v1.chunk.normal.relay",
}
# What the catalog may not say: NATS answers nothing.
FORBIDDEN = "sluice.task.v1.nobody.normal.relay"

Refuse = Callable[[JetStreamContext, Stream], Awaitable[object]]


async def fill(stream: JetStreamContext, which: Stream) -> None:
    """As a stream whose disk is full."""
    config = (await stream.stream_info(which.name)).config
    config.discard, config.max_msgs = DiscardPolicy.NEW, 1
    await stream.update_stream(config)


async def remove(stream: JetStreamContext, which: Stream) -> None:
    await stream.delete_stream(which.name)


@asynccontextmanager
async def refusing(stack: Stack, which: Stream, refuse: Refuse) -> AsyncIterator[None]:
    async with bus(stack, "topology") as connection:
        await refuse(connection.jetstream(timeout=10), which)
    try:
        yield
    finally:
        await provision_topology(stack)


async def leave(stack: Stack, subject: str, ids: list[str]) -> None:
    """What a catalog would have written into its outbox."""
    connection = await psycopg.AsyncConnection.connect(stack.database_url("catalog"))
    async with connection, connection.cursor() as cursor:
        await cursor.executemany(
            """insert into outbox (event_id, aggregate_id, subject, headers, payload)
            values (%s, %s, %s, %s, '{}')""",
            [
                (one, f"a{n % AGGREGATES}", subject, json.dumps({"Nats-Msg-Id": one}))
                for n, one in enumerate(ids)
            ],
        )


async def heard(stack: Stack, which: Stream) -> list[str]:
    """The ids of what a stream was given by these tests, in its order."""
    found: list[RawStreamMsg] = []
    async with bus(stack, "topology") as connection:
        stream, following = connection.jetstream(timeout=10), 1
        while True:
            try:
                message = await stream.get_msg(
                    which.name, following, subject=SUBJECTS[which.name], next=True
                )
            except NotFoundError:
                return [headers_of(one)["nats-msg-id"] for one in found]
            found.append(message)
            following = (message.seq or following) + 1


async def wait_for(stack: Stack, which: Stream, event_id: str) -> None:
    async def is_heard() -> bool:
        return event_id in await heard(stack, which)

    await eventually(is_heard, seconds=30)


async def wait_until_empty(stack: Stack) -> None:
    async def is_empty() -> bool:
        return await count(stack, "outbox") == 0

    await eventually(is_empty)


@pytest.mark.parametrize(
    ("sick", "healthy", "refuse"),
    [(TASKS, EVENTS, fill), (EVENTS, TASKS, fill), (TASKS, EVENTS, remove)],
    ids=["full tasks", "full events", "no tasks"],
)
async def test_a_stream_that_refuses_holds_up_no_other(
    own: Stack, sick: Stream, healthy: Stream, refuse: Refuse, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    waiting = [f"{name} {n}" for n in range(WAITING)]
    async with refusing(own, sick, refuse):
        await leave(own, SUBJECTS[sick.name], waiting)
        await leave(own, SUBJECTS[healthy.name], [f"{name} behind"])
        await wait_for(own, healthy, f"{name} behind")
        assert await count(own, "outbox") >= WAITING - 1
    await wait_until_empty(own)
    told = [one for one in await heard(own, sick) if one.startswith(name)]
    assert sorted(told) == sorted(waiting)
    for aggregate in range(AGGREGATES):
        lane = waiting[aggregate::AGGREGATES]
        assert [one for one in told if one in set(lane)] == lane


async def test_a_stream_that_is_silent_holds_up_no_other(own: Stack) -> None:
    await leave(own, FORBIDDEN, [f"silent {n}" for n in range(WAITING)])
    for n in range(5):
        await leave(own, SUBJECTS[EVENTS.name], [f"heard {n}"])
        await wait_for(own, EVENTS, f"heard {n}")
    assert await count(own, "outbox") == WAITING
    await rows(own, "delete from outbox")


async def test_a_relay_that_loses_its_connections_goes_on(own: Stack) -> None:
    process = own.pids["catalog"]
    async with refusing(own, TASKS, fill):
        await leave(own, SUBJECTS[TASKS.name], [f"lost {n}" for n in range(WAITING)])
        for n in range(3):
            await leave(own, SUBJECTS[EVENTS.name], [f"lost {n} behind"])
            await wait_for(own, EVENTS, f"lost {n} behind")
            await rows(
                own,
                """select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()""",
            )
    await wait_until_empty(own)
    assert own.pids["catalog"] == process
