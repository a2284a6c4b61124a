"""Bodies of the recordings door. Source document 000."""

from typing import Annotated, Literal

from pydantic import Field

from sluice_contracts.base import (
    Body,
    ContentType,
    Contract,
    JsonObject,
    Moment,
)
from sluice_contracts.statuses import BatchStatus, RecordingStatus

MAX_ITEMS = 10


class PresignItem(Body):
    filename: Annotated[str, Field(min_length=1, max_length=1024)]
    contentType: ContentType  # noqa: N815 - the name clients of the source document send


class PresignRequest(Body):
    batch_id: Annotated[str, Field(max_length=64)] | None = None
    items: Annotated[tuple[PresignItem, ...], Field(min_length=1, max_length=MAX_ITEMS)]


class PresignedItem(Contract):
    temp_id: str
    method: Literal["PUT"] = "PUT"
    upload_url: str
    required_headers: dict[str, str]
    blob_ref: str


class PresignAnswer(Contract):
    batch_id: str
    expires_in_seconds: int
    items: tuple[PresignedItem, ...]


class RecordingRequestItem(Body):
    client_item_id: Annotated[str, Field(min_length=1, max_length=255)]
    blob_ref: Annotated[str, Field(min_length=1, max_length=2048)]
    data: JsonObject


class RecordingsRequest(Body):
    batch_id: Annotated[str, Field(max_length=64)] | None = None
    idempotency_key: Annotated[str, Field(min_length=8, max_length=255)]
    items: Annotated[tuple[RecordingRequestItem, ...], Field(min_length=1, max_length=MAX_ITEMS)]


class RecordingAnswerItem(Contract):
    client_item_id: str
    recording_id: str
    status: RecordingStatus


class Poll(Contract):
    href: str


class RecordingsAnswer(Contract):
    batch_id: str
    status: BatchStatus
    items: tuple[RecordingAnswerItem, ...]
    poll: Poll


class BatchAnswer(Contract):
    batch_id: str
    status: BatchStatus
    created_at: Moment
    items: tuple[RecordingAnswerItem, ...]


class BatchList(Contract):
    items: tuple[BatchAnswer, ...]
    next_cursor: str | None


class ShownRecording(Contract):
    recording_id: str
    client_item_id: str
    status: RecordingStatus
    filename: str
    metadata: JsonObject
    size_bytes: int
    content_type: str
    created_at: Moment
    media_url: str


class ShownBatch(Contract):
    batch_id: str
    status: BatchStatus
    created_at: Moment
    recordings: tuple[ShownRecording, ...]


BODIES: tuple[type[Contract] | type[Body], ...] = (
    PresignRequest,
    PresignAnswer,
    RecordingsRequest,
    RecordingsAnswer,
    BatchAnswer,
    BatchList,
    ShownBatch,
)
