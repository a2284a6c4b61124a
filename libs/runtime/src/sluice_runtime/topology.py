"""Applies the topology: streams and consumers as the contracts describe them. Safe to repeat.

Services never declare anything: two that declare one stream overwrite each other's limits.
"""

import asyncio
import sys

import nats
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from sluice_contracts.topology import CONSUMERS, STREAMS, Consumer, Stream
from sluice_runtime.settings import Settings, read_settings

# A request of 1 MiB of JSON may describe a single recording.
_MAX_MESSAGE_BYTES = 2 * 1024**2


class TopologySettings(Settings):
    """How the provisioning command reaches NATS."""

    nats_url: str
    nats_user: str
    nats_password: SecretStr
    nats_replicas: int = 1


def stream_config(stream: Stream, replicas: int) -> StreamConfig:
    """`stream` in the words of nats-py."""
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.WORK_QUEUE if stream.work_queue else RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        max_age=stream.max_age.total_seconds(),
        max_bytes=stream.max_bytes,
        max_msg_size=_MAX_MESSAGE_BYTES,
        duplicate_window=stream.duplicate_window.total_seconds(),
        compression=StoreCompression.S2,
        allow_direct=True,
        allow_atomic=True,
        num_replicas=replicas,
    )


def consumer_config(consumer: Consumer) -> ConsumerConfig:
    """`consumer` in the words of nats-py."""
    return ConsumerConfig(
        name=consumer.name,
        durable_name=consumer.name,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=consumer.ack_wait.total_seconds(),
        max_deliver=consumer.max_deliver,
        max_ack_pending=consumer.parallel * 8,
        filter_subjects=list(consumer.subjects()),
    )


async def apply_topology(stream: JetStreamContext, replicas: int = 1) -> list[str]:
    """Create or update every stream and consumer; returns a line for each.

    Raises:
        SystemExit: a stream exists with a retention or storage that cannot be changed in place.
    """
    lines: list[str] = []
    for wanted in STREAMS:
        config = stream_config(wanted, replicas)
        try:
            present = (await stream.stream_info(wanted.name)).config
        except NotFoundError:
            await stream.add_stream(config)
            lines.append(f"created stream {wanted.name}")
            continue
        if (present.retention, present.storage) != (config.retention, config.storage):
            raise SystemExit(f"stream {wanted.name} needs a migration: retention or storage differ")
        await stream.update_stream(config)
        lines.append(f"updated stream {wanted.name}")
    for consumer in CONSUMERS:
        # The server's CREATE both creates and updates.
        await stream.add_consumer(consumer.stream.name, consumer_config(consumer))
        lines.append(f"applied consumer {consumer.stream.name}/{consumer.name}")
    return lines


async def _provision(settings: TopologySettings) -> None:
    connection = await nats.connect(
        settings.nats_url.split(","),
        user=settings.nats_user,
        password=settings.nats_password.get_secret_value(),
        inbox_prefix=b"_INBOX_topology",
        connect_timeout=5,
        max_reconnect_attempts=5,
    )
    try:
        for line in await apply_topology(connection.jetstream(timeout=10), settings.nats_replicas):
            sys.stdout.write(line + "\n")
    finally:
        await connection.close()


def main() -> None:
    """`sluice-topology`: declare what the services need on NATS."""
    asyncio.run(_provision(read_settings(TopologySettings)))


if __name__ == "__main__":
    main()
