"""The bodies of the public HTTP API, shared by the gateway and the clients."""

from typing import Annotated, Literal

from pydantic import Field

from sluice_contracts.base import (
    Body,
    ContentType,
    Contract,
    JsonObject,
    Moment,
)
from sluice_contracts.facts import StatusChanged
from sluice_contracts.statuses import BatchStatus, Kind, RecordingStatus

API_KEY_HEADER = "X-API-Key"
MAX_ITEMS = 10


class FieldProblem(Contract):
    """What is wrong with one field; `field` is its path, dots between the steps."""

    field: str
    reason: str


class Problem(Contract):
    """An error as every route answers it. Source: RFC 9457.

    `code` is stable and made for programs; `retryable` says whether repeating the very same
    request can succeed.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    retryable: bool = False
    errors: tuple[FieldProblem, ...] = ()


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


class StatusReport(Body):
    kind: Kind
    id: Annotated[str, Field(min_length=1, max_length=64)]
    status: Annotated[str, Field(min_length=1, max_length=32)]
    reason: Annotated[str, Field(max_length=1000)] | None = None


class PublicEvent(Contract):
    """One entry of the public event log: a CloudEvent with the tenant's own sequence.

    The same shape on server-sent events, in `GET /api/v1/events` and on NATS.
    """

    specversion: Literal["1.0"] = "1.0"
    sequence: int
    id: str
    type: str
    source: str = "/sluice/catalog"
    subject: str
    time: Moment
    correlationid: str | None = None
    data: StatusChanged


class EventList(Contract):
    items: tuple[PublicEvent, ...]
    next_after: int
    last_sequence: int


class ServiceStatus(Contract):
    """What `GET /health` answers; `status` is `degraded` when any part is false."""

    status: Literal["ok", "degraded"]
    db: bool
    storage_writable: bool
    nats: bool
    time: Moment


BODIES: tuple[type[Contract] | type[Body], ...] = (
    Problem,
    PresignRequest,
    PresignAnswer,
    RecordingsRequest,
    RecordingsAnswer,
    BatchAnswer,
    BatchList,
    ShownBatch,
    StatusReport,
    PublicEvent,
    EventList,
    ServiceStatus,
)
