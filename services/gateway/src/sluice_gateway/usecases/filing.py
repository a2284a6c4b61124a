"""Filing what comes through a form: the one road of every door but the first.

Its place has an id nobody used before, so no claim is needed: nobody else can send there.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sluice_contracts.facts import Registration, StoredBytes
from sluice_contracts.questions import AbandonUpload, PlaceUpload, UploadPlaced
from sluice_gateway.ports import Body, Deps
from sluice_gateway.usecases.answers import UPLOADS, Answer, await_answer
from sluice_gateway.usecases.arriving import Arrival, announce_arrival
from sluice_gateway.usecases.once import Once
from sluice_gateway.usecases.sending import WHOLE_BYTES, Sending, Sent, send
from sluice_runtime.errors import SluiceError

# Long enough for storage to hear of it, short enough that nobody else was given the place.
_ABANDON_WITHIN = timedelta(minutes=1)

Describe = Callable[[Sent], Awaitable[Registration]]


@dataclass(frozen=True)
class Filing:
    """A file of a form that is about to come.

    What is `planned` decides its place; what it turned out to be is told once all of the form
    has been read. A place that is `shared` may hold the same bytes already, of an earlier attempt:
    then nothing is ever removed from it here.
    """

    door: str
    tenant: str
    upload_id: str
    planned: Registration
    content_type: str
    size_bytes: int | None = None
    sha256: str | None = None
    shared: bool = False
    once: Once | None = None


@dataclass(frozen=True)
class Filed:
    """Where the file lies now, and what is promised of it."""

    answer: Answer
    placed: UploadPlaced
    sent: Sent


async def hold(body: Body, most: int = WHOLE_BYTES) -> tuple[bytes, Body | None]:
    """The first bytes of `body`, more than `most` of them only by a chunk, and the rest if any."""
    held = bytearray()
    async for chunk in body:
        held += chunk
        if len(held) > most:
            return bytes(held), body
    return bytes(held), None


async def pieces(held: bytes, rest: Body | None = None) -> AsyncIterator[bytes]:
    """A body that begins with what was held back of it."""
    if held:
        yield held
    if rest is not None:
        async for chunk in rest:
            yield chunk


async def file_away(filing: Filing, body: Body, describe: Describe, deps: Deps) -> Filed:
    """Take a file to its place and have it registered as what `describe` says it is.

    Raises:
        Rejected, Conflict: nothing was kept.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    outcome = "interrupted"
    try:
        filed = await _file_away(filing, body, describe, deps)
        outcome = filed.answer
        return filed
    except SluiceError as error:
        outcome = error.failure
        raise
    finally:
        UPLOADS.labels(filing.door, outcome).inc()


async def _file_away(filing: Filing, body: Body, describe: Describe, deps: Deps) -> Filed:
    asked_at = time.monotonic()
    placed = await deps.places.place(
        PlaceUpload(
            tenant=filing.tenant,
            upload_id=filing.upload_id,
            registration=filing.planned,
            content_type=filing.content_type,
            size_bytes=filing.size_bytes,
        )
    )
    vouch_until = asked_at + placed.vouch_seconds
    begun = placed.begun
    sending = Sending(
        placed.key,
        filing.content_type,
        filing.size_bytes,
        begun.put_url,
        begun_as=begun,
        sha256=filing.sha256,
    )
    sending.session_id, sending.begun = begun.session_id, begun.session_id is not None
    try:
        sent = await send(sending, body, deps)
        registration = await describe(sent)
        if filing.once is not None:
            await filing.once.confirm(deps)
    except BaseException:
        # Also when the sender left in the middle: then there is nobody left to answer.
        # A session is this attempt's own, also at a place that others share.
        if sending.begun and (sending.session_id is not None or not filing.shared):
            await asyncio.shield(_abandon(sending, deps))
        raise
    claim_id = deps.new_id("clm")
    with deps.outcomes.expect(claim_id) as waiting:
        arrival = Arrival(
            tenant=filing.tenant,
            upload_id=filing.upload_id,
            claim_id=claim_id,
            bytes=StoredBytes(
                bucket=placed.bucket,
                key=placed.key,
                size_bytes=sent.size_bytes,
                sha256=sent.sha256,
                content_type=filing.content_type,
            ),
            registration=registration,
            sent=sent,
            may_vouch=time.monotonic() < vouch_until,
            reply_to=waiting.reply_to,
            request_key=filing.once.request_key(sent.sha256) if filing.once else None,
        )
        await announce_arrival(arrival, deps)
        answer = await await_answer(waiting, sent, deps, may_accept=True)
    return Filed(answer, placed, sent)


async def _abandon(sending: Sending, deps: Deps) -> None:
    """Leave nothing behind. What cannot be told now, the sweep finds out."""
    with suppress(SluiceError):
        await deps.asker.ask(
            AbandonUpload(
                key=sending.key,
                session_id=sending.session_id,
                not_after=deps.now() + _ABANDON_WITHIN,
            )
        )
