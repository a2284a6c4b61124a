"""Asked about uploads whose clients send the bytes to the store themselves, and what they became.

The catalog knows what they are, storage where their bytes are and how to send more.
"""

from typing import Annotated, Literal

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
from sluice_contracts.facts import MediaFacts
from sluice_contracts.questions.base import Done, Question
from sluice_contracts.questions.keys import Principal
from sluice_contracts.questions.storage import PlaceUpload, SignedPart, UploadPlaced
from sluice_contracts.questions.uploads import Idempotency
from sluice_contracts.statuses import UploadStatus

PartNumber = Annotated[int, Field(ge=1, le=10_000)]
SessionId = Annotated[str, Field(max_length=1024)]


class PlannedDirect(Contract):
    """A direct upload to come; with a session it is sent in parts of `part_size`."""

    upload_id: UploadId
    batch_id: BatchId | None = None
    recording_id: RecordingId | None = None
    filename: Annotated[str, Field(max_length=255)]
    content_type: ContentType
    bucket: str
    key: ObjectKey
    session_id: SessionId | None = None
    part_size: Size | None = None
    size_bytes: Size | None = None
    sha256: Sha256 | None = None
    metadata: JsonObject = Field(default_factory=dict)


class DirectView(PlannedDirect):
    """A direct upload as the catalog knows it.

    Size and digest are what was promised, and what was found once it is registered. `completing`
    says that its bytes are being joined and read back; `failure_code` why it failed.
    """

    status: UploadStatus
    created_at: Moment
    created_by: str
    deadline: Moment
    completing: bool = False
    failure_code: str | None = None


class PlanDirect(Question[DirectView]):
    """Remember a direct upload to come. A repeated request gets the upload of the first."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "direct", "plan", DirectView

    principal: Principal
    upload: PlannedDirect
    idempotency: Idempotency | None = None


class GetDirect(Question[DirectView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "direct", "get", DirectView

    tenant: Token
    upload_id: UploadId


class OpenDirect(Question[DirectView]):
    """Its client is at work: an open upload is being uploaded from now on, and its time runs anew.

    One that has ended is shown as it is.
    """

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "direct", "open", DirectView

    tenant: Token
    upload_id: UploadId
    actor: str


class ReopenDirect(Question[DirectView]):
    """The store lost a session: `session_id` takes the place of `lost_session_id`, if that is
    still the one; the answer has the session that counts."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "direct", "reopen", DirectView

    tenant: Token
    upload_id: UploadId
    lost_session_id: SessionId
    session_id: SessionId


class CancelDirect(Question[Done]):
    """End an upload and have its bytes removed, also when it is registered already."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "direct", "cancel", Done

    tenant: Token
    upload_id: UploadId
    actor: str


class TimelineEntry(Contract):
    at: Moment
    event: str
    detail: JsonObject


class Timeline(Contract):
    entries: tuple[TimelineEntry, ...]


class GetTimeline(Question[Timeline]):
    """Everything that happened to a direct upload, in order."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "direct", "timeline", Timeline

    tenant: Token
    upload_id: UploadId


class Inspection(Contract):
    """What an inspector read from an object, or why it could not; peaks are asked for apart."""

    readable: bool
    reason: str | None = None
    media: MediaFacts | None = None
    inspected_at: Moment


class ObjectView(Contract):
    """An object, whatever door it came through."""

    upload_id: UploadId
    key: ObjectKey
    filename: str
    size_bytes: Size
    sha256: Sha256
    content_type: str
    detected_type: str | None = None
    state: Literal["stored", "damaged"]
    stored_at: Moment
    verified_at: Moment | None = None
    inspection: Inspection | None = None


class GetObject(Question[ObjectView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "object", "get", ObjectView

    tenant: Token
    upload_id: UploadId
    with_peaks: bool = False


class PlaceDirect(Question[UploadPlaced]):
    """Find a place for a file its client sends itself, and sign what it needs to begin."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "direct", "place", UploadPlaced

    upload: PlaceUpload


class DirectSigned(Contract):
    """Fresh URLs. `session_id` is another than asked for when the store had lost that one."""

    put_url: str | None = None
    session_id: SessionId | None = None
    parts: tuple[SignedPart, ...] = ()


class SignDirect(Question[DirectSigned]):
    """Sign a PUT, or those parts of a session; a session the store lost is begun anew."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "direct", "sign", DirectSigned

    key: ObjectKey
    content_type: str
    session_id: SessionId | None = None
    numbers: Annotated[tuple[PartNumber, ...], Field(max_length=1000)] = ()


class FoundPart(Contract):
    number: PartNumber
    etag: str
    size_bytes: Size


class DirectContents(Contract):
    """What the store has of a direct upload: its parts by number, or an object of this size."""

    parts: tuple[FoundPart, ...] = ()
    size_bytes: Size | None = None


class ShowDirect(Question[DirectContents]):
    """Ask the store itself what was sent."""

    SERVICE, ENTITY, VERB, ANSWER = "storage", "direct", "show", DirectContents

    key: ObjectKey
    session_id: SessionId | None = None
