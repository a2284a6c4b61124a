"""One message into the stream of its subject, confirmed.

Messages are sent side by side, each with its own confirmation: measured, JetStream's atomic
batches cost the server more than single messages until some fifty travel together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nats.aio.client import Client

from sluice_contracts.topology import stream_of

TIMEOUT_SECONDS = 5.0


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
