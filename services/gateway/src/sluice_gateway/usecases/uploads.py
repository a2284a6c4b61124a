"""Receiving the bytes of a presigned upload, from the claim to an honest answer."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sluice_contracts.facts import RecordingUpload, StoredBytes
from sluice_contracts.questions import (
    AbandonUpload,
    Claim,
    ReleaseClaim,
    RenewClaim,
    UploadClaimed,
)
from sluice_gateway.domain import known_upload_id
from sluice_gateway.ports import Body, Deps, Waiting
from sluice_gateway.usecases.answers import UPLOADS, Answer, await_answer
from sluice_gateway.usecases.arriving import Arrival, announce_arrival
from sluice_gateway.usecases.sending import Sending, Sent, send
from sluice_gateway.usecases.watching import (
    Meter,
    metered,
    too_large,
    under_watch,
    verified,
    watch_pace,
)
from sluice_runtime.errors import Rejected, SluiceError, Unavailable
from sluice_runtime.trace import current_trace

_DOOR = "recordings"


@dataclass(frozen=True)
class Received:
    """What became of an upload, and where to look for it."""

    answer: Answer
    batch_id: str


@dataclass(frozen=True)
class Offer:
    """A request to send bytes, before the first of them was read; `md5` is promised of them."""

    upload_id: str
    token: str
    content_type: str
    size_bytes: int | None
    md5: bytes | None = None


async def receive_upload(offer: Offer, body: Body, deps: Deps) -> Received:
    """Take the bytes of one upload to the store and have them registered.

    Raises:
        NotFound, Rejected, Conflict: nothing was kept.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    outcome = "interrupted"
    try:
        received = await _receive(offer, body, deps)
        outcome = received.answer
        return received
    except SluiceError as error:
        outcome = error.failure
        raise
    finally:
        UPLOADS.labels(_DOOR, outcome).inc()


async def _receive(offer: Offer, body: Body, deps: Deps) -> Received:
    upload_id = known_upload_id(offer.upload_id)
    deps.tokens.check(upload_id, offer.token, deps.now())
    _check_size(offer.size_bytes, deps)
    lease = await _claim(upload_id, offer.content_type, deps)
    upload = lease.claim.upload
    sending = Sending(upload.key, upload.content_type, offer.size_bytes, upload.put_url)
    try:
        sent = await _send_watched(sending, body, offer.md5, lease, deps)
    except BaseException:
        # Also when the sender left in the middle: then there is nobody left to answer.
        await asyncio.shield(_abandon(sending, lease, deps))
        raise
    with deps.outcomes.expect(lease.claim_id) as waiting:
        await _announce(lease, sent, waiting, deps)
        # While the claim was still ours when JetStream confirmed, whoever claims next is shown
        # that fact first.
        answer = await await_answer(waiting, sent, deps, may_accept=lease.holds())
    return Received(answer, _batch_of(lease))


def _batch_of(lease: "_Lease") -> str:
    registration = lease.claim.registration
    assert isinstance(registration, RecordingUpload)
    return registration.batch_id


async def _claim(upload_id: str, content_type: str, deps: Deps) -> "_Lease":
    claim_id = deps.new_id("clm")
    asked_at = time.monotonic()
    claim = await deps.claims.claim(
        Claim(
            upload_id=upload_id,
            claim_id=claim_id,
            content_type=content_type,
            trace=current_trace().headers(),
        )
    )
    return _Lease(claim, claim_id, asked_at + claim.lease_seconds)


@dataclass
class _Lease:
    """A claim and until when it is certainly ours, on the clock of this process.

    Counted from before the question, so that the catalog never gives it away earlier.
    """

    claim: UploadClaimed
    claim_id: str
    until: float

    def holds(self) -> bool:
        return time.monotonic() < self.until

    def ends_at(self, now: datetime) -> datetime:
        """The end of the lease on the clock on the wall."""
        return now + timedelta(seconds=self.until - time.monotonic())

    async def renew(self, deps: Deps) -> None:
        """Raises `Conflict` when somebody else has the claim."""
        asked_at = time.monotonic()
        question = RenewClaim(upload_id=self.claim.upload.upload_id, claim_id=self.claim_id)
        await deps.asker.ask(question)
        self.until = asked_at + self.claim.lease_seconds


def _check_size(size_bytes: int | None, deps: Deps) -> None:
    most = deps.limits.max_upload_bytes
    if size_bytes is not None and size_bytes > most:
        raise too_large(most)
    if size_bytes == 0:
        raise Rejected("The body is empty; send the bytes of the file.", code="empty-upload")


async def _send_watched(
    sending: Sending, body: Body, md5: bytes | None, lease: _Lease, deps: Deps
) -> Sent:
    """Send the body for as long as the claim holds and the sender is not too slow."""
    meter = Meter()
    counted = metered(body, meter, deps.limits.max_upload_bytes)
    work = send(sending, verified(counted, md5), deps)
    return await under_watch(work, partial(_renew, lease, deps), partial(watch_pace, meter, deps))


async def _renew(lease: _Lease, deps: Deps) -> None:
    """Hold the claim; raises `Conflict` when somebody else has it."""
    while True:
        await asyncio.sleep(lease.claim.lease_seconds / 3)
        with suppress(Unavailable):
            # With the catalog away nobody else can claim; with it back we ask again.
            await lease.renew(deps)


async def _abandon(sending: Sending, lease: _Lease, deps: Deps) -> None:
    """Leave nothing behind. What cannot be told now, the lease and the sweep find out.

    Only the holder of the claim may remove anything: once it is lost, what lies at the key may
    be the acknowledged bytes of somebody else.
    """
    with suppress(SluiceError):
        await lease.renew(deps)
        if sending.begun and not await _remove(sending, lease, deps):
            return
        upload_id = lease.claim.upload.upload_id
        await deps.asker.ask(ReleaseClaim(upload_id=upload_id, claim_id=lease.claim_id))


async def _remove(sending: Sending, lease: _Lease, deps: Deps) -> bool:
    """Whether storage has done with it, and will not come back to it later."""
    question = AbandonUpload(
        key=sending.key, session_id=sending.session_id, not_after=lease.ends_at(deps.now())
    )
    try:
        await deps.asker.ask(question)
    except Unavailable as error:
        # The store being away is an answer; no answer may still become a deletion.
        return error.code == "store-unavailable"
    return True


async def _announce(lease: _Lease, sent: Sent, waiting: Waiting, deps: Deps) -> None:
    """Say that the bytes are there. Should this fail, the fact may still get through: the claim
    is left to lapse, so that no second attempt meets it."""
    if not lease.holds():
        await lease.renew(deps)
    claim = lease.claim
    arrival = Arrival(
        tenant=claim.tenant,
        upload_id=claim.upload.upload_id,
        claim_id=lease.claim_id,
        bytes=StoredBytes(
            bucket=claim.upload.bucket,
            key=claim.upload.key,
            size_bytes=sent.size_bytes,
            sha256=sent.sha256,
            content_type=claim.upload.content_type,
        ),
        registration=claim.registration,
        sent=sent,
        may_vouch=claim.is_first,
        reply_to=waiting.reply_to,
    )
    await announce_arrival(arrival, deps)
