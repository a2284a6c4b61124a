"""Asked of the catalog: renders, and what they are attached to."""

from uuid import UUID

from sluice_contracts.base import Contract, Moment, ObjectKey, Sha256, Size, Token
from sluice_contracts.questions.base import Question


class RenderView(Contract):
    """A render with where its bytes are; `message_id` once a message has claimed it."""

    render_id: UUID
    message_id: str | None
    filename: str
    format: str
    bitrate: int | None
    duration: float | None
    size_bytes: Size
    sha256: Sha256
    content_type: str
    key: ObjectKey
    created_at: Moment


class GetRender(Question[RenderView]):
    """A render of a tenant; of any when None, for whoever holds its link."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "render", "get", RenderView

    tenant: Token | None
    render_id: UUID
