"""The stream of facts, seen and written to by hand."""

import asyncio
import random
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import Fact
from sluice_contracts.topology import EVENTS
from sluice_devkit.stack import Stack
from tests.checks import completed
from tests.support import Row, bus, eventually, rows
from tests.uploading import Client, Kept, some_bytes, streamed_bytes

BODIES = random.Random("bodies")

# What JetStream itself wrote down about the original.
_ORIGINAL = ("nats-batch", "nats-expected", "nats-msg-id")


async def keep(uploader: Client, number: int = 1) -> list[Kept]:
    """Some recordings, one batch each; the first goes the longer way."""
    bodies = [streamed_bytes(BODIES), *(some_bytes(BODIES) for _ in range(number - 1))]
    batches = await asyncio.gather(*(uploader.keep(body) for body in bodies))
    return [one for batch in batches for one in batch]


async def check_works(stack: Stack, uploader: Client) -> list[Kept]:
    """A new recording makes its whole way."""
    kept = await keep(uploader)
    await completed(stack, kept)
    return kept


async def read_state(stack: Stack) -> dict[str, list[Row]]:
    """Everything that must not change when a message repeats."""
    queries = {
        "batches": "select batch_id, status, sequence from batches order by 1",
        "uploads": "select upload_id, status, sequence from uploads order by 1",
        "objects": "select key, sha256, state, verified_at from objects order by 1",
        "recordings": "select recording_id, status, sequence from recordings order by 1",
        "history": "select * from status_history order by position",
    }
    found = {name: await rows(stack, query) for name, query in queries.items()}
    query = "select * from events order by tenant, sequence"
    return {**found, "events": await rows(stack, query, database="notifier")}


async def read_facts(
    stack: Stack, *, after: int = 0, ending: str = "", containing: str = ""
) -> list[RawStreamMsg]:
    """What the stream holds behind `after` with such subjects, in order."""
    found: list[RawStreamMsg] = []
    async with bus(stack, "topology") as connection:
        stream = connection.jetstream(timeout=10)
        following = after + 1
        while True:
            try:
                message = await stream.get_msg(EVENTS.name, following, subject=">", next=True)
            except NotFoundError:
                return found
            subject = message.subject or ""
            if subject.endswith(ending) and containing in subject:
                found.append(message)
            following = (message.seq or following) + 1


async def wait_for_fact(stack: Stack, ending: str, *, after: int = 0) -> RawStreamMsg:
    """The first fact with such a subject, as soon as it is said."""

    async def said() -> list[RawStreamMsg]:
        return await read_facts(stack, after=after, ending=ending)

    return (await eventually(said))[0]


async def last_sequence(stack: Stack) -> int:
    async with bus(stack, "topology") as connection:
        return (await connection.jetstream(timeout=10).stream_info(EVENTS.name)).state.last_seq


def headers_of(message: RawStreamMsg) -> dict[str, str]:
    """Header names in lower case."""
    return {name.lower(): value for name, value in (message.headers or {}).items()}


def copied_headers(message: RawStreamMsg) -> dict[str, str]:
    """Those of a copy that JetStream takes for new, of an event that its readers know."""
    headers = message.headers or {}
    kept = {k: v for k, v in headers.items() if not k.lower().startswith(_ORIGINAL)}
    return {**kept, "Nats-Msg-Id": f"copy:{uuid.uuid4().hex}"}


async def repeat(stack: Stack, facts: Iterable[RawStreamMsg]) -> int:
    """Publish copies, in this order; how many."""
    number = 0
    async with bus(stack, "operator") as connection:
        stream = connection.jetstream(timeout=10)
        for fact in facts:
            ack = await stream.publish(
                fact.subject or "",
                fact.data or b"",
                headers=copied_headers(fact),
                stream=EVENTS.name,
            )
            assert not ack.duplicate
            number += 1
    return number


def said_by(fact: Fact, event_id: str, source: str) -> Event[Fact]:
    """`fact` as a service would say it."""
    return wrap(fact, event_id=event_id, source=source, at=datetime.now(UTC))


async def say(stack: Stack, *events: Event[Fact]) -> None:
    """Publish facts as the service they belong to would."""
    async with bus(stack, "operator") as connection:
        stream = connection.jetstream(timeout=10)
        for event in events:
            await stream.publish(
                event.data.subject(),
                event.body(),
                headers=event.envelope.headers(),
                stream=EVENTS.name,
            )


async def throw_in(
    stack: Stack, subject: str, junk: Sequence[tuple[bytes, dict[str, str]]]
) -> None:
    """Publish messages that are no facts."""
    async with bus(stack, "operator") as connection:
        stream = connection.jetstream(timeout=10)
        for body, headers in junk:
            await stream.publish(subject, body, headers=headers, stream=EVENTS.name)
