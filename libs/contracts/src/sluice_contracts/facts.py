"""Facts: what happened, in the past tense, published once, never edited.

Each class names its entity and event; subject, CloudEvents type and schema name follow from
the two, so that one name greps everywhere. Who publishes and who reads stands in the docstring.
"""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import (
    BatchId,
    Contract,
    JsonObject,
    Moment,
    ObjectKey,
    RecordingId,
    Sha256,
    Size,
    Token,
    UploadId,
    token,
)
from sluice_contracts.statuses import Kind


class Fact(Contract):
    """What every fact can say of itself. `tenant` owns all that it speaks of."""

    ENTITY: ClassVar[str]
    EVENT: ClassVar[str]

    tenant: Token

    @classmethod
    def type_name(cls) -> str:
        """The CloudEvents type, for example `org.sluice.object.stored.v1`."""
        return f"org.sluice.{cls.ENTITY}.{cls.EVENT}.v1"

    @classmethod
    def pattern(cls) -> str:
        """The subject of every fact of this class, of all tenants."""
        return f"sluice.v1.*.{cls.ENTITY}.{cls.EVENT}.*"

    def aggregate_id(self) -> str:
        """The id of what the fact is about; facts of one aggregate keep their order."""
        raise NotImplementedError

    @classmethod
    def subject_of(cls, tenant: str, aggregate_id: str) -> str:
        """The subject of the facts of this class about one thing."""
        return f"sluice.v1.{token(tenant)}.{cls.ENTITY}.{cls.EVENT}.{token(aggregate_id)}"

    def subject(self) -> str:
        """The NATS subject of this fact."""
        return self.subject_of(self.tenant, self.aggregate_id())


class RecordingUpload(Contract):
    """What an upload through the recordings door is going to be."""

    kind: Literal["recording"] = "recording"
    batch_id: BatchId
    recording_id: RecordingId
    filename: Annotated[str, Field(max_length=255)]
    created_by: str


class ChunkUpload(Contract):
    """A chunk of audio a device recorded; `start_ts` to `end_ts` as its own clock had it.

    `chunk_id` follows from device, start and digest: a chunk that is sent again is the same chunk.
    """

    kind: Literal["chunk"] = "chunk"
    chunk_id: UUID
    device_id: UUID
    point_id: UUID
    register_id: UUID
    start_ts: Moment
    end_ts: Moment
    codec: Annotated[str, Field(max_length=32)]
    sample_rate: Annotated[int, Field(ge=1)]
    channels: Annotated[int, Field(ge=1)]
    created_at: Moment
    created_by: str


class CallUpload(Contract):
    """A recorded call, to be transcribed. `format` is the extension of its file."""

    kind: Literal["call"] = "call"
    call_id: UUID
    filename: Annotated[str, Field(max_length=255)]
    format: Token
    company_name: str
    contact_email: str
    call_type: str
    priority: Literal["normal", "high"] = "normal"
    created_at: Moment
    created_by: str


class RenderUpload(Contract):
    """A piece of audio that a message is going to carry. `bitrate` in kbit/s, `duration` in s."""

    kind: Literal["render"] = "render"
    render_id: UUID
    filename: Annotated[str, Field(max_length=255)]
    format: Token
    bitrate: int | None = None
    duration: float | None = None
    created_at: Moment
    created_by: str


class DirectUpload(Contract):
    """A file its client sends to the object store itself, in parts if it is large."""

    kind: Literal["direct"] = "direct"
    batch_id: BatchId | None = None
    recording_id: RecordingId | None = None
    filename: Annotated[str, Field(max_length=255)]
    metadata: JsonObject = Field(default_factory=dict)
    created_at: Moment
    created_by: str


# What an upload is going to be; each door adds its own.
Registration = Annotated[
    RecordingUpload | ChunkUpload | CallUpload | RenderUpload | DirectUpload,
    Field(discriminator="kind"),
]


class Part(Contract):
    """One part of a multipart upload, as the store acknowledged it."""

    number: Annotated[int, Field(ge=1, le=10_000)]
    etag: Annotated[str, Field(max_length=128)]


class MultipartSession(Contract):
    """A multipart upload that still has to be finished."""

    session_id: Annotated[str, Field(max_length=1024)]
    parts: tuple[Part, ...]


