"""One broker a process, inside the lane in which FastStream and nats-py lose nothing.

Every setting here replaces a default that loses messages, hides failures or never reconnects;
`docs/architecture.md` lists what happens otherwise.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog
from faststream.nats import NatsBroker, NatsMessage
from faststream.security import SASLPlaintext
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError
from prometheus_client import Gauge

from sluice_contracts.topology import CONSUMERS, Consumer
from sluice_runtime.dead_letters import DeadLetterMiddleware
from sluice_runtime.errors import Unavailable
from sluice_runtime.settings import ServiceSettings

log = structlog.get_logger(__name__)

CONSUMER_LAG = Gauge("sluice_consumer_lag", "Facts not yet delivered", ["consumer"])

EXIT_UNAVAILABLE = 69
_WATCH_SECONDS = 2.0
_MISSES = 3
_MAX_OFFLINE_SECONDS = 120.0


def _leave(reason: str) -> None:
    """End the process at once: the supervisor's fresh start is the only way back."""
    log.critical("leaving", reason=reason)
    logging.shutdown()
    os._exit(EXIT_UNAVAILABLE)


class Guard:
    """Watches one broker: leaves when the connection is beyond repair, notices lost consumers.

    `state` holds what the server last said of each of our consumers, for readiness and lag.
    """

    def __init__(self, service: str) -> None:
        self._consumers = [one for one in CONSUMERS if one.service == service]
        self._stopping = False
        self._online_at = time.monotonic()
        self._misses: dict[str, int] = {}
        self.state: dict[str, ConsumerInfo | None] = {}

    def stop(self) -> None:
        """The end is wanted: a closed connection is no reason to leave in a hurry."""
        self._stopping = True

    async def on_closed(self) -> None:
        if not self._stopping:
            _leave("the NATS connection closed for good")

    async def on_error(self, error: Exception) -> None:
        """Permission violations and refused subscriptions are reported here and nowhere else."""
        log.error("nats", error=repr(error))

    def missing(self) -> list[str]:
        """Names of our consumers that the server does not have, or was not asked about yet."""
        return [one.name for one in self._consumers if self.state.get(one.name) is None]

    async def watch(self, broker: NatsBroker) -> None:
        """Look after the broker until cancelled."""
        stream = broker.connection.jetstream(timeout=3)
        while True:
            if broker.connection.is_connected:
                self._online_at = time.monotonic()
                for consumer in self._consumers:
                    try:
                        await self._look_at(stream, consumer)
                    except (NatsError, TimeoutError) as error:
                        log.warning("consumer unknown", consumer=consumer.name, error=repr(error))
            elif time.monotonic() - self._online_at > _MAX_OFFLINE_SECONDS:
                _leave("offline for too long")
            await asyncio.sleep(_WATCH_SECONDS)

    async def _look_at(self, stream: JetStreamContext, consumer: Consumer) -> None:
        try:
            info = await stream.consumer_info(consumer.stream.name, consumer.name)
        except NotFoundError:
            self.state[consumer.name] = None
            self._misses[consumer.name] = self._misses.get(consumer.name, 0) + 1
            log.critical("consumer is missing", consumer=consumer.name)
            if self._misses[consumer.name] >= _MISSES:
                _leave(f"consumer {consumer.name} is gone")
            return
        self._misses[consumer.name] = 0
        self.state[consumer.name] = info
        CONSUMER_LAG.labels(consumer.name).set(info.num_pending or 0)


def make_broker(service: str, settings: ServiceSettings, guard: Guard) -> NatsBroker:
    """The broker of one process; it connects when it is started and never gives up."""
    broker = NatsBroker(
        settings.nats_url.split(","),
        name=f"sluice-{service}",
        security=SASLPlaintext(
            username=settings.nats_user, password=settings.nats_password.get_secret_value()
        ),
        inbox_prefix=f"_INBOX_{service}".encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        ping_interval=10,
        max_outstanding_pings=2,
        connect_timeout=3,
        drain_timeout=5,
        closed_cb=guard.on_closed,
        error_cb=guard.on_error,
        graceful_timeout=15,
        logger=None,
        # Handlers take a message and nothing else; finding out what they take costs as much as
        # most of them do.
        apply_types=False,
    )
    broker.add_middleware(partial(DeadLetterMiddleware, broker=broker))
    return broker


async def undecoded(message: NatsMessage, _: Callable[[NatsMessage], Any]) -> NatsMessage:
    """The decoder of every subscriber: handlers are given the message as it came."""
    return message


def connected(broker: NatsBroker) -> Client:
    """The live connection.

    Raises:
        Unavailable: there is none right now; nothing was sent.
    """
    if not broker.config.broker_config.connection_state or not broker.connection.is_connected:
        raise Unavailable("The message bus is not reachable.", code="bus-unavailable")
    return broker.connection


def reconnects(broker: NatsBroker) -> int:
    """How often the connection was lost and found again: hints of that time were not heard."""
    if not broker.config.broker_config.connection_state:
        return 0
    return int(broker.connection.stats["reconnects"])


def bus_checks(broker: NatsBroker, guard: Guard) -> Mapping[str, bool]:
    """What readiness needs to know of the bus: connected, subscribed, consumers there."""
    state = broker.config.broker_config.connection_state
    return {
        "nats": bool(state) and broker.connection.is_connected,
        "subscribers": all(subscriber.running for subscriber in broker.subscribers),
        "consumers": not guard.missing(),
    }
