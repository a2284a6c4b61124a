"""Replies to a gateway that waits for the outcome of an upload. A lost reply costs only time."""

import structlog
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError

from sluice_contracts.facts import ReplySubject
from sluice_contracts.questions import UploadOutcome
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable

log = structlog.get_logger(__name__)


class NatsReplies:
    """Publishes outcomes on core NATS."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def reply(self, subject: ReplySubject, outcome: UploadOutcome) -> None:
        try:
            await connected(self._broker).publish(subject, outcome.model_dump_json().encode())
        except (NatsError, Unavailable) as error:
            log.warning("reply not sent", upload_id=outcome.upload_id, error=repr(error))
