"""Bodies of the renders door: pieces of audio, and the messages that carry them. Source 003."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator

from sluice_contracts.base import Body, Contract, JsonObject, LenientBody, Moment

RenderFormat = Literal["mp3", "wav", "ogg", "m4a", "flac"]


def _in_lower_case(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


class RenderForm(Contract):
    """The fields that come with a render; `bitrate` in kbit/s, `duration` in seconds.

    An empty field is one that was left out: forms have no other way to say so.
    """

    format: Annotated[RenderFormat, BeforeValidator(_in_lower_case)] = "mp3"
    bitrate: Annotated[int, Field(ge=1, le=100_000)] | None = None
    duration: Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: one for name, one in fields.items() if one != ""}


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

    @model_validator(mode="before")
    @classmethod
    def _take_id(cls, value: Any) -> Any:
        """An id may also stand by itself."""
        return {"id": value} if isinstance(value, str) else value


class MessageRequest(LenientBody):
    token: Annotated[str, Field(max_length=512)] | None = None
    parent_thread: Annotated[str, Field(min_length=1, max_length=255)]
    user_id: Annotated[str, Field(min_length=1, max_length=255)]
    snapshot: JsonObject
    snapshot_metadata: JsonObject | None = None
    renders: Annotated[
        tuple[RenderReference, ...], Field(max_length=100), BeforeValidator(_none_is_empty)
    ] = ()
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
