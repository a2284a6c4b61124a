"""Completing a direct upload: from the client's word that all was sent to the committed row.

Joining and reading back many GiB takes minutes. So the client's word becomes a fact that outlives
every process, and the client that waits here is told in time that it may ask again.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

from sluice_contracts.api import CompleteRequest, GivenPart
from sluice_contracts.facts import DirectUpload, MultipartSession, Part, UploadSent
from sluice_contracts.questions import (
    DirectContents,
    DirectView,
    FoundPart,
    GetDirect,
    Principal,
    RemoveObject,
    ShowDirect,
    UploadOutcome,
)
from sluice_contracts.statuses import UploadStatus
from sluice_gateway.ports import Deps, Waiting
from sluice_gateway.usecases.answers import UPLOAD_BYTES, UPLOADS, Answer
from sluice_gateway.usecases.direct import OPEN, failed, open_upload, refuse_ended
from sluice_runtime.errors import Conflict, Rejected, SluiceError, Unavailable, revive
from sluice_runtime.facts import derived_id

# What an S3 store takes for every part but the last.
_SMALLEST_PART = 5 * 1024**2
# Clients and proxies give up on an answer after a minute, many after half of one.
_PATIENCE_SECONDS = 25.0
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Completed:
    """The upload as it is now, and what is promised of it."""

    answer: Answer
    upload: DirectView


async def complete_direct(
    principal: Principal, upload_id: str, asked: CompleteRequest, deps: Deps
) -> Completed:
    """Have an upload verified and registered. Repeating it gives the same answer.

    Raises:
        NotFound: there is no such upload.
        Conflict, Rejected: parts are missing or others than named, and the upload stays open; or
            it is registered with another digest than was named, and stays so; or the bytes are not
            what was promised, and are gone.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    outcome = "interrupted"
    try:
        completed = await _complete(principal, upload_id, asked, deps)
        _refuse_other(completed, asked.sha256)
        outcome = completed.answer
        return completed
    except SluiceError as error:
        outcome = error.failure
        raise
    finally:
        UPLOADS.labels("uploads", outcome).inc()


async def _complete(
    principal: Principal, upload_id: str, asked: CompleteRequest, deps: Deps
) -> Completed:
    view = await open_upload(principal, upload_id, deps)
    if view.status is UploadStatus.REGISTERED:
        return Completed(Answer.REGISTERED, view)
    refuse_ended(view)
    claim_id = deps.new_id("clm")
    with deps.outcomes.expect(claim_id) as waiting:
        if not view.completing:
            contents = await deps.asker.ask(ShowDirect(key=view.key, session_id=view.session_id))
            multipart = check_sent(view, contents, asked.parts)
            sent = _sent(principal, view, multipart, asked.sha256, claim_id, waiting, deps)
            event_id = derived_id(view.upload_id, claim_id, "sent")
            await deps.announcer.announce(sent, event_id=event_id, budget_seconds=6.0)
        return await _await_end(principal, view, waiting, deps)


def _refuse_other(completed: Completed, sha256: str | None) -> None:
    """Raises Conflict where a repeat names other bytes than those that were registered: its client
    is not to take the answer for a promise about them."""
    registered = completed.upload.sha256
    if completed.answer is Answer.REGISTERED and sha256 not in (None, registered):
        raise Conflict(
            f"This upload is registered with the SHA-256 {registered}. Other bytes need an upload "
            "of their own.",
            code="digest-differs",
        )


def _sent(
    principal: Principal,
    view: DirectView,
    multipart: MultipartSession | None,
    sha256: str | None,
    claim_id: str,
    waiting: Waiting,
    deps: Deps,
) -> UploadSent:
    return UploadSent(
        tenant=principal.tenant,
        upload_id=view.upload_id,
        bucket=view.bucket,
        key=view.key,
        content_type=view.content_type,
        size_bytes=view.size_bytes,
        sha256=tuple(one for one in (view.sha256, sha256) if one is not None),
        most_bytes=deps.limits.max_upload_bytes,
        multipart=multipart,
        registration=DirectUpload(
            batch_id=view.batch_id,
            recording_id=view.recording_id,
            filename=view.filename,
            metadata=view.metadata,
            created_at=view.created_at,
            created_by=view.created_by,
        ),
        claim_id=claim_id,
        sent_at=deps.now(),
        reply_to=waiting.reply_to,
    )


