"""Questions to the services, over NATS request and reply."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar, cast

import nats.errors
from nats.aio.client import Client as Connection
from pydantic import BaseModel, ValidationError

from sluice_cli.failures import IntegrityError, NetworkError, RefusedError
from sluice_cli.transport import Notice
from sluice_contracts.base import Contract, JsonObject
from sluice_contracts.envelope import CONTENT_TYPE
from sluice_contracts.questions import Failure, FailureDetail, Question

A = TypeVar("A", bound=Contract)

# Listing objects reads what lies beside each of them; that takes a while on a slow store.
TIMEOUT_SECONDS = 30.0
# The only inbox an operator may listen on.
INBOX_PREFIX = b"_INBOX_operator"


@dataclass(frozen=True)
class Address:
    """Where NATS is and who asks. `url` names one server, or several with commas."""

    url: str
    user: str
    password: str | None = field(default=None, repr=False)


class _Reply(BaseModel):
    answer: JsonObject | None = None
    error: FailureDetail | None = None


class _Complaints:
    """What NATS says besides its answers: the library tells it to a callback alone."""

    def __init__(self, address: Address, notice: Notice) -> None:
        self._address = address
        self._notice = notice
        self.connected = False
        self.forbidden = False
        self.early: Exception | None = None

    async def hear(self, error: Exception) -> None:
        """Raises RefusedError when NATS does not let us in: to try again would change nothing."""
        text = str(error).lower()
        if not self.connected:
            # Each attempt has its own: who asked is told the last one, once all have failed.
            self.early = error
            if "authorization violation" in text:
                raise self._not_let_in()
            return
        self.forbidden = self.forbidden or "permissions violation" in text
        self._notice(f"NATS: {error or type(error).__name__}")

    def _not_let_in(self) -> RefusedError:
        if self._address.password is None:
            told = "NATS lets nobody in without the right password; set SLUICE_NATS_PASSWORD"
        else:
            told = f"NATS does not let {self._address.user} in with this password"
        return RefusedError("unauthorized", told)


@asynccontextmanager
async def connected(address: Address, notice: Notice) -> AsyncIterator[Connection]:
    """A connection that ends with the block.

    Raises:
        RefusedError: the user and password do not suit, or the user lacks a right the block needs.
        NetworkError: nobody there.
    """
    complaints = _Complaints(address, notice)
    connection = Connection()
    try:
        await _connect(connection, address, complaints)
        complaints.connected = True
        yield connection
    except NetworkError as error:
        if complaints.forbidden:
            # NATS answers what it forbids with silence, which looks like a service that is away.
            told = f"NATS does not let {address.user} do this"
            raise RefusedError("forbidden", told) from error
        raise
    finally:
        # The library insists on this where an address was none, and nothing was ever begun.
        with suppress(AssertionError):
            await connection.close()


async def _connect(connection: Connection, address: Address, complaints: _Complaints) -> None:
    try:
        await connection.connect(
            address.url.split(","),
            name="sluice operator",
            user=address.user if address.password is not None else None,
            password=address.password,
            inbox_prefix=INBOX_PREFIX,
            connect_timeout=5,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]  # it sleeps for any number
            max_reconnect_attempts=4,
            error_cb=complaints.hear,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        told = complaints.early or error
        raise NetworkError(f"cannot connect to NATS: {told or type(told).__name__}") from error


async def ask(connection: Connection, question: Question[A]) -> A:
    """The answer of the service that `question` is for.

    Raises:
        RefusedError: the service said no.
        NetworkError: it is not there, not in time, or not able to answer now.
        IntegrityError: it answered something that is no answer.
    """
    subject = question.subject()
    try:
        message = await connection.request(
            subject,
            question.model_dump_json().encode(),
            timeout=TIMEOUT_SECONDS,
            headers={"content-type": CONTENT_TYPE},
        )
    except nats.errors.NoRespondersError as error:
        raise NetworkError(f"no {question.SERVICE} answers {subject}") from error
    except (nats.errors.Error, TimeoutError) as error:
        raise NetworkError(f"{question.SERVICE} did not answer {subject} in time") from error
    return parse_reply(question, message.data)


def parse_reply(question: Question[A], body: bytes) -> A:
    """The answer in a reply, or the failure it tells of, raised."""
    try:
        reply = _Reply.model_validate_json(body)
        if reply.error is None:
            return cast("A", question.ANSWER.model_validate(reply.answer))
    except ValidationError as error:
        raise IntegrityError(f"{question.SERVICE} sent no answer to {question.VERB}") from error
    failure = reply.error
    if failure.failure in (Failure.UNAVAILABLE, Failure.BUG):
        raise NetworkError(f"{question.SERVICE}: {failure.detail} ({failure.code})")
    raise RefusedError(failure.code, failure.detail)
