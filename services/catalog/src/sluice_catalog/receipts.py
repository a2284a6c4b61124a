"""Looks into the event stream for bytes that were received and not heard of since."""

from faststream.nats import NatsBroker
from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from sluice_catalog.domain import Upload
from sluice_contracts.facts import ObjectRejected, ObjectStored, UploadReceived, UploadSent
from sluice_contracts.topology import EVENTS
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable

_TIMEOUT_SECONDS = 3.0


class StreamReceipts:
    """Reads the newest fact of an upload straight from the stream."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def is_pending(self, upload: Upload) -> bool:
        """Whether bytes of the present claim were received and not rejected since.

        Raises:
            Unavailable: the stream cannot be read right now.
        """
        stored = await self._last(ObjectStored.subject_of(upload.tenant, upload.upload_id))
        if stored is not None:
            said = ObjectStored.model_validate_json(stored.data or b"")
            if said.claim_id == upload.claim_id:
                return True
        received = await self._last(UploadReceived.subject_of(upload.tenant, upload.upload_id))
        if received is None or received.seq is None:
            return False
        fact = UploadReceived.model_validate_json(received.data or b"")
        if fact.claim_id != upload.claim_id:
            return False
        rejected = await self._last(ObjectRejected.subject_of(upload.tenant, upload.upload_id))
        return rejected is None or rejected.seq is None or rejected.seq < received.seq

    async def is_completing(self, tenant: str, upload_id: str) -> bool:
        """Whether a client said that it sent all of a direct upload, and nothing came of it yet.

        Raises:
            Unavailable: the stream cannot be read right now.
        """
        sent = await self._last(UploadSent.subject_of(tenant, upload_id))
        if sent is None or sent.seq is None:
            return False
        rejected = await self._last(ObjectRejected.subject_of(tenant, upload_id))
        return rejected is None or rejected.seq is None or rejected.seq < sent.seq

    async def _last(self, subject: str) -> RawStreamMsg | None:
        stream = connected(self._broker).jetstream(timeout=_TIMEOUT_SECONDS)
        try:
            return await stream.get_last_msg(EVENTS.name, subject, direct=True)
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The message bus did not answer.", code="bus-unavailable") from error
