"""Questions and commands: what one service asks another and needs answered now.

They travel as request and reply on core NATS and are not stored. A question names its service,
entity and verb, and the model of its answer. A handler that fails answers with an `Answer` that
holds an error: silence would cost the caller its whole timeout.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from sluice_contracts.base import (
    BatchId,
    ContentType,
    Contract,
    JsonObject,
    Moment,
    ObjectKey,
    RecordingId,
    Sha256,
    Size,
    Token,
    UploadId,
)
from sluice_contracts.facts import Registration, StatusChanged, StoredBytes
from sluice_contracts.statuses import BatchStatus, Kind, RecordingStatus

A = TypeVar("A", bound=Contract)


class Question(Contract, Generic[A]):
    """Something asked of one service; `ANSWER` is the model that comes back."""

    SERVICE: ClassVar[str]
    ENTITY: ClassVar[str]
    VERB: ClassVar[str]
    ANSWER: ClassVar[type[Contract]]

    @classmethod
    def subject(cls) -> str:
        return f"sluice.rpc.v1.{cls.SERVICE}.{cls.ENTITY}.{cls.VERB}"


class Failure(StrEnum):
    """The four kinds of planned failure, and the one nobody planned."""

    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    BUG = "bug"


class FailureDetail(Contract):
    """Why a question was not answered. `code` is stable; `detail` is for people."""

    failure: Failure
    code: str
    detail: str
    retry_after_seconds: int | None = None


class Done(Contract):
    """The answer of a command that has nothing else to say."""


class PartState(Contract):
    """Whether something a service depends on works right now."""

    works: bool


class CheckDatabase(Question[PartState]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "health", "check", PartState


class CheckStore(Question[PartState]):
    """Can an object be written and removed?"""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "health", "check", PartState


# --- catalog: keys ---------------------------------------------------------------------------


class Principal(Contract):
    """Who is calling: its tenant, its name, and what it may do."""

    tenant: Token
    subject: str
    scopes: frozenset[str]
    expires_at: Moment | None = None


class ResolveKey(Question[Principal]):
    """Whose token is this? The token itself never travels."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "key", "resolve", Principal

    token_sha256: Sha256


# --- catalog: uploads of the recordings door ---------------------------------------------------


class Idempotency(Contract):
    """A client's promise that two requests are one; `fingerprint` is the digest of the request."""

    key: Annotated[str, Field(min_length=1, max_length=255)]
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
    """The one right to send the bytes of an upload, until `lease_seconds` pass unrenewed."""

    upload: PlannedUpload
    tenant: Token
    registration: Registration
    lease_seconds: float


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


# --- catalog: batches and recordings -----------------------------------------------------------


class RecordingItem(Contract):
    """One recording as its client describes it."""

    client_item_id: Annotated[str, Field(min_length=1, max_length=255)]
    blob_ref: Annotated[str, Field(max_length=2048)]
    data: JsonObject


class RecordingState(Contract):
    client_item_id: str
    recording_id: RecordingId
    status: RecordingStatus


class BatchState(Contract):
    batch_id: BatchId
    status: BatchStatus
    created_at: Moment
    items: tuple[RecordingState, ...] = ()


class RegisterRecordings(Question[BatchState]):
    """Turn uploaded blobs of one batch into recordings; all of them or none."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "recording", "register", BatchState

    principal: Principal
    batch_id: BatchId | None
    items: Annotated[tuple[RecordingItem, ...], Field(min_length=1, max_length=10)]
    idempotency: tuple[Idempotency, ...]


class GetBatch(Question[BatchState]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "get", BatchState

    tenant: Token
    batch_id: BatchId


class Page(Contract):
    """Where a list goes on: after this place, newest first."""

    created_at: Moment
    id: str


class BatchStates(Contract):
    batches: tuple[BatchState, ...]
    next: Page | None


class ListBatches(Question[BatchStates]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "list", BatchStates

    tenant: Token
    status: BatchStatus | None = None
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]


class DeleteBatch(Question[Done]):
    """Forget a batch, its uploads and recordings at once; their objects follow."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "delete", Done

    tenant: Token
    batch_id: BatchId
    actor: str


class RecordingView(Contract):
    """A recording with everything the web page shows, and where its bytes are."""

    recording_id: RecordingId
    batch_id: BatchId
    client_item_id: str
    status: RecordingStatus
    metadata: JsonObject
    filename: str
    size_bytes: Size
    content_type: str
    sha256: Sha256
    bucket: str
    key: ObjectKey
    created_at: Moment


class BatchView(Contract):
    batch_id: BatchId
    status: BatchStatus
    created_at: Moment
    recordings: tuple[RecordingView, ...]


class BatchViews(Contract):
    batches: tuple[BatchView, ...]
    next: Page | None


class ShowBatches(Question[BatchViews]):
    """Batches with their recordings in full, newest first, for the web page."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "show", BatchViews

    tenant: Token
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]


class GetRecording(Question[RecordingView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "recording", "get", RecordingView

    tenant: Token
    recording_id: RecordingId


class ReportStatus(Question[Done]):
    """A worker outside Sluice says how far it is. An illegal move changes nothing."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "status", "report", Done

    tenant: Token
    kind: Literal[Kind.RECORDING]
    id: str
    status: str
    reason: Annotated[str, Field(max_length=1000)] | None = None
    actor: str


# --- catalog: objects, for reconcile and the sweep ---------------------------------------------