def check_sent(
    view: DirectView, contents: DirectContents, given: tuple[GivenPart, ...] | None
) -> MultipartSession | None:
    """The session to finish; None when the object is there as it is.

    It has to be right before anybody tries: some stores drop a session with all its parts when
    they are asked to join it wrongly.

    Raises:
        Conflict: bytes are missing, or are others than the client thinks.
        Rejected: the list itself cannot be right.
    """
    if contents.size_bytes is not None:
        return None
    if view.session_id is None or not contents.parts:
        raise Conflict(
            "Nothing has been uploaded yet: send the bytes to the signed URLs first.",
            code="not-uploaded",
        )
    chosen = _all_of(contents.parts) if given is None else _named(contents.parts, given)
    for part in chosen[:-1]:
        if part.size_bytes < _SMALLEST_PART:
            raise Rejected(
                f"Part {part.number} has {part.size_bytes} bytes; all but the last need at least "
                f"{_SMALLEST_PART}. Send it again in full.",
                code="part-too-small",
            )
    total = sum(part.size_bytes for part in chosen)
    if view.size_bytes is not None and total < view.size_bytes:
        raise Conflict(
            f"{view.size_bytes} bytes were promised and {total} are there: send the missing "
            "parts, then complete again.",
            code="upload-incomplete",
        )
    parts = tuple(Part(number=part.number, etag=part.etag) for part in chosen)
    return MultipartSession(session_id=view.session_id, parts=parts)


def _all_of(found: tuple[FoundPart, ...]) -> list[FoundPart]:
    for number, part in enumerate(found, start=1):
        if part.number != number:
            raise _missing(number)
    return list(found)


def _named(found: tuple[FoundPart, ...], given: tuple[GivenPart, ...]) -> list[FoundPart]:
    numbers = [part.number for part in given]
    if sorted(set(numbers)) != numbers:
        raise Rejected(
            "Name the parts in ascending order, each of them once.", code="part-order-wrong"
        )
    there = {part.number: part for part in found}
    for part in given:
        if part.number not in there:
            raise _missing(part.number)
        if there[part.number].etag != part.etag.strip('"'):
            raise Conflict(
                f"Part {part.number} in the store has another ETag than was named; send it again.",
                code="part-mismatch",
            )
    return [there[number] for number in numbers]


def _missing(number: int) -> Conflict:
    return Conflict(f"Part {number} is missing; send it first.", code="part-missing")


async def _await_end(
    principal: Principal, view: DirectView, waiting: Waiting, deps: Deps
) -> Completed:
    """Wait for the end, by the reply or by looking, until the client is told to ask again."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while (left := until - time.monotonic()) > 0:
        outcome = await waiting.outcome(min(left, _LOOK_SECONDS))
        if outcome is not None and outcome.state == "stored":
            # Only the row is missing now; should the catalog be away, that may take long.
            until = min(until, time.monotonic() + deps.limits.register_timeout_seconds)
            continue
        now = await _look(principal, view, deps)
        if now is None or now.status in OPEN:
            _refuse_lost(outcome)
            continue
        if now.status is UploadStatus.REGISTERED:
            UPLOAD_BYTES.inc(now.size_bytes or 0)
            return Completed(Answer.REGISTERED, now)
        await _remove(view, deps)
        if now.failure_code is not None:
            raise failed(now.failure_code)
        refuse_ended(now)
    return Completed(Answer.ACCEPTED, view.model_copy(update={"completing": True}))


def _refuse_lost(outcome: UploadOutcome | None) -> None:
    """Raises what storage said of bytes it could not find; the upload stays open."""
    if outcome is None or outcome.state != "rejected":
        return
    if outcome.failure is None:
        raise Conflict("The upload was refused.", code="upload-rejected")
    raise revive(outcome.failure)


async def _look(principal: Principal, view: DirectView, deps: Deps) -> DirectView | None:
    """The upload as the catalog has it; None when it cannot say right now."""
    with suppress(Unavailable):
        return await deps.asker.ask(
            GetDirect(tenant=principal.tenant, upload_id=view.upload_id), timeout_seconds=2.0
        )
    return None


async def _remove(view: DirectView, deps: Deps) -> None:
    """Whoever hears of a failure may rely on the bytes being gone; they go later otherwise."""
    with suppress(SluiceError):
        await deps.asker.ask(RemoveObject(key=view.key))
