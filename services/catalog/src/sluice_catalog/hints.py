"""Tells gateways that somebody's rights changed."""

import structlog
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError

from sluice_contracts.topology import AUTH_CHANGED
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable

log = structlog.get_logger(__name__)


class AuthHints:
    """A hint on core NATS: gateways forget whom they know. One that is lost costs them seconds."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def tell(self) -> None:
        try:
            connection = connected(self._broker)
            await connection.publish(AUTH_CHANGED, b"")
            await connection.flush(timeout=1)
        except (Unavailable, NatsError, TimeoutError) as error:
            log.warning("change of rights not told", error=repr(error))
