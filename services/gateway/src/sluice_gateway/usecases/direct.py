"""Direct uploads: what a client needs to send its bytes to the store itself."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sluice_contracts.api import UploadRequest
from sluice_contracts.facts import DirectUpload
from sluice_contracts.questions import (
    AbandonUpload,
    CancelDirect,
    DirectContents,
    DirectView,
    GetDirect,
    Idempotency,
    OpenDirect,
    PlaceDirect,
    PlaceUpload,
    PlanDirect,
    PlannedDirect,
    Principal,
    ReopenDirect,
    ShowDirect,
    SignDirect,
    SignedPart,
    UploadPlaced,
)
from sluice_contracts.statuses import UploadStatus
from sluice_gateway.domain import check_filename, check_metadata, known_batch_id, known_upload_id
from sluice_gateway.ports import Deps
from sluice_gateway.usecases.watching import too_large
from sluice_runtime.errors import Conflict, NotFound, Rejected, SluiceError

OPEN = (UploadStatus.CREATED, UploadStatus.UPLOADING)

_AT_ONCE = timedelta(minutes=1)
_FIRST_PARTS = 16
_FAILURES = {
    "size-mismatch": "The bytes were not as many as promised; they were removed.",
    "digest-mismatch": "The bytes did not have the promised SHA-256; they were removed.",
    "body-too-large": "The bytes were more than are taken here; they were removed.",
}


@dataclass(frozen=True)
class Signed:
    """An upload, and URLs for it while it is open."""

    upload: DirectView
    put_url: str | None = None
    parts: tuple[SignedPart, ...] = ()


async def start_direct(
    principal: Principal, asked: UploadRequest, idempotency: Idempotency | None, deps: Deps
) -> Signed:
    """Plan an upload and sign what is needed to send it.

    Raises:
        Rejected: name, size or metadata are not acceptable.
        NotFound: there is no such batch.
    """
    most = deps.limits.max_upload_bytes
    if asked.size_bytes is not None and asked.size_bytes > most:
        raise too_large(most)
    check_metadata(asked.metadata)
    registration = _registration(principal, asked, deps)
    upload_id = deps.new_id("upl")
    place = PlaceUpload(
        tenant=principal.tenant,
        upload_id=upload_id,
        registration=registration,
        content_type=asked.content_type,
        size_bytes=asked.size_bytes,
    )
    placed = await deps.asker.ask(PlaceDirect(upload=place))
    begun = placed.begun
    planned = _planned(upload_id, asked, registration, placed)
    question = PlanDirect(principal=principal, upload=planned, idempotency=idempotency)
    try:
        view = await deps.asker.ask(question)
    except (NotFound, Rejected, Conflict):
        # Without a clear refusal the plan may hold: then what was begun must stay.
        await _end(placed.key, begun.session_id, deps)
        raise
    if view.upload_id != planned.upload_id:
        await _end(placed.key, begun.session_id, deps)
        return await _sign_first(principal.tenant, view, deps)
    return Signed(view, begun.put_url, begun.parts)


def _registration(principal: Principal, asked: UploadRequest, deps: Deps) -> DirectUpload:
    batch_id = None if asked.batch_id is None else known_batch_id(asked.batch_id)
    return DirectUpload(
        batch_id=batch_id,
        recording_id=None if batch_id is None else deps.new_id("rec"),
        filename=check_filename(asked.filename),
        metadata=asked.metadata,
        created_at=deps.now(),
        created_by=principal.subject,
    )


def _planned(
    upload_id: str, asked: UploadRequest, registration: DirectUpload, placed: UploadPlaced
) -> PlannedDirect:
    in_parts = placed.begun.session_id is not None
    return PlannedDirect(
        upload_id=upload_id,
        batch_id=registration.batch_id,
        recording_id=registration.recording_id,
        filename=registration.filename,
        content_type=asked.content_type,
        bucket=placed.bucket,
        key=placed.key,
        session_id=placed.begun.session_id,
        part_size=placed.begun.part_size if in_parts else None,
        size_bytes=asked.size_bytes,
        sha256=asked.sha256,
        metadata=asked.metadata,
    )


async def _sign_first(tenant: str, view: DirectView, deps: Deps) -> Signed:
    """Fresh URLs for the upload of an earlier request; none once it is on its way to its end."""
    if view.status not in OPEN or view.completing:
        return Signed(view)
    return await _sign(tenant, view, tuple(range(1, _parts_of(view, _FIRST_PARTS) + 1)), deps)


def _parts_of(view: DirectView, most: int) -> int:
    """How many parts the upload has, as far as its size is known."""
    if view.size_bytes is None or not view.part_size:
        return most
    return min(most, -(-view.size_bytes // view.part_size))


async def sign_again(
    principal: Principal, upload_id: str, numbers: tuple[int, ...], deps: Deps
) -> Signed:
    """Fresh URLs: signatures expire, uploads do not.

    Raises:
        NotFound: there is no such upload.
        Conflict: it has ended, or is being completed.
        Rejected: it has no such part.
    """
    view = await open_upload(principal, upload_id, deps)
    refuse_ended(view)
    if view.completing:
        raise Conflict(
            "This upload is being completed right now.",
            code="upload-completing",
            retry_after_seconds=2,
        )
    if view.session_id is not None and not numbers:
        raise Rejected("Name the numbers of the parts to sign.", code="part-numbers-missing")
    if max(numbers, default=1) > _parts_of(view, max(numbers, default=1)):
        raise Rejected(
            f"{view.size_bytes} bytes have {_parts_of(view, max(numbers))} parts of "
            f"{view.part_size} bytes.",
            code="no-such-part",
        )
    return await _sign(principal.tenant, view, tuple(dict.fromkeys(numbers)), deps)


async def _sign(tenant: str, view: DirectView, numbers: tuple[int, ...], deps: Deps) -> Signed:
    question = SignDirect(
        key=view.key,
        content_type=view.content_type,
        session_id=view.session_id,
        numbers=() if view.session_id is None else numbers,
    )
    signed = await deps.asker.ask(question)
    if signed.session_id == view.session_id or view.session_id is None:
        return Signed(view, signed.put_url, signed.parts)
    # The store lost the session and began another: one of those who found out is the first.
    assert signed.session_id is not None
    reopened = await deps.asker.ask(
        ReopenDirect(
            tenant=tenant,
            upload_id=view.upload_id,
            lost_session_id=view.session_id,
            session_id=signed.session_id,
        )
    )
    if reopened.session_id != signed.session_id:
        await _end(view.key, signed.session_id, deps)
        again = question.model_copy(update={"session_id": reopened.session_id})
        signed = await deps.asker.ask(again)
    return Signed(reopened, parts=signed.parts)


async def open_upload(principal: Principal, upload_id: str, deps: Deps) -> DirectView:
    """An upload whose client is at work, so that its time begins anew."""
    return await deps.asker.ask(
        OpenDirect(
            tenant=principal.tenant,
            upload_id=known_upload_id(upload_id),
            actor=principal.subject,
        )
    )


async def show_direct(
    principal: Principal, upload_id: str, deps: Deps
) -> tuple[DirectView, DirectContents]:
    """An upload, and what the store has of it while it is open; raises `NotFound`."""
    question = GetDirect(tenant=principal.tenant, upload_id=known_upload_id(upload_id))
    view = await deps.asker.ask(question)
    if view.status not in OPEN:
        return view, DirectContents()
    return view, await deps.asker.ask(ShowDirect(key=view.key, session_id=view.session_id))


async def cancel_direct(principal: Principal, upload_id: str, deps: Deps) -> None:
    """End an upload, whatever has become of it; raises `NotFound`."""
    await deps.asker.ask(
        CancelDirect(
            tenant=principal.tenant,
            upload_id=known_upload_id(upload_id),
            actor=principal.subject,
        )
    )


def refuse_ended(view: DirectView) -> None:
    """Raises what tells the client how an upload ended; an open one passes."""
    if view.status in OPEN:
        return
    if view.status is UploadStatus.FAILED:
        code = view.failure_code or "upload-failed"
        raise failed(code)
    raise Conflict(
        f"This upload is {view.status} and takes no more bytes; start another.",
        code="upload-ended",
    )


def failed(code: str) -> Rejected:
    """Why an upload failed for good: the same words at once and later."""
    return Rejected(_FAILURES.get(code, "The upload failed; start another."), code=code)


async def _end(key: str, session_id: str | None, deps: Deps) -> None:
    """Drop a session nobody is going to use. What cannot be told now, the sweep finds out."""
    if session_id is None:
        return
    with suppress(SluiceError):
        await deps.asker.ask(
            AbandonUpload(key=key, session_id=session_id, not_after=deps.now() + _AT_ONCE)
        )