class OwnedObject(Contract):
    """An object as the catalog knows it; an expected one has no bytes yet."""

    key: ObjectKey
    upload_id: UploadId
    size_bytes: Size | None
    sha256: Sha256 | None
    state: Literal["expected", "stored", "damaged", "discarded"]


class OwnedObjects(Contract):
    objects: tuple[OwnedObject, ...]


class ListOwnedObjects(Question[OwnedObjects]):
    """Every object the catalog owns or waits for, by key."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "list", OwnedObjects

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class FindOwners(Question[OwnedObjects]):
    """Which of these keys does the catalog own or wait for?"""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "find", OwnedObjects

    keys: Annotated[tuple[ObjectKey, ...], Field(max_length=1000)]


class ReportMissing(Question[Done]):
    """The object of this row is not in the store: say so, and fail what stands on it."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "missing", Done

    key: ObjectKey


# --- storage -----------------------------------------------------------------------------------


class PlaceItem(Contract):
    recording_id: RecordingId
    filename: Annotated[str, Field(max_length=255)]


class Places(Contract):
    """Keys, and for each a signed PUT for a body of one part.

    The URLs outlive `lifetime_seconds` by a minute; there are none if that is too long.
    """

    bucket: str
    keys: tuple[ObjectKey, ...]
    put_urls: tuple[str | None, ...]


class PlaceRecordings(Question[Places]):
    """Where the recordings of a tenant are going to lie. Pure arithmetic; nothing is reserved."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "place", Places

    tenant: Token
    day: Moment
    lifetime_seconds: Annotated[int, Field(ge=1, le=86_400)]
    items: Annotated[tuple[PlaceItem, ...], Field(min_length=1, max_length=10)]


class SignedPart(Contract):
    number: int
    url: str


class UploadBegun(Contract):
    """How to send the bytes: `put_url` for one PUT, or a session, its part size and first URLs."""

    put_url: str | None = None
    session_id: str | None = None
    part_size: int
    parts: tuple[SignedPart, ...] = ()


class BeginUpload(Question[UploadBegun]):
    """Sign what is needed to send `size_bytes`, or a body whose length nobody knows yet."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "begin", UploadBegun

    key: ObjectKey
    content_type: str
    size_bytes: Size | None


class SignedParts(Contract):
    parts: tuple[SignedPart, ...]


class SignParts(Question[SignedParts]):
    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "sign", SignedParts

    key: ObjectKey
    session_id: str
    numbers: Annotated[tuple[int, ...], Field(min_length=1, max_length=1000)]


class AbandonUpload(Question[Done]):
    """The sender left: end the session, remove what was written and never announced.

    Refused after `not_after`: by then somebody else may have the claim, and the bytes be theirs.
    """

    SERVICE, ENTITY, VERB, ANSWER = "storage", "upload", "abandon", Done

    key: ObjectKey
    session_id: str | None = None
    not_after: Moment


class SignedLink(Contract):
    """A short-lived GET. `public_url` is for browsers, `internal_url` for the gateway itself."""

    public_url: str
    internal_url: str


class LinkObject(Question[SignedLink]):
    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "link", SignedLink

    key: ObjectKey
    content_type: str
    disposition: str


class StoredRegistration(Contract):
    """What lies beside an object, so that the catalog can be rebuilt from the store alone."""

    upload_id: UploadId
    tenant: Token
    bytes: StoredBytes
    etag: str
    detected_type: str | None = None
    registration: Registration
    stored_at: Moment


class FoundObject(Contract):
    """An object as the store shows it; without a registration nobody ever acknowledged it."""

    key: ObjectKey
    size_bytes: Size
    modified_at: Moment
    registration: StoredRegistration | None


class FoundObjects(Contract):
    objects: tuple[FoundObject, ...]


class ListFoundObjects(Question[FoundObjects]):
    """What the store holds, by key, with the registrations kept beside the objects."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "list", FoundObjects

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 100


class RestateObject(Question[Done]):
    """Announce an object again from its registration, for a catalog that lost it."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "restate", Done

    key: ObjectKey


class RemoveObject(Question[Done]):
    """Remove an object that nobody owns, or whose owner discarded it. Harmless to repeat."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "object", "remove", Done

    key: ObjectKey


# --- notifier ----------------------------------------------------------------------------------


class LogEntry(Contract):
    """A status change in the public log; `sequence` counts those of one tenant without a gap."""

    sequence: int
    id: str
    type: str
    time: Moment
    correlation_id: str | None = None
    data: StatusChanged


class LogEntries(Contract):
    """A stretch of the log. `last` is the newest sequence there is; `read_to` how far this went."""

    entries: tuple[LogEntry, ...]
    read_to: int
    last: int


class ListEvents(Question[LogEntries]):
    """The log of one tenant after a sequence; types and ids narrow it."""

    SERVICE, ENTITY, VERB, ANSWER = "notifier", "event", "list", LogEntries

    tenant: Token
    after: Annotated[int, Field(ge=0, le=2**63 - 1)]
    limit: Annotated[int, Field(ge=1, le=200)]
    types: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


QUESTIONS: tuple[type[Question[Contract]], ...] = tuple(
    question
    for question in list(globals().values())
    if isinstance(question, type) and issubclass(question, Question) and "VERB" in vars(question)
)
"""Every question there is, for permissions and schema export."""


class UploadOutcome(Contract):
    """What became of an upload, sent to the subject the gateway waits on.

    `claim_id` names the attempt it speaks of.
    """

    upload_id: UploadId
    claim_id: Token | None = None
    state: Literal["stored", "registered", "rejected"]
    failure: FailureDetail | None = None
