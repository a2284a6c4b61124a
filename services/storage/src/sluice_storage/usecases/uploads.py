"""From a place to put bytes to bytes that are stored, or refused and removed."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta

from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectRejected, ObjectStored, UploadReceived
from sluice_contracts.questions import (
    AbandonUpload,
    BeginUpload,
    Done,
    PlaceRecordings,
    Places,
    PlaceUpload,
    PlaceUploads,
    SignedPart,
    SignedParts,
    SignParts,
    UploadBegun,
    UploadOutcome,
    UploadPlaced,
    UploadsPlaced,
)
from sluice_runtime.errors import Conflict, Unavailable
from sluice_runtime.facts import derived_id
from sluice_runtime.media_types import detect_type
from sluice_runtime.objects import Stat
from sluice_runtime.trace import trace_of, tracing
from sluice_storage import domain
from sluice_storage.ports import Deps

_FIRST_PARTS = 16
# An upload that begins in its last second still needs its URL.
_MARGIN = timedelta(minutes=1)
# A join whose answer was lost has ended by then, one way or the other.
_JOIN_LASTS = timedelta(seconds=20)


async def place_recordings(question: PlaceRecordings, deps: Deps) -> Places:
    """Compute where recordings are going to lie."""
    day = question.day.astimezone(UTC)
    keys = tuple(
        domain.recording_key(question.tenant, day, item.recording_id, item.filename)
        for item in question.items
    )
    lifetime = timedelta(seconds=question.lifetime_seconds) + _MARGIN
    may_sign = lifetime <= deps.limits.link_lifetime
    urls = tuple(deps.objects.sign("PUT", key, lifetime) if may_sign else None for key in keys)
    return Places(bucket=deps.objects.bucket, keys=keys, put_urls=urls)


async def begin_upload(question: BeginUpload, deps: Deps) -> UploadBegun:
    """Sign one PUT, or open a multipart session for a very large or an unmeasured body."""
    size = domain.part_size(question.size_bytes, deps.limits.part_size_bytes)
    if question.size_bytes is not None and question.size_bytes <= deps.limits.single_put_bytes:
        url = deps.objects.sign("PUT", question.key, deps.limits.link_lifetime)
        return UploadBegun(put_url=url, part_size=size)
    session = await deps.objects.start_session(question.key, question.content_type)
    parts = _FIRST_PARTS
    if question.size_bytes is not None:
        parts = min(parts, -(-question.size_bytes // size))
    signed = _sign(question.key, session, range(1, parts + 1), deps)
    return UploadBegun(session_id=session, part_size=size, parts=signed)


async def place_uploads(question: PlaceUploads, deps: Deps) -> UploadsPlaced:
    """Find a place for each file and begin to send it there.

    Raises:
        Unavailable: what lies at one of them is being removed; nothing was begun.
    """
    keys = [domain.upload_key(one, deps.environment) for one in question.uploads]
    for key in keys:
        deps.places.give_out(key)
    placed = await asyncio.gather(
        *(_place(key, one, deps) for key, one in zip(keys, question.uploads, strict=True))
    )
    return UploadsPlaced(placed=tuple(placed))


async def _place(key: str, place: PlaceUpload, deps: Deps) -> UploadPlaced:
    asked = BeginUpload(key=key, content_type=place.content_type, size_bytes=place.size_bytes)
    begun = await begin_upload(asked, deps)
    return UploadPlaced(
        bucket=deps.objects.bucket,
        key=key,
        begun=begun,
        vouch_seconds=deps.limits.vouch_lifetime.total_seconds(),
    )


async def sign_parts(question: SignParts, deps: Deps) -> SignedParts:
    """Sign more parts of an open session: signatures expire, uploads do not."""
    return SignedParts(parts=_sign(question.key, question.session_id, question.numbers, deps))


def _sign(
    key: str, session: str, numbers: "range | tuple[int, ...]", deps: Deps
) -> tuple[SignedPart, ...]:
    lifetime = deps.limits.link_lifetime
    return tuple(
        SignedPart(
            number=number,
            url=deps.objects.sign(
                "PUT", key, lifetime, {"partNumber": str(number), "uploadId": session}
            ),
        )
        for number in numbers
    )


async def abandon_upload(question: AbandonUpload, deps: Deps) -> Done:
    """Remove what a sender left behind in the middle.

    Raises:
        Conflict: too late; what lies there now may be the acknowledged bytes of somebody else.
    """
    if deps.now() > question.not_after:
        raise Conflict("The claim on this upload has lapsed.", code="claim-lost")
    if question.session_id is not None:
        await deps.objects.end_session(question.key, question.session_id)
    else:
        await deps.objects.delete(question.key)
    return Done()


async def finish_uploads(events: Sequence[Event[UploadReceived]], deps: Deps) -> None:
    """Finish several uploads side by side; ends when all have ended, well or not."""
    ended = await asyncio.gather(
        *(_finish_alone(event, deps) for event in events), return_exceptions=True
    )
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


async def _finish_alone(event: Event[UploadReceived], deps: Deps) -> None:
    """A message that comes again must not meet its first run half way."""
    with tracing(trace_of(event.envelope)):
        async with deps.finishing.hold(event.data.upload_id):
            await finish_upload(event, deps)


async def finish_upload(event: Event[UploadReceived], deps: Deps) -> None:
    """Make one object of what was sent, check it, say so.

    Safe to repeat: finishing a finished session changes nothing, and the id of what is announced
    follows from the id of what was received.
    """
    fact = event.data
    found = await _complete(fact, deps)
    refusal = _refuse(fact, found)
    if refusal is not None:
        await _reject(event, refusal, deps)
        return
    assert found is not None
    stored = ObjectStored(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        bytes=fact.bytes,
        etag=found.etag,
        detected_type=detect_type(found.head),
        registration=fact.registration,
        claim_id=fact.claim_id,
        stored_at=deps.now(),
        reply_to=fact.reply_to,
        request_key=fact.request_key,
    )
    await deps.announcer.announce(stored, event_id=derived_id(event.envelope.id, "stored"))
    if fact.reply_to and fact.multipart is not None:
        # The gateway waits for the join; a single PUT it has seen to its end itself.
        outcome = UploadOutcome(upload_id=fact.upload_id, claim_id=fact.claim_id, state="stored")
        await deps.replies.reply(fact.reply_to, outcome)


async def _complete(fact: UploadReceived, deps: Deps) -> Stat | None:
    """What the store holds, once the parts are joined.

    Raises:
        Unavailable: neither the session nor the object is there, which is how a join looks whose
            answer we missed: it is too early to call the bytes lost.
    """
    key = fact.bytes.key
    if fact.multipart is None:
        return await deps.objects.peek(key, domain.HEAD_BYTES)
    parts = [(part.number, part.etag) for part in fact.multipart.parts]
    joined = await deps.objects.finish_session(key, fact.multipart.session_id, parts)
    found = await deps.objects.peek(key, domain.HEAD_BYTES)
    if found is None and not joined and deps.now() - fact.received_at < _JOIN_LASTS:
        raise Unavailable("The parts may still be being joined.", code="store-unavailable")
    return found


def _refuse(fact: UploadReceived, found: Stat | None) -> tuple[str, str] | None:
    """Why what the store holds is not what was sent, or None."""
    if found is None:
        return "bytes-lost", "The object store lost the bytes before they were complete."
    if found.size_bytes != fact.bytes.size_bytes:
        return (
            "size-mismatch",
            f"{fact.bytes.size_bytes} bytes were sent and {found.size_bytes} were stored.",
        )
    return None


async def _reject(event: Event[UploadReceived], refusal: tuple[str, str], deps: Deps) -> None:
    """Say that the bytes are not there. Nothing is deleted: this news may come late, and what
    lies at the key by then may be acknowledged. The sweep removes what nobody owns."""
    fact, (code, detail) = event.data, refusal
    rejected = ObjectRejected(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        claim_id=fact.claim_id,
        code=code,
        detail=detail,
        reply_to=fact.reply_to,
    )
    await deps.announcer.announce(rejected, event_id=derived_id(event.envelope.id, "rejected"))
