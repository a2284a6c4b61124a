"""Asked of the catalog: messages of threads, and the renders they carry."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Contract, JsonObject, Moment, Token
from sluice_contracts.questions.base import Done, Question
from sluice_contracts.questions.recordings import Page
from sluice_contracts.questions.renders import RenderView
from sluice_contracts.questions.uploads import Idempotency

MessageId = Annotated[str, Field(min_length=1, max_length=64)]


class MessageView(Contract):
    """A message with its renders, oldest first; `snapshot` only where it was asked for."""

    message_id: MessageId
    parent_thread: str
    user_id: str
    snapshot: JsonObject | None
    snapshot_metadata: JsonObject | None
    timestamp: Moment
    created_at: Moment
    renders: tuple[RenderView, ...] = ()


class AddMessage(Question[MessageView]):
    """Keep a message, and attach renders to it: all of them, or nothing is kept."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "message", "add", MessageView

    tenant: Token
    actor: str
    message_id: MessageId
    parent_thread: Annotated[str, Field(min_length=1, max_length=255)]
    user_id: Annotated[str, Field(min_length=1, max_length=255)]
    snapshot: JsonObject
    snapshot_metadata: JsonObject | None = None
    timestamp: Moment | None = None
    renders: Annotated[tuple[UUID, ...], Field(max_length=100)] = ()
    idempotency: Idempotency | None = None


class GetMessage(Question[MessageView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "message", "get", MessageView

    tenant: Token
    message_id: MessageId
    with_snapshot: bool = True


class Messages(Contract):
    """A page; it is shorter than asked for when its snapshots are large."""

    messages: tuple[MessageView, ...]
    next: Page | None


class ListMessages(Question[Messages]):
    """The messages of a tenant, or of one thread, by their timestamp."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "message", "list", Messages

    tenant: Token
    parent_thread: str | None = None
    order: Literal["asc", "desc"] = "asc"
    with_snapshot: bool = True
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]


class AttachRender(Question[Done]):
    """Let a message carry a render. Doing it twice changes nothing."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "message", "attach", Done

    tenant: Token
    actor: str
    message_id: MessageId
    render_id: UUID


class MessageDeleted(Contract):
    renders_deleted: int


class DeleteMessage(Question[MessageDeleted]):
    """Forget a message and its renders at once; their objects follow."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "message", "delete", MessageDeleted

    tenant: Token
    actor: str
    message_id: MessageId
