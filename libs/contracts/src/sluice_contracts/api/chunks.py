"""Bodies of the chunks door: recorders, what they send, and what is missing of it."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from sluice_contracts.base import Body, Contract, Moment
from sluice_contracts.statuses import ChunkStatus


class ChunkForm(Contract):
    """The fields that come with a chunk; those nobody knows are ignored, as forms have it.

    Times have a zone. Rates are in Hz: what no recorder ever had is a mistake in the form.
    """

    point_id: UUID
    register_id: UUID
    device_id: UUID
    start_ts: Moment
    end_ts: Moment
    codec: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
    sample_rate: Annotated[int, Field(ge=1_000, le=768_000)]
    channels: Annotated[int, Field(ge=1, le=32)]

    @model_validator(mode="after")
    def _is_a_stretch(self) -> "ChunkForm":
        if self.end_ts <= self.start_ts:
            raise ValueError("end_ts must lie after start_ts")
        return self


class ChunkUploaded(Contract):
    """`queued` says that the task of working through the chunk is durable.

    `ok`: the bytes are stored and the row is committed. `accepted`: the bytes are stored, and
    the row is on its way.
    """

    status: Literal["ok", "accepted"]
    chunk_id: UUID
    stored_path: str
    queued: bool


class ChunkAnswer(Contract):
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
    file_path: str
    file_size_bytes: int
    sha256: str
    status: ChunkStatus
    created_at: Moment
    audio_url: str


class ChunkList(Contract):
    items: tuple[ChunkAnswer, ...]
    next_cursor: str | None


class GapAnswer(Contract):
    start_ts: Moment
    end_ts: Moment
    duration_sec: float


class GapList(Contract):
    """The holes, oldest first; `complete` is false when there were more than fit."""

    items: tuple[GapAnswer, ...]
    complete: bool


class DeviceRequest(Body):
    point_id: UUID
    register_id: UUID
    device_id: UUID
    token_plain: Annotated[str, Field(min_length=8, max_length=512)]


class DeviceChange(Body):
    is_enabled: StrictBool | None = None
    token_plain: Annotated[str, Field(min_length=8, max_length=512)] | None = None


class DeviceAnswer(Contract):
    device_id: UUID
    point_id: UUID
    register_id: UUID
    is_enabled: bool
    created_at: Moment
    last_seen_at: Moment | None


class DeviceList(Contract):
    items: tuple[DeviceAnswer, ...]
    next_cursor: str | None


class DeviceSelf(Contract):
    """What a recorder learns of itself: the place it was put up at."""

    device_id: UUID
    point_id: UUID
    register_id: UUID
    is_enabled: bool


BODIES: tuple[type[Contract] | type[Body], ...] = (
    ChunkUploaded,
    ChunkAnswer,
    ChunkList,
    GapList,
    DeviceRequest,
    DeviceChange,
    DeviceAnswer,
    DeviceList,
    DeviceSelf,
)