class StoredBytes(Contract):
    """Where the bytes of one upload lie and what is known of them."""

    bucket: str
    key: ObjectKey
    size_bytes: Size
    sha256: Sha256
    content_type: str


# Where the gateway waits for the outcome; nothing else may be addressed by a fact.
ReplySubject = Annotated[
    str, Field(pattern=r"^sluice\.live\.v1\.reply\.[a-z0-9_-]{1,64}\.[a-z0-9_-]{1,64}$")
]


class RequestKey(Contract):
    """The idempotency key of the request that sent a file, and the digest of all it asked for."""

    key: Annotated[str, Field(min_length=1, max_length=255)]
    fingerprint: Sha256


class UploadReceived(Fact):
    """All bytes of one upload were sent to the object store by the gateway, which cannot vouch for
    the object they make.

    `claim_id` names the attempt that sent them.
    Published by gateway. Read by storage, which finishes and verifies.
    """

    ENTITY: ClassVar[str] = "upload"
    EVENT: ClassVar[str] = "received"

    upload_id: UploadId
    bytes: StoredBytes
    multipart: MultipartSession | None = None
    registration: Registration
    claim_id: Token | None = None
    received_at: Moment
    reply_to: ReplySubject | None = None
    request_key: RequestKey | None = None

    def aggregate_id(self) -> str:
        return self.upload_id


class UploadSent(Fact):
    """A client says that all bytes of its upload are in the store, where it put them itself.

    Nobody of ours saw them: `size_bytes` and `sha256` are what the client promised, each time it
    did, and storage reads the whole object back to learn the truth. `parts` of a session still
    have to be joined. More than `most_bytes` are not kept.
    Published by gateway. Read by storage, which finishes and verifies.
    """

    ENTITY: ClassVar[str] = "upload"
    EVENT: ClassVar[str] = "sent"

    upload_id: UploadId
    bucket: str
    key: ObjectKey
    content_type: str
    size_bytes: Size | None = None
    sha256: tuple[Sha256, ...] = ()
    most_bytes: Size
    multipart: MultipartSession | None = None
    registration: Registration
    claim_id: Token
    sent_at: Moment
    reply_to: ReplySubject | None = None

    def aggregate_id(self) -> str:
        return self.upload_id


class RecordingDescription(Contract):
    """What a client said of a recording; kept beside its object."""

    client_item_id: str
    data: JsonObject
    registered_at: Moment


class ObjectStored(Fact):
    """The bytes of one upload rest in the store, of the size that was sent.

    `claim_id` names the attempt whose bytes these are. `description` is only there when
    reconciliation says it again for a catalog that lost it; `verified_at` when all of the object
    was read back before this was said.
    Published by gateway for a small body whose MD5 the store confirmed, by storage for all others.
    Read by catalog, by storage, which keeps the registration beside the object, and by inspector.
    """

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "stored"

    upload_id: UploadId
    bytes: StoredBytes
    etag: str
    detected_type: str | None = None
    registration: Registration
    claim_id: Token | None = None
    stored_at: Moment
    reply_to: ReplySubject | None = None
    description: RecordingDescription | None = None
    verified_at: Moment | None = None
    request_key: RequestKey | None = None

    def aggregate_id(self) -> str:
        return self.upload_id


class ObjectRejected(Fact):
    """The store does not hold what one attempt (`claim_id`) sent; it may be sent again.

    Unless it is `final`: then the bytes are there and are not what was promised.
    Published by storage. Read by catalog.
    """

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "rejected"

    upload_id: UploadId
    claim_id: Token | None = None
    code: str
    detail: str
    final: bool = False
    reply_to: ReplySubject | None = None

    def aggregate_id(self) -> str:
        return self.upload_id


class RecordingRegistered(Fact):
    """A client described an uploaded blob; it is a recording from now on.

    Published by catalog. Read by storage, which keeps the description beside the object
    and reads the bytes again to prove them.
    """

    ENTITY: ClassVar[str] = "recording"
    EVENT: ClassVar[str] = "registered"

    recording_id: RecordingId
    batch_id: BatchId
    upload_id: UploadId
    client_item_id: str
    data: JsonObject
    bytes: StoredBytes
    registered_at: Moment

    def aggregate_id(self) -> str:
        return self.recording_id


