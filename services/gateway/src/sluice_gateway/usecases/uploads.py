"""Receiving the bytes of a presigned upload, from the claim to an honest answer."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from prometheus_client import Counter, Histogram

from sluice_contracts.facts import StoredBytes, StoreProof, UploadReceived
from sluice_contracts.questions import (
    AbandonUpload,
    Claim,
    ReleaseClaim,
    RenewClaim,
    UploadClaimed,
    UploadOutcome,
)
from sluice_gateway.domain import known_upload_id
from sluice_gateway.ports import Body, Deps, Waiting
from sluice_gateway.usecases.sending import Sending, Sent, send
from sluice_runtime.errors import Conflict, Rejected, SluiceError, Unavailable, revive
from sluice_runtime.facts import derived_id
from sluice_runtime.trace import current_trace

UPLOADS = Counter("sluice_uploads_total", "Uploads that ended", ["door", "outcome"])
UPLOAD_BYTES = Counter("sluice_upload_bytes_total", "Bytes of uploads that were acknowledged")
TIME_TO_REGISTERED = Histogram(
    "sluice_time_to_registered_seconds", "From the last byte in the store to the committed row"
)

_DOOR = "recordings"
_STALLED_SECONDS = 120.0

# Joining the parts of a large object takes the store a while.
_JOIN_TIMEOUT_SECONDS = 60.0


class Answer(StrEnum):
    """What is promised: the row is committed, or the bytes are safe and it will be."""

    REGISTERED = "registered"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Received:
    """What became of an upload, and where to look for it."""

    answer: Answer
    batch_id: str


@dataclass(frozen=True)
class Offer:
    """A request to send bytes, before the first of them was read."""

    upload_id: str
    token: str
    content_type: str
    size_bytes: int | None


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
        sent = await _send_watched(sending, body, lease, deps)
    except BaseException:
        # Also when the sender left in the middle: then there is nobody left to answer.
        await asyncio.shield(_abandon(sending, lease, deps))
        raise
    sent_at = time.monotonic()
    with deps.outcomes.expect(lease.claim_id) as waiting:
        await _announce(lease, sent, waiting, deps)
        answer = await _outcome(waiting, sent, lease.holds(), deps)
    UPLOAD_BYTES.inc(sent.size_bytes)
    if answer is Answer.REGISTERED:
        TIME_TO_REGISTERED.observe(time.monotonic() - sent_at)
    return Received(answer, lease.claim.registration.batch_id)


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
        raise Rejected(f"At most {most} bytes are taken.", code="body-too-large")
    if size_bytes == 0:
        raise Rejected("The body is empty; send the bytes of the file.", code="empty-upload")


@dataclass
class _Meter:
    """How far a body has come, and whether it is the sender we wait for."""

    total: int = 0
    waiting: bool = False


async def _send_watched(sending: Sending, body: Body, lease: _Lease, deps: Deps) -> Sent:
    """Send the body for as long as the claim holds and the sender is not too slow."""
    meter = _Meter()
    sender = asyncio.create_task(send(sending, _metered(body, meter, deps), deps))
    watchers = {
        asyncio.create_task(_renew(lease, deps)),
        asyncio.create_task(_watch_rate(meter, deps)),
    }
    try:
        done, _ = await asyncio.wait({sender, *watchers}, return_when=asyncio.FIRST_COMPLETED)
        for watcher in watchers & done:
            watcher.result()
        return await sender
    finally:
        for task in (sender, *watchers):
            task.cancel()
        await asyncio.gather(sender, *watchers, return_exceptions=True)


async def _metered(body: Body, meter: _Meter, deps: Deps) -> AsyncIterator[bytes]:
    """`body`, counted, and cut off when it grows too large."""
    meter.waiting = True
    async for chunk in body:
        meter.waiting = False
        meter.total += len(chunk)
        if meter.total > deps.limits.max_upload_bytes:
            raise Rejected(
                f"At most {deps.limits.max_upload_bytes} bytes are taken.", code="body-too-large"
            )
        yield chunk
        meter.waiting = True
    meter.waiting = False


async def _watch_rate(meter: _Meter, deps: Deps) -> None:
    """Raises `Rejected` once the sender is too slow, `Unavailable` once the store takes nothing."""
    limits = deps.limits
    stalled = 0.0
    while True:
        before = meter.total
        await asyncio.sleep(limits.min_rate_seconds)
        came = meter.total - before
        if meter.waiting and came < limits.min_rate_bytes * limits.min_rate_seconds:
            raise Rejected(
                f"The body came slower than {limits.min_rate_bytes} bytes a second.",
                code="body-too-slow",
            )
        is_stalled = came == 0 and not meter.waiting
        stalled = stalled + limits.min_rate_seconds if is_stalled else 0.0
        if stalled >= _STALLED_SECONDS:
            raise Unavailable("The object store takes no bytes.", code="store-unavailable")


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
    received = UploadReceived(
        tenant=claim.tenant,
        upload_id=claim.upload.upload_id,
        bytes=StoredBytes(
            bucket=claim.upload.bucket,
            key=claim.upload.key,
            size_bytes=sent.size_bytes,
            sha256=sent.sha256,
            content_type=claim.upload.content_type,
        ),
        multipart=sent.multipart,
        proof=_proof(sent, lease, deps),
        registration=claim.registration,
        claim_id=lease.claim_id,
        received_at=deps.now(),
        reply_to=waiting.reply_to,
    )
    event_id = derived_id(claim.upload.upload_id, lease.claim_id, "received")
    await deps.announcer.announce(received, event_id=event_id, budget_seconds=6.0)


def _proof(sent: Sent, lease: _Lease, deps: Deps) -> StoreProof | None:
    if sent.etag is None:
        return None
    head = base64.b64encode(sent.head)
    return StoreProof(etag=sent.etag, head=head, valid_until=lease.ends_at(deps.now()))


async def _outcome(waiting: Waiting, sent: Sent, claimed: bool, deps: Deps) -> Answer:
    """Wait for the catalog, for a while.

    202 is only said when the store is known to hold the whole object (after a single PUT, or
    once storage has joined the parts) and the claim was still ours when JetStream confirmed:
    then whoever claims next is shown that fact first.
    """
    in_store = sent.multipart is None
    patience = deps.limits.register_timeout_seconds if in_store else _JOIN_TIMEOUT_SECONDS
    while True:
        outcome = await waiting.outcome(patience)
        if outcome is None:
            break
        if outcome.state == "registered":
            return Answer.REGISTERED
        if outcome.state == "rejected":
            raise _refusal(outcome)
        in_store, patience = True, deps.limits.register_timeout_seconds
    if in_store and claimed:
        return Answer.ACCEPTED
    raise Unavailable(
        "The bytes were not registered in time; repeat the request to learn what became of them.",
        code="storage-unavailable",
    )


def _refusal(outcome: UploadOutcome) -> SluiceError:
    if outcome.failure is None:
        return Conflict("The upload was refused.", code="upload-rejected")
    return revive(outcome.failure)
