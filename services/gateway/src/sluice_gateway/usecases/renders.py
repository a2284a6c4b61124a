"""Receiving a render: from its form to its row."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sluice_contracts.api import RenderForm
from sluice_contracts.facts import Registration, RenderUpload
from sluice_contracts.questions import Principal
from sluice_gateway.ports import Body, Deps
from sluice_gateway.sniffing import AUDIO_TYPES, HEAD_BYTES, audio_format, describe
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import Filing, file_away, pieces
from sluice_gateway.usecases.once import Once
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Rejected

_ALLOWED = "send mp3, wav, ogg, m4a or flac"

ReadFields = Callable[[], Awaitable[RenderForm]]


@dataclass(frozen=True)
class NewRender:
    """A render that is about to come: its id, what its first bytes speak of, and as much of the
    file as was held back; `rest` is there when that is not all of it."""

    render_id: UUID
    filename: str
    found: str
    held: bytes
    rest: Body | None
    once: Once | None = None


@dataclass(frozen=True)
class RenderReceived:
    """A render that is stored; `answer` says whether its row is, too."""

    answer: Answer
    fields: RenderForm
    size_bytes: int
    created_at: datetime


def check_content(head: bytes) -> str:
    """The format the first bytes of a file speak of; raises `Rejected` for one not taken here."""
    if not head:
        raise Rejected("The file is empty; send the audio of a render.", code="empty-render")
    head = head[:HEAD_BYTES]
    found = audio_format(head)
    if found is None or found not in AUDIO_TYPES:
        raise Rejected(f"The file holds {describe(head)}; {_ALLOWED}.", code="unsupported-audio")
    return found


async def receive_render(
    render: NewRender, principal: Principal, read_fields: ReadFields, deps: Deps
) -> RenderReceived:
    """Store a render.

    `read_fields` reads to the end of the form, behind the file. Its place is made of what the
    bytes are; a form that calls them something else is refused.

    Raises:
        Rejected: the format is not that of the bytes, or what `read_fields` refused it with.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    fields = await _agreed(render, read_fields) if render.rest is None else None
    planned = RenderUpload(
        render_id=render.render_id,
        filename=render.filename,
        format=render.found,
        created_at=deps.now(),
        created_by=principal.subject,
    )

    async def describe_upload(_: Sent) -> Registration:
        nonlocal fields
        fields = fields or await _agreed(render, read_fields)
        return planned.model_copy(update={"bitrate": fields.bitrate, "duration": fields.duration})

    filing = Filing(
        door="renders",
        tenant=principal.tenant,
        upload_id=f"upl_{render.render_id.hex}",
        planned=planned,
        content_type=AUDIO_TYPES[render.found],
        size_bytes=len(render.held) if render.rest is None else None,
        once=render.once,
    )
    filed = await file_away(filing, pieces(render.held, render.rest), describe_upload, deps)
    assert fields is not None
    return RenderReceived(filed.answer, fields, filed.sent.size_bytes, planned.created_at)


async def _agreed(render: NewRender, read_fields: ReadFields) -> RenderForm:
    fields = await read_fields()
    check_format(fields, render.found)
    return fields


def check_format(fields: RenderForm, found: str) -> None:
    """Raises `Rejected` when a form calls its file something else than it is."""
    if fields.format != found:
        raise Rejected(
            f"The form says {fields.format} and the file holds {found}; send the field format.",
            code="format-mismatch",
        )
