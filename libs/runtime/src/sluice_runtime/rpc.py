"""Questions and answers between services, on core NATS.

On the wire an answer is `{"answer": …}` or `{"error": FailureDetail}`. A handler always answers,
also when it fails, or has more to say than a message can hold: silence would cost the caller its
whole timeout.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import structlog
from faststream.nats import NatsBroker, NatsMessage
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from sluice_contracts.base import Contract
from sluice_contracts.questions import Failure, FailureDetail, Question
from sluice_runtime.broker import connected, undecoded
from sluice_runtime.errors import Rejected, SluiceError, Unavailable, revive
from sluice_runtime.trace import current_trace, new_trace, tracing

A = TypeVar("A", bound=Contract)
Q = TypeVar("Q", bound=Question[Any])

log = structlog.get_logger(__name__)

# One slow handler must not hold up the questions behind it.
_PARALLEL = 32
_JSON = {"content-type": "application/json"}
# NATS counts the headers of a message, too, and hangs up on who sends too much.
_HEADERS_BYTES = 4096


class Asks(Protocol):
    """Something that can put a question to another service."""

    async def ask(self, question: Question[A], *, timeout_seconds: float = 5.0) -> A:
        """The answer.

        Raises:
            SluiceError: the failure the other service answered with.
            Unavailable: nobody answered in time.
        """
        ...


class NatsAsker:
    """Asks over the connection of a broker."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def ask(self, question: Question[A], *, timeout_seconds: float = 5.0) -> A:
        subject = question.subject()
        service = question.SERVICE
        connection = connected(self._broker)
        try:
            reply = await connection.request(
                subject,
                question.model_dump_json().encode(),
                timeout=timeout_seconds,
                headers={**_JSON, **current_trace().headers()},
            )
        except NoRespondersError as error:
            raise Unavailable(
                f"The {service} service is not running.", code=f"{service}-unavailable"
            ) from error
        except (TimeoutError, NatsError) as error:
            raise Unavailable(
                f"The {service} service did not answer in time.", code=f"{service}-unavailable"
            ) from error
        return _read_reply(question, reply.data)


def _read_reply(question: Question[A], data: bytes) -> A:
    reply = from_json(data)
    if "error" in reply:
        raise revive(FailureDetail.model_validate(reply["error"]))
    answer: A = question.ANSWER.model_validate_json(to_json(reply["answer"]))  # type: ignore[assignment]
    return answer


class Answers:
    """Binds use cases to the questions of one service; each is answered by one process."""

    def __init__(self, broker: NatsBroker, service: str) -> None:
        self._broker = broker
        self._service = service

    def to(self, question: type[Q], handle: Callable[[Q], Awaitable[Contract]]) -> None:
        """Answer every `question` with what `handle` returns."""
        assert self._service == question.SERVICE, f"{question.subject()} is not ours to answer"
        subscriber = self._broker.subscriber(
            question.subject(), queue=self._service, decoder=undecoded, max_workers=_PARALLEL
        )

        async def answer(message: NatsMessage) -> bytes:
            most_bytes = self._broker.connection.max_payload - _HEADERS_BYTES
            with tracing(new_trace(message.raw_message.headers)):
                return await _answer(question, handle, message.body, most_bytes=most_bytes)

        subscriber(answer)


async def _answer(
    question: type[Q], handle: Callable[[Q], Awaitable[Contract]], body: bytes, *, most_bytes: int
) -> bytes:
    try:
        answer = await handle(question.model_validate_json(body))
        reply = b'{"answer":' + answer.model_dump_json().encode() + b"}"
        return _fitting(question, reply, most_bytes)
    except SluiceError as error:
        failure = error.detail()
    except ValidationError as error:
        log.warning("question refused", subject=question.subject(), error=str(error))
        failure = FailureDetail(
            failure=Failure.REJECTED, code="invalid-question", detail="The question is malformed."
        )
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("question failed", subject=question.subject())
        failure = FailureDetail(
            failure=Failure.BUG, code="internal-error", detail="An unexpected error occurred."
        )
    return b'{"error":' + failure.model_dump_json().encode() + b"}"


def _fitting(question: type[Q], reply: bytes, most_bytes: int) -> bytes:
    """`reply`, if a message can hold it; raises `Rejected`: asked again, it would be no shorter."""
    if len(reply) > most_bytes:
        log.error("answer too large", subject=question.subject(), size_bytes=len(reply))
        raise Rejected(
            "The answer is too large to be passed on. Ask for less at once.",
            code="answer-too-large",
        )
    return reply
