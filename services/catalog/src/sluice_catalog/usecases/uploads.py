"""Uploads from their plan to the moment their bytes are on the way."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sluice_catalog.domain import Batch, Change, Upload, first_change
from sluice_catalog.ports import Deps, Work
from sluice_catalog.usecases.batches import rederive
from sluice_contracts.facts import RecordingUpload
from sluice_contracts.questions import (
    Claim,
    ClaimResult,
    ClaimUploads,
    Done,
    FailureDetail,
    PlannedUpload,
    PlanUploads,
    ReleaseClaim,
    RenewClaim,
    UploadClaimed,
    UploadsClaimed,
    UploadsPlanned,
)
from sluice_contracts.statuses import BatchStatus, Kind, UploadStatus
from sluice_runtime.errors import Conflict, NotFound, Rejected, SluiceError
from sluice_runtime.trace import new_trace, tracing

_PLAN_SCOPE = "uploads.plan"
_OVERDUE_BATCHES = 50


async def plan_uploads(question: PlanUploads, batch_id: str, deps: Deps) -> UploadsPlanned:
    """Remember uploads to come; `batch_id` is for the batch to make when none is named.

    Raises:
        NotFound: the named batch does not exist.
    """
    tenant = question.principal.tenant
    async with deps.work() as work:
        if question.idempotency:
            first = await work.replays.find(tenant, _PLAN_SCOPE, question.idempotency)
            if first is not None:
                return UploadsPlanned.model_validate(first)
        now = work.now()
        batch, changes = await _open_batch(question, batch_id, now, work)
        deadline = now + timedelta(seconds=question.lifetime_seconds)
        uploads = [_planned(one, batch, question, now, deadline) for one in question.uploads]
        await work.uploads.add(uploads)
        changes += [
            first_change(Kind.UPLOAD, tenant, one.upload_id, batch.batch_id, one.status)
            for one in uploads
        ]
        changes += (await rederive(work, batch))[1]
        work.record(changes, actor=question.principal.subject, at=now)
        shown = tuple(one.model_copy(update={"put_url": None}) for one in question.uploads)
        answer = UploadsPlanned(batch_id=batch.batch_id, uploads=shown, expires_at=deadline)
        if question.idempotency:
            kept = answer.model_dump(mode="json")
            await work.replays.keep(tenant, _PLAN_SCOPE, question.idempotency, kept, now)
        await work.commit()
    deps.wake_relay()
    return answer


async def _open_batch(
    question: PlanUploads, batch_id: str, now: datetime, work: Work
) -> tuple[Batch, list[Change]]:
    tenant = question.principal.tenant
    if question.batch_id is not None:
        return await work.batches.lock(tenant, question.batch_id), []
    batch = Batch(batch_id, tenant, BatchStatus.OPEN, 1, now, question.principal.subject)
    await work.batches.add(batch)
    return batch, [first_change(Kind.BATCH, tenant, batch_id, batch_id, batch.status)]


def _planned(
    one: PlannedUpload, batch: Batch, question: PlanUploads, now: datetime, deadline: datetime
) -> Upload:
    return Upload(
        upload_id=one.upload_id,
        tenant=batch.tenant,
        batch_id=batch.batch_id,
        recording_id=one.recording_id,
        filename=one.filename,
        content_type=one.content_type,
        bucket=one.bucket,
        key=one.key,
        status=UploadStatus.CREATED,
        sequence=1,
        created_at=now,
        created_by=question.principal.subject,
        deadline=deadline,
        put_url=one.put_url,
    )


async def claim_uploads(question: ClaimUploads, deps: Deps) -> UploadsClaimed:
    """Give the single use of each upload to one sender.

    Each claim is answered by itself. The failures are: `NotFound`, its batch was deleted;
    `Rejected`, another content type was promised, or the bytes are there already; `Conflict`,
    somebody is sending them right now, or sent them and they are not registered yet.
    """
    claims = dict(enumerate(question.claims))
    results = await _claim_together(claims, deps)
    again = {place: claims[place] for place in claims if place not in results}
    if again:
        results |= await _claim_again(again, deps)
    deps.wake_relay()
    return UploadsClaimed(results=tuple(results[place] for place in claims))


async def _claim_together(
    claims: Mapping[int, Claim], deps: Deps, *, checked: bool = False
) -> dict[int, ClaimResult]:
    """Decide on claims in one transaction.

    Unless they are `checked`, claims on uploads that somebody claimed before are left out:
    whether bytes of the earlier attempt are on their way has to be found out first, outside.
    """
    async with deps.work() as work:
        uploads = await work.uploads.lock_many([one.upload_id for one in claims.values()])
        now = await work.clock()
        results: dict[int, ClaimResult] = {}
        claimed: dict[str, Upload] = {}
        for place, claim in claims.items():
            upload = claimed.get(claim.upload_id) or uploads.get(claim.upload_id)
            try:
                if upload is None:
                    raise _unknown(claim.upload_id)
                _check_claimable(upload, claim, now)
                if upload.status is UploadStatus.UPLOADING and not checked:
                    continue
                claimed[claim.upload_id] = _claim(upload, claim, now, work, deps)
                results[place] = ClaimResult(claimed=_claimed(upload, deps))
            except SluiceError as error:
                results[place] = ClaimResult(failure=error.detail())
        await work.uploads.save(list(claimed.values()))
        await work.commit()
    return results


async def _claim_again(claims: Mapping[int, Claim], deps: Deps) -> dict[int, ClaimResult]:
    """Decide on claims on uploads that somebody claimed before."""
    refused = await _refuse_received(claims, deps)
    free = {place: claim for place, claim in claims.items() if place not in refused}
    return refused | (await _claim_together(free, deps, checked=True) if free else {})


async def _refuse_received(claims: Mapping[int, Claim], deps: Deps) -> dict[int, ClaimResult]:
    """Refuse those of the claims whose upload an earlier attempt has sent.

    Bytes that JetStream knows of may be acknowledged already: they must not be overwritten,
    however late the catalog hears of them.
    """
    async with deps.work() as work:
        uploads = await work.uploads.lock_many([one.upload_id for one in claims.values()])
    # Read, not held: the transaction is over before the stream is asked.
    places = [place for place, claim in claims.items() if claim.upload_id in uploads]
    failures = await asyncio.gather(
        *(_failure_of(uploads[claims[place].upload_id], deps) for place in places)
    )
    return {
        place: ClaimResult(failure=failure)
        for place, failure in zip(places, failures, strict=True)
        if failure is not None
    }


async def _failure_of(upload: Upload, deps: Deps) -> FailureDetail | None:
    try:
        return _in_progress().detail() if await deps.receipts.is_pending(upload) else None
    except SluiceError as error:
        return error.detail()


def _claim(upload: Upload, claim: Claim, now: datetime, work: Work, deps: Deps) -> Upload:
    moved, changes = upload.move_to(UploadStatus.UPLOADING)
    with tracing(new_trace(claim.trace)):
        work.record(changes, actor=upload.created_by, at=now)
    return replace(
        moved,
        claim_id=claim.claim_id,
        claimed_until=now + deps.claim_lease,
        deadline=now + deps.upload_deadline,
    )


def _claimed(upload: Upload, deps: Deps) -> UploadClaimed:
    return UploadClaimed(
        upload=PlannedUpload(
            upload_id=upload.upload_id,
            recording_id=upload.recording_id,
            filename=upload.filename,
            content_type=upload.content_type,
            bucket=upload.bucket,
            key=upload.key,
            put_url=upload.put_url,
        ),
        tenant=upload.tenant,
        registration=RecordingUpload(
            batch_id=upload.batch_id,
            recording_id=upload.recording_id,
            filename=upload.filename,
            created_by=upload.created_by,
        ),
        lease_seconds=deps.claim_lease.total_seconds(),
        is_first=upload.claim_id is None,
    )


def _check_claimable(upload: Upload, claim: Claim, now: datetime) -> None:
    if upload.status is UploadStatus.EXPIRED or (
        upload.status is UploadStatus.CREATED and upload.deadline < now
    ):
        raise Rejected("This upload URL has expired; presign again.", code="upload-token-expired")
    if upload.status not in (UploadStatus.CREATED, UploadStatus.UPLOADING):
        raise Rejected(
            "This upload URL was used already; presign again for another upload.",
            code="upload-token-used",
        )
    if claim.content_type != upload.content_type:
        raise Rejected(
            f"Send the header Content-Type: {upload.content_type}, as presigned.",
            code="content-type-mismatch",
        )
    if upload.is_claimed(now):
        raise _in_progress()


def _unknown(upload_id: str) -> NotFound:
    return NotFound(
        f"There is no upload {upload_id}; its batch may have been deleted.", code="upload-not-found"
    )


def _in_progress() -> Conflict:
    return Conflict(
        "Another request is sending these bytes right now, or has just sent them.",
        code="upload-in-progress",
        retry_after_seconds=2,
    )


async def renew_claim(question: RenewClaim, deps: Deps) -> Done:
    """Keep a claim for another lease.

    Raises:
        Conflict: somebody else has it.
        NotFound: the upload went with its batch.
    """
    async with deps.work() as work:
        until = await work.clock() + deps.claim_lease
        if not await work.uploads.extend_claim(question.upload_id, question.claim_id, until):
            if await work.uploads.find(question.upload_id) is None:
                raise _unknown(question.upload_id)
            raise Conflict(
                "Another request took this upload over.", code="claim-lost", retry_after_seconds=2
            )
        await work.commit()
    return Done()


async def release_claim(question: ReleaseClaim, deps: Deps) -> Done:
    """Give up a claim at once; harmless when it is gone."""
    async with deps.work() as work:
        now = await work.clock()
        await work.uploads.extend_claim(question.upload_id, question.claim_id, now)
        await work.commit()
    return Done()


async def expire_uploads(deps: Deps) -> int:
    """End uploads that are past their deadline and that nobody is sending; returns how many.

    One whose bytes were received stays: they may be acknowledged, and the catalog will hear of
    them, if only because somebody replays a dead letter.
    """
    expired = 0
    async with deps.work() as work:
        overdue = await work.uploads.overdue_batches(await work.clock(), _OVERDUE_BATCHES)
    for tenant, batch_id in overdue:
        expired += await _expire_batch(tenant, batch_id, deps)
    if expired:
        deps.wake_relay()
    return expired


async def _expire_batch(tenant: str, batch_id: str, deps: Deps) -> int:
    async with deps.work() as work:
        found = await work.uploads.lock_overdue(batch_id, await work.clock())
    received = {
        one.upload_id for one in found if one.claim_id and await deps.receipts.is_pending(one)
    }
    async with deps.work() as work:
        batch = await work.batches.lock(tenant, batch_id)
        now = await work.clock()
        overdue = await work.uploads.lock_overdue(batch_id, now)
        ended = [one for one in overdue if one.upload_id not in received]
        for upload in ended:
            moved, changes = upload.move_to(UploadStatus.EXPIRED, reason="deadline passed")
            await work.uploads.save([moved])
            work.record(changes, actor="catalog", at=now)
        work.record((await rederive(work, batch))[1], actor="catalog", at=now)
        await work.commit()
    return len(ended)
