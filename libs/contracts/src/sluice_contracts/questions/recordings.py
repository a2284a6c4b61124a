"""Asked of the catalog: batches and recordings."""

from typing import Annotated, Literal

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
)
from sluice_contracts.questions.base import Done, Question
from sluice_contracts.questions.keys import Principal
from sluice_contracts.questions.uploads import Idempotency
from sluice_contracts.statuses import BatchStatus, Kind, RecordingStatus


class RecordingItem(Contract):
    """One recording as its client describes it."""

    client_item_id: Annotated[str, Field(min_length=1, max_length=255)]
    blob_ref: Annotated[str, Field(max_length=2048)]
    data: JsonObject


class RecordingState(Contract):
    client_item_id: str
    recording_id: RecordingId
    status: RecordingStatus


class Page(Contract):
    """Where a list goes on: after this place, newest first."""

    created_at: Moment
    id: str


class BatchState(Contract):
    """A batch with its recordings, oldest first; `next` is where `ListRecordings` goes on."""

    batch_id: BatchId
    status: BatchStatus
    created_at: Moment
    items: tuple[RecordingState, ...] = ()
    next: Page | None = None


class RegisterRecordings(Question[BatchState]):
    """Turn uploaded blobs of one batch into recordings; all of them or none."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "recording", "register", BatchState

    principal: Principal
    batch_id: BatchId | None
    items: Annotated[tuple[RecordingItem, ...], Field(min_length=1, max_length=10)]
    idempotency: tuple[Idempotency, ...]


class GetBatch(Question[BatchState]):
    """One batch. Who asks for it in parts reads `next`; all others are given the whole."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "get", BatchState

    tenant: Token
    batch_id: BatchId
    in_parts: bool = False


class BatchStates(Contract):
    batches: tuple[BatchState, ...]
    next: Page | None


class ListBatches(Question[BatchStates]):
    """Batches, newest first. One that is given in part, as in `GetBatch`, is alone on its page."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "list", BatchStates

    tenant: Token
    status: BatchStatus | None = None
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]
    in_parts: bool = False


class RecordingStates(Contract):
    items: tuple[RecordingState, ...]
    next: Page | None


class ListRecordings(Question[RecordingStates]):
    """More of the recordings of a batch, oldest first, behind a `next` that was answered."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "recording", "list", RecordingStates

    tenant: Token
    batch_id: BatchId
    after: Page


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
    """A batch with its recordings, oldest first; `next` is where `ShowRecordings` goes on."""

    batch_id: BatchId
    status: BatchStatus
    created_at: Moment
    recordings: tuple[RecordingView, ...]
    next: Page | None = None


class BatchViews(Contract):
    batches: tuple[BatchView, ...]
    next: Page | None


class ShowBatches(Question[BatchViews]):
    """As `ListBatches`, with the recordings in full, for the web page."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "batch", "show", BatchViews

    tenant: Token
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]
    in_parts: bool = False


class RecordingViews(Contract):
    recordings: tuple[RecordingView, ...]
    next: Page | None


class ShowRecordings(Question[RecordingViews]):
    """As `ListRecordings`, in full."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "recording", "show", RecordingViews

    tenant: Token
    batch_id: BatchId
    after: Page


class GetRecording(Question[RecordingView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "recording", "get", RecordingView

    tenant: Token
    recording_id: RecordingId


class ReportStatus(Question[Done]):
    """A worker outside Sluice says how far it is. An illegal move changes nothing."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "status", "report", Done

    tenant: Token
    kind: Literal[Kind.RECORDING, Kind.CHUNK, Kind.CALL]
    id: str
    status: str
    reason: Annotated[str, Field(max_length=1000)] | None = None
    actor: str
