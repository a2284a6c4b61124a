"""Retry with delays, then park: no message is ever dropped.

The middleware sits under FastStream's own acknowledgement middleware, which turns the Nack and
Reject exceptions raised here into protocol acks. The advisory sweeper covers what no middleware
sees: a handler that hangs, or takes its process down each time.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import structlog
from faststream import BaseMiddleware
from faststream.exceptions import HandlerException, NackMessage, RejectMessage
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from prometheus_client import Counter
from pydantic import ValidationError

from sluice_contracts.topology import ADVISORY_SWEEPER, DEAD_LETTERS, TASKS, dead_letter_subject
from sluice_runtime.errors import Rejected, Unavailable
from sluice_runtime.logs import scrub_text

log = structlog.get_logger(__name__)

DEAD_LETTERED = Counter("sluice_dlq_messages", "Messages set aside", ["consumer", "reason"])

_PERMANENT = (Rejected, ValidationError, json.JSONDecodeError, UnicodeDecodeError)
_DELAYS_SECONDS = (0.2, 1.0, 5.0, 30.0)
_PARK_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Origin:
    """Where a dead letter came from."""

    stream: str
    consumer: str
    sequence: int
    deliveries: int

    @property
    def message_id(self) -> str:
        """The same from middleware and sweeper, so that JetStream keeps one of them."""
        return f"dlq:{self.stream}:{self.consumer}:{self.sequence}"


def letter_headers(
    origin: Origin,
    subject: str,
    headers: Mapping[str, str] | None,
    reason: str,
    error: BaseException | None = None,
) -> dict[str, str]:
    """The headers of a dead letter: those of the message, and why it lies here."""
    kept = {k: v for k, v in (headers or {}).items() if not k.lower().startswith("nats-")}
    kept |= {
        "Nats-Msg-Id": origin.message_id,
        "sluice-dlq-reason": reason,
        "sluice-dlq-subject": subject,
        "sluice-dlq-stream": origin.stream,
        "sluice-dlq-consumer": origin.consumer,
        "sluice-dlq-seq": str(origin.sequence),
        "sluice-dlq-deliveries": str(origin.deliveries),
    }
    if error is not None:
        text = f"{type(error).__name__}: {_told(error)}"
        text = scrub_text(text).encode("ascii", "replace").decode()
        kept["sluice-dlq-error"] = " ".join(text.split())[:512]
    return kept


def _told(error: BaseException) -> str:
    """What an error says, without repeating what was sent: the body of the letter has that."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)


async def park(
    broker: NatsBroker, origin: Origin, body: bytes, headers: dict[str, str], reason: str
) -> None:
    """Put one message aside; returns when the dead-letter stream has it."""
    await broker.connection.jetstream(timeout=_PARK_TIMEOUT_SECONDS).publish(
        dead_letter_subject(origin.stream, origin.consumer),
        body,
        stream=DEAD_LETTERS.name,
        timeout=_PARK_TIMEOUT_SECONDS,
        headers=headers,
    )
    DEAD_LETTERED.labels(origin.consumer, reason).inc()


async def settle_failure(broker: NatsBroker, message: Msg, error: Exception) -> float | None:
    """What becomes of a message whose handler raised `error`.

    Returns the seconds after which it is to come again, or None when it was set aside and must
    not come again.
    """
    meta = message.metadata
    origin = Origin(meta.stream, meta.consumer, meta.sequence.stream, meta.num_delivered)
    permanent = isinstance(error, _PERMANENT)
    if not permanent and origin.deliveries <= len(_DELAYS_SECONDS):
        log.warning("retrying", consumer=origin.consumer, exc_info=error)
        return _DELAYS_SECONDS[origin.deliveries - 1]
    reason = "permanent" if permanent else "exhausted"
    headers = letter_headers(origin, message.subject, message.headers, reason, error)
    log.error("set aside", consumer=origin.consumer, reason=reason, exc_info=error)
    try:
        await park(broker, origin, message.data, headers, reason)
    except (TimeoutError, NatsError, Unavailable):
        # What cannot be parked is never lost: it stays in its stream and comes again.
        return _DELAYS_SECONDS[2]
    return None


class DeadLetterMiddleware(BaseMiddleware[Any, Any]):
    """Turns a handler's failure into a delayed retry or a dead letter."""

    def __init__(self, msg: Any, /, *, context: Any, broker: NatsBroker) -> None:
        super().__init__(msg, context=context)
        self._broker = broker

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        if not isinstance(exc_val, Exception) or isinstance(exc_val, HandlerException):
            return False
        if not isinstance(self.msg, Msg) or not self.msg.reply.startswith("$JS.ACK."):
            return False  # core NATS: nothing to retry and nothing to park
        delay = await settle_failure(self._broker, self.msg, exc_val)
        if delay is not None:
            raise NackMessage(delay=delay) from exc_val
        raise RejectMessage() from exc_val


async def sweep_advisories(broker: NatsBroker) -> None:
    """Park what a consumer gave up after `max_deliver`. Runs until cancelled."""
    stream = broker.connection.jetstream(timeout=_PARK_TIMEOUT_SECONDS)
    subscription = await stream.pull_subscribe_bind(
        ADVISORY_SWEEPER.name,
        ADVISORY_SWEEPER.stream.name,
        inbox_prefix=f"_INBOX_{ADVISORY_SWEEPER.service}.".encode(),
    )
    try:
        while True:
            try:
                advisories = await subscription.fetch(ADVISORY_SWEEPER.parallel, timeout=5)
            except TimeoutError:
                continue
            except NatsError as error:
                log.warning("advisories not read", error=repr(error))
                await asyncio.sleep(1)
                continue
            for advisory in advisories:
                try:
                    await _park_advised(broker, advisory)
                except (TimeoutError, NatsError, Unavailable) as error:
                    log.warning("advisory not handled", error=repr(error))
                    await advisory.nak(delay=5)
                except (ValueError, KeyError) as error:
                    log.error("advisory not understood", error=repr(error))  # noqa: TRY400
                    await advisory.term()
    finally:
        await subscription.unsubscribe()


async def _park_advised(broker: NatsBroker, advisory: Msg) -> None:
    told = json.loads(advisory.data)
    origin = Origin(told["stream"], told["consumer"], told["stream_seq"], told["deliveries"])
    stream = broker.connection.jetstream(timeout=_PARK_TIMEOUT_SECONDS)
    try:
        original = await stream.get_msg(origin.stream, origin.sequence, direct=True)
    except NotFoundError:
        log.warning("advised message is gone", stream=origin.stream, sequence=origin.sequence)
        await advisory.ack()
        return
    reason = "max-deliveries"
    headers = letter_headers(origin, original.subject or "", original.headers, reason)
    await park(broker, origin, original.data or b"", headers, reason)
    if origin.stream == TASKS.name:
        # Nobody is given it any more; left on the queue, it would be there twice after a replay.
        await stream.delete_msg(origin.stream, origin.sequence)
    await advisory.ack()
