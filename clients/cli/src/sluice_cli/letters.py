"""Dead letters: reading, replaying and dropping what SLUICE_DLQ holds.

A replayed message goes to every consumer of its subject; those that had handled it know its
event id and leave it alone.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from sluice_cli.failures import NetworkError, RefusedError
from sluice_cli.strict_json import read_json
from sluice_contracts.topology import DEAD_LETTERS

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_PREFIX = "sluice-dlq-"
# What parking wrote, and what NATS reads: neither belongs to the message.
_NOT_REPLAYED = (_PREFIX, "nats-")


@dataclass(frozen=True)
class DeadLetter:
    """A parked message; header names are in lower case."""

    sequence: int
    parked_at: datetime
    headers: Mapping[str, str]
    body: bytes

    def about(self, name: str) -> str:
        """What the parking service wrote about `name`, or nothing."""
        return self.headers.get(_PREFIX + name, "")

    def replay_headers(self) -> dict[str, str]:
        """The headers the message had, and a message id of its own.

        The original id may still be in the duplicate window, where it would swallow the replay.
        This one stays the same for one letter: a replay repeated because its letter could not
        be deleted is stored once.
        """
        headers = {
            name: value
            for name, value in self.headers.items()
            if not name.startswith(_NOT_REPLAYED)
        }
        moment = int(self.parked_at.timestamp() * 1_000_000)
        headers["Nats-Msg-Id"] = f"replay:{DEAD_LETTERS.name}:{self.sequence}:{moment}"
        return headers


class LetterRow(BaseModel):
    """A dead letter in a list."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    parked_at: datetime
    reason: str
    stream: str
    consumer: str
    deliveries: str
    subject: str
    error: str

    @classmethod
    def of(cls, letter: DeadLetter) -> "LetterRow":
        return cls(
            sequence=letter.sequence,
            parked_at=letter.parked_at,
            reason=letter.about("reason"),
            stream=letter.about("stream"),
            consumer=letter.about("consumer"),
            deliveries=letter.about("deliveries"),
            subject=letter.about("subject"),
            error=letter.about("error"),
        )


class LetterView(BaseModel):
    """A dead letter in full; a body that is no JSON, or none we could say again, is in base64."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    parked_at: datetime
    headers: dict[str, str]
    body: JsonValue = None
    body_base64: str | None = None

    @classmethod
    def of(cls, letter: DeadLetter) -> "LetterView":
        body: JsonValue = None
        encoded = None
        try:
            body = read_json(_JSON, letter.body)
        except ValueError:
            encoded = base64.b64encode(letter.body).decode()
        return cls(
            sequence=letter.sequence,
            parked_at=letter.parked_at,
            headers=dict(letter.headers),
            body=body,
            body_base64=encoded,
        )


class Letters:
    """The stream of dead letters."""

    def __init__(self, stream: JetStreamContext) -> None:
        self._stream = stream

    async def last_sequence(self) -> int:
        """The newest sequence there has been; what comes later is not part of a run."""
        return (await self._stream.stream_info(DEAD_LETTERS.name)).state.last_seq

    async def get(self, sequence: int) -> DeadLetter:
        """Raises RefusedError when there is no such letter."""
        try:
            return _letter(await self._stream.get_msg(DEAD_LETTERS.name, seq=sequence))
        except NotFoundError as error:
            raise RefusedError("not-found", f"there is no dead letter {sequence}") from error

    async def between(self, first: int, last: int) -> AsyncIterator[DeadLetter]:
        """The letters there are from `first` to `last`, in order."""
        subject = DEAD_LETTERS.subjects[0]
        while first <= last:
            try:
                message = await self._stream.get_msg(
                    DEAD_LETTERS.name, seq=first, subject=subject, next=True
                )
            except NotFoundError:
                return
            letter = _letter(message)
            if letter.sequence > last:
                return
            yield letter
            first = letter.sequence + 1

    async def replay(self, letter: DeadLetter) -> None:
        """Publish the original message again and, once its stream has it, forget the letter.

        Raises:
            RefusedError: the letter does not say where it came from.
            NetworkError: a stream did not confirm; the letter may still be there, and can be
                replayed once more without harm.
        """
        subject, stream = letter.about("subject"), letter.about("stream")
        if not subject or not stream:
            raise RefusedError("no-origin", f"letter {letter.sequence} does not name its origin")
        try:
            await self._stream.publish(
                subject, letter.body, headers=letter.replay_headers(), stream=stream
            )
        except (nats.errors.Error, TimeoutError) as error:
            told = str(error) or type(error).__name__
            raise NetworkError(f"letter {letter.sequence} was not confirmed: {told}") from error
        await self.drop(letter.sequence)

    async def drop(self, sequence: int) -> None:
        """Delete a letter; one that is gone already is as good as deleted.

        Raises:
            NetworkError: the stream did not confirm.
        """
        try:
            await self._stream.delete_msg(DEAD_LETTERS.name, sequence)
        except (nats.errors.Error, TimeoutError) as error:
            if not await self._is_gone(sequence):
                told = str(error) or type(error).__name__
                raise NetworkError(f"letter {sequence} was not deleted: {told}") from error

    async def _is_gone(self, sequence: int) -> bool:
        try:
            await self.get(sequence)
        except RefusedError:
            return True
        except (nats.errors.Error, TimeoutError):
            pass
        return False


def _letter(message: RawStreamMsg) -> DeadLetter:
    assert message.seq is not None, "a stored message has a sequence"
    assert message.time is not None, "a stored message has a time"
    headers = message.headers or {}
    return DeadLetter(
        sequence=message.seq,
        parked_at=message.time,
        headers={name.lower(): str(value) for name, value in headers.items()},
        body=message.data or b"",
    )
