"""Looks into the event stream for bytes that were received and not heard of since."""

from faststream.nats import NatsBroker
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from sluice_contracts.facts import ObjectRejected, UploadReceived
from sluice_contracts.topology import EVENTS
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable

_TIMEOUT_SECONDS = 3.0


class StreamReceipts:
    """Reads the newest fact of an upload straight from the stream."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def is_pending(self, tenant: str, upload_id: str) -> bool:
        """Whether the last receipt of this upload was not followed by a rejection.

        Raises:
            Unavailable: the stream cannot be read right now.
        """
        received = await self._last(UploadReceived.subject_of(tenant, upload_id))
        if received is None:
            return False
        rejected = await self._last(ObjectRejected.subject_of(tenant, upload_id))
        return rejected is None or rejected < received

    async def _last(self, subject: str) -> int | None:
        stream = connected(self._broker).jetstream(timeout=_TIMEOUT_SECONDS)
        try:
            return (await stream.get_last_msg(EVENTS.name, subject, direct=True)).seq
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The message bus did not answer.", code="bus-unavailable") from error
