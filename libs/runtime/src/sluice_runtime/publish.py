"""Messages into the stream of their subject, confirmed: one alone, or many as one.

See `docs/adr/0016-what-waits-together-leaves-together.md`.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nats.aio.client import Client
from nats.js.api import Header
from pydantic_core import from_json

from sluice_contracts.topology import stream_of

TIMEOUT_SECONDS = 5.0


class BatchRefused(Exception):
    """JetStream did not take these letters as one; it may have some of them from before."""


@dataclass(frozen=True)
class Letter:
    """A fact or a task ready to be sent; `headers` hold its id."""

    subject: str
    body: bytes
    headers: Mapping[str, str]


async def publish(connection: Client, letter: Letter) -> None:
    """Publish one letter; returns once JetStream has it.

    Raises:
        TimeoutError, nats.errors.Error: not confirmed; repeating with the same id is safe.
    """
    await connection.jetstream(timeout=TIMEOUT_SECONDS).publish(
        letter.subject,
        letter.body,
        timeout=TIMEOUT_SECONDS,
        stream=stream_of(letter.subject).name,
        headers=dict(letter.headers),
    )


async def publish_together(connection: Client, letters: Sequence[Letter]) -> None:
    """Publish letters of one stream as one atomic batch, in their order; returns once JetStream
    has all of them.

    Raises:
        BatchRefused: the batch was not stored; its letters may be sent singly.
        TimeoutError, nats.errors.Error: not confirmed; repeating with the same ids is safe.
    """
    batch = secrets.token_hex(16)
    *others, last = [_in_batch(letter, batch, place) for place, letter in enumerate(letters, 1)]
    for letter in others:
        await connection.publish(letter.subject, letter.body, headers=dict(letter.headers))
    answer = await connection.request(
        last.subject,
        last.body,
        timeout=TIMEOUT_SECONDS,
        headers={**last.headers, Header.BATCH_COMMIT.value: "1"},
    )
    if from_json(answer.data).get("count") != len(letters):
        raise BatchRefused(answer.data.decode())


def _in_batch(letter: Letter, batch: str, place: int) -> Letter:
    marks = {Header.BATCH_ID.value: batch, Header.BATCH_SEQUENCE.value: str(place)}
    return replace(letter, headers={**letter.headers, **marks})