class ObjectCheckStarted(Fact):
    """Storage began to read the bytes of one upload again. Read by catalog."""

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "check_started"

    upload_id: UploadId
    started_at: Moment

    def aggregate_id(self) -> str:
        return self.upload_id


class ObjectVerified(Fact):
    """The stored bytes were read back and have the digest they were uploaded with.

    Published by storage. Read by catalog.
    """

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "verified"

    upload_id: UploadId
    sha256: Sha256
    verified_at: Moment

    def aggregate_id(self) -> str:
        return self.upload_id


class ObjectDamaged(Fact):
    """The stored bytes are gone or are not those that were uploaded.

    Published by storage. Read by catalog.
    """

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "damaged"

    upload_id: UploadId
    code: str
    detail: str

    def aggregate_id(self) -> str:
        return self.upload_id


class MediaFacts(Contract):
    """What an inspector read from a file, as far as the file says it.

    Durations in seconds, sample rates in Hz, width and height in pixels of the first video stream.
    `peaks` are the loudest absolute sample in each of up to 1,000 equal stretches, over all
    channels of the first audio stream: 0 to 255, where 255 is full scale.
    """

    container: Annotated[str | None, Field(max_length=64)] = None
    codec: Annotated[str | None, Field(max_length=64)] = None
    duration_seconds: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    sample_rate: Annotated[int | None, Field(ge=1)] = None
    channels: Annotated[int | None, Field(ge=1)] = None
    has_video: bool = False
    width: Annotated[int | None, Field(ge=1)] = None
    height: Annotated[int | None, Field(ge=1)] = None
    peaks: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(max_length=1000)] = ()


class ObjectInspected(Fact):
    """Somebody looked into a stored file: it is media and says this of itself, or cannot be read.

    `reason` says why not: `not-media` (no audio or video format we know), `broken`, `empty` (no
    sample in it), `too-many-streams`, `too-large`, `timed-out`, `out-of-memory` or `crashed` (it
    took the reading process down).
    Published by the inspector. Read by catalog.
    """

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "inspected"

    upload_id: UploadId
    readable: bool
    reason: Annotated[str | None, Field(max_length=64)] = None
    media: MediaFacts | None = None
    inspected_at: Moment

    def aggregate_id(self) -> str:
        return self.upload_id


class ObjectDiscarded(Fact):
    """Nobody owns this object any more, nor the parts sent for it in a session that is still open.

    Published by catalog. Read by storage, which deletes it.
    """

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "discarded"

    upload_id: UploadId
    bucket: str
    key: ObjectKey
    session_id: Annotated[str | None, Field(max_length=1024)] = None

    def aggregate_id(self) -> str:
        return self.upload_id


class ObjectDeleted(Fact):
    """An object and what was kept beside it are gone. Published by storage. Read by catalog."""

    ENTITY: ClassVar[str] = "object"
    EVENT: ClassVar[str] = "deleted"

    upload_id: UploadId
    key: ObjectKey

    def aggregate_id(self) -> str:
        return self.upload_id


class StatusChanged(Fact):
    """An upload, a batch, or what a door made of an upload took its next status.

    `sequence` counts the changes of this one thing from 1. Published by catalog.
    Read by notifier, and by every subscriber outside.
    """

    ENTITY: ClassVar[str] = "*"
    EVENT: ClassVar[str] = "status_changed"

    kind: Kind
    id: str
    batch_id: BatchId | None = None
    sequence: Annotated[int, Field(ge=1)]
    previous: str | None
    status: str
    reason: str | None = None
    actor: str
    changed_at: Moment

    def aggregate_id(self) -> str:
        return self.id

    @classmethod
    def type_of(cls, kind: Kind) -> str:
        """The CloudEvents type of a status change of this kind."""
        return f"org.sluice.{kind}.status_changed.v1"

    def subject(self) -> str:
        tenant, aggregate = token(self.tenant), token(self.id)
        return f"sluice.v1.{tenant}.{self.kind}.{self.EVENT}.{aggregate}"


FACTS: tuple[type[Fact], ...] = (
    UploadReceived,
    UploadSent,
    ObjectStored,
    ObjectRejected,
    RecordingRegistered,
    ObjectCheckStarted,
    ObjectVerified,
    ObjectDamaged,
    ObjectInspected,
    ObjectDiscarded,
    ObjectDeleted,
    StatusChanged,
)
