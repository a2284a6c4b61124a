"""Uploads whose clients speak to the store themselves: what they are given, and what they left.

Their URLs are signed for the public address of the store; nothing else of ours may use them. A
signature cannot be called back, and the one for a PUT stays good after its upload has ended. So it
is for a place of its own, from which the bytes are copied before anybody looks at them. A session
that was joined takes no more parts.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from sluice_contracts.envelope import Event
from sluice_contracts.facts import ObjectRejected, ObjectStored, StoredBytes, UploadSent
from sluice_contracts.questions import (
    DirectContents,
    DirectSigned,
    FoundPart,
    PlaceDirect,
    ShowDirect,
    SignDirect,
    SignedPart,
    UploadBegun,
    UploadOutcome,
    UploadPlaced,
)
from sluice_runtime.errors import Conflict, Unavailable
from sluice_runtime.facts import derived_id
from sluice_runtime.media_types import detect_type
from sluice_runtime.objects import Stat
from sluice_runtime.trace import trace_of, tracing
from sluice_storage import domain
from sluice_storage.ports import Deps

# An upload in parts can be resumed, and a single PUT cannot: it begins anew. So this has nothing
# to do with what is fastest for the gateway.
_SINGLE_PUT_BYTES = 64 * domain.MIB
_FIRST_PARTS = 16
_MOST_FIRST_PARTS = 100
# A join of many parts whose answer was lost has ended by then, one way or the other.
_JOIN_LASTS = timedelta(minutes=2)

_LOST = "bytes-lost"
_LOST_DETAIL = "The object store does not have the bytes; send them again."

Refusal = tuple[str, str]


async def place_direct(question: PlaceDirect, deps: Deps) -> UploadPlaced:
    """Find a place for a file, and sign one PUT or open a session for its parts."""
    upload = question.upload
    key = domain.upload_key(upload, deps.environment)
    size = upload.size_bytes
    part_size = domain.part_size(size, deps.limits.part_size_bytes)
    if size is not None and size <= _SINGLE_PUT_BYTES:
        begun = UploadBegun(put_url=_sign_put(key, deps), part_size=part_size)
    else:
        session = await deps.objects.start_session(key, upload.content_type)
        count = _FIRST_PARTS if size is None else min(_MOST_FIRST_PARTS, -(-size // part_size))
        parts = _sign_parts(key, session, range(1, count + 1), deps)
        begun = UploadBegun(session_id=session, part_size=part_size, parts=parts)
    return UploadPlaced(bucket=deps.objects.bucket, key=key, begun=begun)


async def sign_direct(question: SignDirect, deps: Deps) -> DirectSigned:
    """Fresh URLs. Some stores forget open sessions when they restart; then a new one begins.

    Raises:
        Conflict: the session is gone because its parts are joined already.
    """
    key, session = question.key, question.session_id
    if session is None:
        return DirectSigned(put_url=_sign_put(key, deps))
    if await deps.objects.session_parts(key, session) is None:
        if await deps.objects.stat(key) is not None:
            raise Conflict(
                "The parts of this upload are joined already; complete it.", code="upload-joined"
            )
        session = await deps.objects.start_session(key, question.content_type)
    parts = _sign_parts(key, session, question.numbers, deps)
    return DirectSigned(session_id=session, parts=parts)


def _sign_put(key: str, deps: Deps) -> str:
    return deps.public.sign("PUT", domain.incoming_key(key), deps.limits.link_lifetime)


def _sign_parts(
    key: str, session: str, numbers: Sequence[int], deps: Deps
) -> tuple[SignedPart, ...]:
    lifetime = deps.limits.link_lifetime
    return tuple(
        SignedPart(
            number=number,
            url=deps.public.sign(
                "PUT", key, lifetime, {"partNumber": str(number), "uploadId": session}
            ),
        )
        for number in numbers
    )


async def show_direct(question: ShowDirect, deps: Deps) -> DirectContents:
    """The parts of the session; once they are joined, and after one PUT, the size of the object."""
    if question.session_id is not None:
        parts = await deps.objects.session_parts(question.key, question.session_id)
        if parts is not None:
            found = tuple(
                FoundPart(number=one.number, etag=one.etag, size_bytes=one.size_bytes)
                for one in parts
            )
            return DirectContents(parts=found)
    stat = await deps.objects.stat(question.key)
    if stat is None and question.session_id is None:
        stat = await deps.objects.stat(domain.incoming_key(question.key))
    return DirectContents(size_bytes=None if stat is None else stat.size_bytes)


async def seal_uploads(events: Sequence[Event[UploadSent]], deps: Deps) -> None:
    """Seal several uploads side by side; ends when all have ended, well or not."""
    ended = await asyncio.gather(
        *(_seal_alone(event, deps) for event in events), return_exceptions=True
    )
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


async def _seal_alone(event: Event[UploadSent], deps: Deps) -> None:
    """A message that comes again must not meet its first run half way."""
    with tracing(trace_of(event.envelope)):
        async with deps.finishing.hold(event.data.upload_id):
            await seal_upload(event, deps)


async def seal_upload(event: Event[UploadSent], deps: Deps) -> None:
    """Join the parts, or fetch what was put; read it back, compare it with the promise, say so.

    Safe to repeat. Nothing is deleted here: whether the bytes have an owner is known to the
    catalog, which may have taken them from another attempt.
    """
    fact = event.data
    found = await (_fetch(fact, deps) if fact.multipart is None else _join(fact, deps))
    refusal = _refuse(fact, found)
    sha256 = None
    if refusal is None:
        assert found is not None
        read = await deps.objects.digest(fact.key)
        refusal = _refuse_digest(fact, found, read)
        sha256 = read[1] if read else None
    if refusal is not None:
        rejected = ObjectRejected(
            tenant=fact.tenant,
            upload_id=fact.upload_id,
            claim_id=fact.claim_id,
            code=refusal[0],
            detail=refusal[1],
            final=refusal[0] != _LOST,
            reply_to=fact.reply_to,
        )
        await deps.announcer.announce(rejected, event_id=derived_id(event.envelope.id, "rejected"))
        return
    assert found is not None
    assert sha256 is not None
    await _announce_stored(event, found, sha256, deps)
    if fact.multipart is None:
        await deps.objects.delete(domain.incoming_key(fact.key))


async def _fetch(fact: UploadSent, deps: Deps) -> Stat | None:
    """What was put, with its first bytes, from where it is kept; None when nothing was.

    What has the promised size was fetched by an earlier run, and may be announced: other bytes that
    were put since are not taken. Anything else there is a copy that was broken off.
    """
    there = await deps.objects.stat(fact.key)
    if there is None or there.size_bytes != fact.size_bytes:
        await deps.objects.copy(domain.incoming_key(fact.key), fact.key, fact.content_type)
    return await deps.objects.peek(fact.key, domain.HEAD_BYTES)


async def _join(fact: UploadSent, deps: Deps) -> Stat | None:
    """The joined object, with its first bytes; None when it is not there.

    Raises:
        Unavailable: neither the session nor the object is there, which is how a join looks whose
            answer we missed: it is too early to call the bytes lost.
    """
    assert fact.multipart is not None
    parts = [(part.number, part.etag) for part in fact.multipart.parts]
    joined = await deps.objects.finish_session(fact.key, fact.multipart.session_id, parts)
    found = await deps.objects.peek(fact.key, domain.HEAD_BYTES)
    if found is None and not joined and deps.now() - fact.sent_at < _JOIN_LASTS:
        raise Unavailable("The parts may still be being joined.", code="store-unavailable")
    return found


def _refuse(fact: UploadSent, found: Stat | None) -> Refusal | None:
    """Why what the store holds is not what was promised, as far as its size says it."""
    if found is None:
        return _LOST, _LOST_DETAIL
    size = found.size_bytes
    if fact.size_bytes is not None and size != fact.size_bytes:
        return "size-mismatch", f"{fact.size_bytes} bytes were promised and {size} were sent."
    if size > fact.most_bytes:
        return "body-too-large", f"At most {fact.most_bytes} bytes are taken."
    return None


def _refuse_digest(fact: UploadSent, found: Stat, read: tuple[int, str] | None) -> Refusal | None:
    """Why what was read back is not what was promised, or not what was found before."""
    if read is None:
        return _LOST, _LOST_DETAIL
    size, sha256 = read
    if size != found.size_bytes:
        return "size-mismatch", "Other bytes were sent while these were read back."
    if any(promised != sha256 for promised in fact.sha256):
        return "digest-mismatch", "The bytes do not have the SHA-256 that was promised."
    return None


async def _announce_stored(event: Event[UploadSent], found: Stat, sha256: str, deps: Deps) -> None:
    fact = event.data
    stored = ObjectStored(
        tenant=fact.tenant,
        upload_id=fact.upload_id,
        bytes=StoredBytes(
            bucket=fact.bucket,
            key=fact.key,
            size_bytes=found.size_bytes,
            sha256=sha256,
            content_type=fact.content_type,
        ),
        etag=found.etag,
        detected_type=detect_type(found.head),
        registration=fact.registration,
        claim_id=fact.claim_id,
        stored_at=deps.now(),
        verified_at=deps.now(),
        reply_to=fact.reply_to,
    )
    await deps.announcer.announce(stored, event_id=derived_id(event.envelope.id, "stored"))
    if fact.reply_to:
        outcome = UploadOutcome(upload_id=fact.upload_id, claim_id=fact.claim_id, state="stored")
        await deps.replies.reply(fact.reply_to, outcome)
