"""Repeats log entries on core NATS the moment they are written."""

from collections.abc import Sequence

import structlog
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError

from sluice_contracts.api import PublicEvent
from sluice_contracts.topology import live_subject
from sluice_notifier.domain import Entry
from sluice_runtime.broker import connected
from sluice_runtime.errors import Unavailable

log = structlog.get_logger(__name__)


class NatsLive:
    """A hint that gets lost costs a listener time, never an entry: the log has it."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def tell(self, entries: Sequence[Entry]) -> None:
        try:
            connection = connected(self._broker)
            for entry in entries:
                data = entry.event.data
                envelope = entry.event.envelope.model_copy(update={"sequence": entry.sequence})
                public = PublicEvent(
                    sequence=entry.sequence,
                    id=envelope.id,
                    type=envelope.type,
                    subject=envelope.subject,
                    time=envelope.time,
                    correlationid=envelope.correlationid,
                    data=data,
                )
                await connection.publish(
                    live_subject(data.tenant, data.kind, data.id),
                    public.model_dump_json().encode(),
                    headers=envelope.headers(),
                )
        except (NatsError, Unavailable) as error:
            log.warning("not told live", error=repr(error))
