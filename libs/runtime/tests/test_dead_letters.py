"""What becomes of a message whose handler failed: another try, or a dead letter; never silence."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from faststream.exceptions import AckMessage, NackMessage, RejectMessage
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from pydantic import TypeAdapter, ValidationError

from sluice_contracts.topology import CONSUMERS, DEAD_LETTERS
from sluice_runtime.dead_letters import DeadLetterMiddleware, Origin, letter_headers
from sluice_runtime.errors import NotFound, Rejected, SluiceError, Unavailable

ORIGIN = Origin("SLUICE_EVENTS", "catalog-objects", 42, 3)


@dataclass
class FakeStream:
    """JetStream as the parking of a letter uses it."""

    letters: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    failure: Exception | None = None

    async def publish(
        self,
        subject: str,
        body: bytes,
        *,
        stream: str,
        timeout: float,  # noqa: ASYNC109 - as the client has it
        headers: dict[str, str],
    ) -> None:
        assert stream == DEAD_LETTERS.name
        assert timeout > 0
        if self.failure is not None:
            raise self.failure
        self.letters.append((subject, body, headers))

    # The broker, its connection and the stream in one: what is asked of each is this little.
    @property
    def connection(self) -> "FakeStream":
        return self

    def jetstream(self, timeout: float) -> "FakeStream":
        assert timeout > 0
        return self


def message(delivered: int = 1, reply: str | None = None) -> Msg:
    ack = f"$JS.ACK.SLUICE_EVENTS.catalog-objects.{delivered}.42.7.1700000000000000000.0"
    nobody: Any = None
    return Msg(
        nobody,
        subject="sluice.v1.dev.object.stored.upl_1",
        reply=ack if reply is None else reply,
        data=b"body",
        headers={"ce-id": "e1", "Nats-Msg-Id": "e1", "Nats-Expected-Stream": "X"},
    )


async def decide(msg: Any, error: BaseException | None, stream: FakeStream) -> bool | None:
    broker: Any = stream
    middleware = DeadLetterMiddleware(msg, context=None, broker=broker)
    return await middleware.after_processed(type(error) if error else None, error, None)


def broken() -> ValidationError:
    try:
        TypeAdapter(int).validate_python("x")
    except ValidationError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [None, AckMessage(), NackMessage(), RejectMessage(), asyncio.CancelledError(), SystemExit()],
)
async def test_success_and_deliberate_ends_are_left_alone(error: BaseException | None) -> None:
    stream = FakeStream()
    assert await decide(message(), error, stream) is False
    assert not stream.letters


@pytest.mark.parametrize("reply", ["", "_INBOX_gateway.1"])
async def test_core_messages_have_nothing_to_retry(reply: str) -> None:
    stream = FakeStream()
    assert await decide(message(reply=reply), Rejected("x"), stream) is False
    assert await decide(object(), Rejected("x"), stream) is False
    assert not stream.letters


@pytest.mark.parametrize("error", [NotFound("early"), Unavailable("away"), KeyError("bug")])
async def test_what_may_pass_is_tried_again_later_and_later(error: Exception) -> None:
    stream, delays = FakeStream(), []
    for delivered in range(1, 5):
        with pytest.raises(NackMessage) as caught:
            await decide(message(delivered), error, stream)
        delays.append(caught.value.extra_options["delay"])
    assert delays == sorted(delays)
    assert delays[0] < delays[-1]
    assert not stream.letters


async def test_after_the_last_try_it_is_set_aside() -> None:
    stream = FakeStream()
    with pytest.raises(RejectMessage):
        await decide(message(5), NotFound("early"), stream)
    ((subject, body, headers),) = stream.letters
    assert subject == "dlq.SLUICE_EVENTS.catalog-objects"
    assert body == b"body"
    assert headers["sluice-dlq-reason"] == "exhausted"
    assert headers["sluice-dlq-deliveries"] == "5"


@pytest.mark.parametrize(
    "error", [Rejected("no"), broken(), UnicodeDecodeError("u", b"", 0, 1, "")]
)
async def test_what_can_never_succeed_is_set_aside_at_once(error: Exception) -> None:
    stream = FakeStream()
    with pytest.raises(RejectMessage):
        await decide(message(1), error, stream)
    assert stream.letters[0][2]["sluice-dlq-reason"] == "permanent"


@pytest.mark.parametrize("failure", [TimeoutError(), NoRespondersError()])
@pytest.mark.parametrize("error", [Rejected("no"), NotFound("early")])
async def test_what_cannot_be_set_aside_stays_in_its_stream(
    failure: Exception, error: SluiceError
) -> None:
    with pytest.raises(NackMessage) as caught:
        await decide(message(5), error, FakeStream(failure=failure))
    assert caught.value.extra_options["delay"] > 0


def test_a_letter_says_where_it_came_from_and_why() -> None:
    headers = letter_headers(
        ORIGIN, "sluice.v1.x", {"ce-id": "e1", "nats-msg-id": "e1"}, "permanent", KeyError("a")
    )
    assert headers == {
        "ce-id": "e1",
        "Nats-Msg-Id": "dlq:SLUICE_EVENTS:catalog-objects:42",
        "sluice-dlq-reason": "permanent",
        "sluice-dlq-subject": "sluice.v1.x",
        "sluice-dlq-stream": "SLUICE_EVENTS",
        "sluice-dlq-consumer": "catalog-objects",
        "sluice-dlq-seq": "42",
        "sluice-dlq-deliveries": "3",
        "sluice-dlq-error": "KeyError: 'a'",
    }


def test_the_same_message_is_the_same_letter_however_often_it_was_delivered() -> None:
    again = Origin("SLUICE_EVENTS", "catalog-objects", 42, 8)
    assert again.message_id == ORIGIN.message_id
    assert Origin("SLUICE_EVENTS", "storage-uploads", 42, 3).message_id != ORIGIN.message_id


def test_the_error_in_a_letter_fits_a_header_and_holds_no_secret() -> None:
    error = RuntimeError("a\r\nb ä http://u:hunter2@host/?X-Amz-Signature=hunter2 " + "x" * 900)
    text = letter_headers(ORIGIN, "s", None, "exhausted", error)["sluice-dlq-error"]
    assert "hunter2" not in text
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 512


def test_consumers_give_up_only_after_the_last_retry() -> None:
    attempts = 5
    assert all(consumer.max_deliver > attempts for consumer in CONSUMERS)
