"""Asked of the catalog: uploads from their plan to their claim."""

from typing import Annotated

from pydantic import Field

from sluice_contracts.base import (
    BatchId,
    ContentType,
    Contract,
    Moment,
    ObjectKey,
    RecordingId,
    Sha256,
    Token,
    UploadId,
)
from sluice_contracts.facts import Registration
from sluice_contracts.questions.base import Done, FailureDetail, Question
from sluice_contracts.questions.keys import Principal


class Idempotency(Contract):
    """A client's promise that two requests are one; `fingerprint` is the digest of the request.

    `key` is the client's own, of up to 255 characters, behind the word for where it came.
    """

    key: Annotated[str, Field(min_length=1, max_length=300)]
    fingerprint: Sha256


class PlannedUpload(Contract):
    """An upload to come. `put_url` is the store's own signed URL for a body of one part; it
    never leaves the services."""

    upload_id: UploadId
    recording_id: RecordingId
    filename: Annotated[str, Field(max_length=255)]
    content_type: ContentType
    bucket: str
    key: ObjectKey
    put_url: str | None = None


class UploadsPlanned(Contract):
    batch_id: BatchId
    uploads: tuple[PlannedUpload, ...]
    expires_at: Moment


class PlanUploads(Question[UploadsPlanned]):
    """Remember uploads to come, in a new batch or in `batch_id`."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "upload", "plan", UploadsPlanned

    principal: Principal
    batch_id: BatchId | None = None
    uploads: Annotated[tuple[PlannedUpload, ...], Field(min_length=1, max_length=10)]
    lifetime_seconds: Annotated[int, Field(ge=1, le=86_400)]
    idempotency: Idempotency | None = None


class UploadClaimed(Contract):
    """The one right to send the bytes of an upload, until `lease_seconds` pass unrenewed.

    `is_first` says that nobody sent anything to its key before, so that nothing of an earlier
    attempt can still be on its way there.
    """

    upload: PlannedUpload
    tenant: Token
    registration: Registration
    lease_seconds: float
    is_first: bool = False


class Claim(Contract):
    """One sender that wants the single use of an upload; `trace` carries its trace headers."""

    upload_id: UploadId
    claim_id: Token
    content_type: str
    trace: dict[str, str] = Field(default_factory=dict)


class ClaimResult(Contract):
    """Either the claim, or why it was not given."""

    claimed: UploadClaimed | None = None
    failure: FailureDetail | None = None


class UploadsClaimed(Contract):
    """One result for each claim, in their order."""

    results: tuple[ClaimResult, ...]


class ClaimUploads(Question[UploadsClaimed]):
    """Take the single use of uploads. A second claim is refused while the first one lives."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "upload", "claim", UploadsClaimed

    claims: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=100)]


class RenewClaim(Question[Done]):
    """Bytes still flow: keep the claim alive. A claim that was lost is a conflict."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "upload", "renew", Done

    upload_id: UploadId
    claim_id: Token


class ReleaseClaim(Question[Done]):
    """The sender left in the middle: let another attempt have the upload."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "upload", "release", Done

    upload_id: UploadId
    claim_id: Token
