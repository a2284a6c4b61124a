"""Bodies of direct uploads and of objects: for clients that speak to the store themselves."""

from typing import Annotated, Literal

from pydantic import Field

from sluice_contracts.base import (
    NUMBER,
    Body,
    ContentType,
    Contract,
    JsonObject,
    Moment,
    Sha256,
)
from sluice_contracts.statuses import UploadStatus

MAX_PARTS = 10_000
MAX_PARTS_AT_ONCE = 1000

PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS), NUMBER]


class UploadRequest(Body):
    """A file to come. Without its size it is sent in parts."""

    filename: Annotated[str, Field(min_length=1, max_length=1024)]
    content_type: ContentType
    size_bytes: Annotated[int, Field(ge=1, le=2**53), NUMBER] | None = None
    sha256: Sha256 | None = None
    batch_id: Annotated[str, Field(max_length=64)] | None = None
    metadata: JsonObject = Field(default_factory=dict)


class SinglePut(Contract):
    """How to send the whole file: one PUT with these headers."""

    url: str
    headers: dict[str, str]


class PartUrl(Contract):
    number: int
    url: str


class MultipartUrls(Contract):
    """How to send the file in parts: each of `part_size` bytes, the last one of what is left."""

    part_size: int
    parts: tuple[PartUrl, ...]


class UploadCreated(Contract):
    """`blob_ref` is how POST /recordings speaks of the file, if it belongs to a batch."""

    upload_id: str
    object_id: str
    status: UploadStatus
    expires_at: Moment
    put: SinglePut | None = None
    multipart: MultipartUrls | None = None
    blob_ref: str | None = None


class PartsRequest(Body):
    """Which parts to sign again; an upload that goes in one PUT has none."""

    numbers: Annotated[tuple[PartNumber, ...], Field(max_length=MAX_PARTS_AT_ONCE)] = ()


class PartsAnswer(Contract):
    """Fresh URLs; `expires_at` is when the upload ends, not when they do."""

    expires_at: Moment
    put: SinglePut | None = None
    part_size: int | None = None
    parts: tuple[PartUrl, ...] = ()


class GivenPart(Body):
    number: PartNumber
    etag: Annotated[str, Field(min_length=1, max_length=128)]


class CompleteRequest(Body):
    """Without `parts` those that the store has are taken."""

    parts: Annotated[tuple[GivenPart, ...], Field(min_length=1, max_length=MAX_PARTS)] | None = None
    sha256: Sha256 | None = None


class StoredPart(Contract):
    number: int
    etag: str
    size_bytes: int


class UploadState(Contract):
    """An upload as it is now. `parts` are those in the store, while it is open.

    Size and digest are what was promised, and what was found once it is registered. `completing`:
    all was sent, and is being read back.
    """

    upload_id: str
    object_id: str
    status: UploadStatus
    filename: str
    content_type: str
    size_bytes: int | None = None
    sha256: str | None = None
    part_size: int | None = None
    parts: tuple[StoredPart, ...] = ()
    completing: bool = False
    failure_code: str | None = None
    batch_id: str | None = None
    blob_ref: str | None = None
    metadata: JsonObject
    created_at: Moment
    expires_at: Moment


class TimelineItem(Contract):
    at: Moment
    event: str
    detail: JsonObject


class TimelineAnswer(Contract):
    """Everything that happened to an upload, in order."""

    items: tuple[TimelineItem, ...]


class MediaAnswer(Contract):
    """What a file says of itself, as far as it can be read; `reason` says why not."""

    readable: bool
    reason: str | None = None
    container: str | None = None
    codec: str | None = None
    duration_seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    has_video: bool = False
    width: int | None = None
    height: int | None = None
    inspected_at: Moment


class ObjectAnswer(Contract):
    """An object of any door; `media` is missing until somebody has looked into it."""

    object_id: str
    filename: str
    size_bytes: int
    sha256: str
    content_type: str
    detected_type: str | None = None
    state: Literal["stored", "damaged"]
    stored_at: Moment
    verified_at: Moment | None = None
    media: MediaAnswer | None = None
    content_url: str


class WaveformAnswer(Contract):
    """The loudest sample of each of up to 1,000 equal stretches: 0 to 255, 255 is full scale."""

    object_id: str
    duration_seconds: float | None = None
    peaks: tuple[int, ...]


BODIES: tuple[type[Contract] | type[Body], ...] = (
    UploadRequest,
    UploadCreated,
    PartsRequest,
    PartsAnswer,
    CompleteRequest,
    UploadState,
    TimelineAnswer,
    ObjectAnswer,
    WaveformAnswer,
)
