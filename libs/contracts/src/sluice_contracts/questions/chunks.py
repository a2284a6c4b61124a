"""Asked of the catalog: the chunks recorders sent, and what is missing between them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Contract, Moment, ObjectKey, Sha256, Size, Token
from sluice_contracts.questions.base import Question
from sluice_contracts.questions.recordings import Page
from sluice_contracts.statuses import ChunkStatus


class ChunkView(Contract):
    """A chunk; `duration_sec` is what its recorder claimed, `true_duration_seconds` what was read
    from its bytes, once they were."""

    chunk_id: UUID
    device_id: UUID
    point_id: UUID
    register_id: UUID
    start_ts: Moment
    end_ts: Moment
    duration_sec: float
    true_duration_seconds: float | None = None
    codec: str
    sample_rate: int
    channels: int
    file_path: ObjectKey
    file_size_bytes: Size
    sha256: Sha256
    content_type: str
    bucket: str
    upload_id: str
    status: ChunkStatus
    created_at: Moment


class GetChunk(Question[ChunkView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "chunk", "get", ChunkView

    tenant: Token
    chunk_id: UUID


class Chunks(Contract):
    chunks: tuple[ChunkView, ...]
    next: Page | None


class ListChunks(Question[Chunks]):
    """The chunks of a tenant, newest recording first; `since` inclusive, `until` exclusive."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "chunk", "list", Chunks

    tenant: Token
    point_id: UUID | None = None
    register_id: UUID | None = None
    device_id: UUID | None = None
    status: ChunkStatus | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]


class Gap(Contract):
    """A hole in a recording: nothing was received of what lies between the two moments."""

    start_ts: Moment
    end_ts: Moment
    duration_sec: float


class Gaps(Contract):
    """`complete` is false when there were more holes than fit."""

    gaps: tuple[Gap, ...]
    complete: bool


class FindGaps(Question[Gaps]):
    """The holes in what one device recorded that are longer than the tolerance."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "chunk", "gaps", Gaps

    tenant: Token
    device_id: UUID
    since: Moment | None = None
    until: Moment | None = None
    tolerance_ms: Annotated[int, Field(ge=0, le=86_400_000)]
