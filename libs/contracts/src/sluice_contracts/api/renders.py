"""Bodies of the renders door: pieces of audio, and the messages that carry them. Source 003."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Body, Contract, JsonObject, LenientBody, Moment

RenderFormat = Literal["mp3", "wav", "ogg", "m4a", "flac"]


class RenderForm(Contract):
    """The fields that come with a render; `bitrate` in kbit/s, `duration` in seconds."""

    format: RenderFormat = "mp3"
    bitrate: Annotated[int, Field(ge=1, le=100_000)] | None = None
    duration: Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)] | None = None


class RenderAnswer(Contract):
    """A render as apps keep it. `url` needs no login, and dies with the render."""

    id: UUID
    url: str
    format: str
    bitrate: int | None = None
    duration: float | None = None
    size_bytes: int
    created_at: Moment


class RenderReference(Contract):
    """A render that was uploaded before; of all that an app sends its id is enough."""

    id: UUID


class MessageRequest(LenientBody):
    token: Annotated[str, Field(max_length=512)] | None = None
    parent_thread: Annotated[str, Field(min_length=1, max_length=255)]
    user_id: Annotated[str, Field(min_length=1, max_length=255)]
    snapshot: JsonObject
    snapshot_metadata: JsonObject | None = None
    renders: Annotated[tuple[RenderReference, ...], Field(max_length=100)] = ()
    timestamp: Moment | None = None


class AttachRequest(LenientBody):
    token: Annotated[str, Field(max_length=512)] | None = None
    render: RenderReference


class MessageAnswer(Contract):
    id: str
    created_at: Moment
    timestamp: Moment
    user_id: str
    parent_thread: str
    snapshot: JsonObject | None = None
    snapshot_metadata: JsonObject | None = None
    renders: tuple[RenderAnswer, ...] = ()


class MessageList(Contract):
    messages: tuple[MessageAnswer, ...]
    next_cursor: str | None = None


class RenderAttached(Contract):
    status: Literal["render_attached"] = "render_attached"
    message_id: str


class MessageGone(Contract):
    status: Literal["deleted"] = "deleted"
    id: str
    renders_deleted: int


BODIES: tuple[type[Contract] | type[Body], ...] = (
    RenderAnswer,
    MessageRequest,
    AttachRequest,
    MessageAnswer,
    MessageList,
    RenderAttached,
    MessageGone,
)
