"""Receiving a call: from its form to its row and the task of transcribing it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sluice_contracts.api import CallForm
from sluice_contracts.facts import CallUpload, Registration
from sluice_contracts.questions import Principal
from sluice_gateway.ports import Body, Deps
from sluice_gateway.sniffing import AUDIO_TYPES, audio_format, describe
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import Filing, file_away, hold, pieces
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Rejected

FORMATS = ("mp3", "wav", "m4a", "flac")
_ALLOWED = "send MP3, WAV, M4A or FLAC"
_SHOWN_CHARACTERS = 16

ReadForm = Callable[[], Awaitable[CallForm]]


@dataclass(frozen=True)
class CallFile:
    """The file of a call: `head` holds its first bytes, `body` all of them."""

    filename: str
    head: bytes
    body: Body


async def receive_call(
    call_id: UUID, principal: Principal, file: CallFile, read_form: ReadForm, deps: Deps
) -> Answer:
    """Store a call and have it transcribed.

    `read_form` reads to the end of the form, behind the file. A file that fits into memory is not
    stored before; of a larger one nothing is kept when the rest of the form is wrong.

    Raises:
        Rejected: it is no audio that is taken here, or what `read_form` refused it with.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    extension = _format_of(file)
    held, rest = await hold(file.body)
    planned = CallUpload(
        call_id=call_id,
        filename=file.filename,
        format=extension,
        # Not known before the end of a form, and of no weight for the place of its file.
        company_name="",
        contact_email="",
        call_type="",
        created_at=deps.now(),
        created_by=principal.subject,
    )
    form = await read_form() if rest is None else None

    async def describe_upload(_: Sent) -> Registration:
        told = form or await read_form()
        return planned.model_copy(update=told.model_dump())

    filing = Filing(
        door="calls",
        tenant=principal.tenant,
        upload_id=f"upl_{call_id.hex}",
        planned=planned,
        content_type=AUDIO_TYPES[extension],
        size_bytes=len(held) if rest is None else None,
    )
    return (await file_away(filing, pieces(held, rest), describe_upload, deps)).answer


def _format_of(file: CallFile) -> str:
    """The format that name and bytes agree upon.

    Raises:
        Rejected: they do not, or it is none that is taken here.
    """
    _, dot, extension = file.filename.lower().rpartition(".")
    if extension not in FORMATS or not dot:
        named = f"is named .{extension[:_SHOWN_CHARACTERS]}" if dot else "has no extension"
        raise Rejected(f"The file {named}; {_ALLOWED}.", code="unsupported-format")
    if not file.head:
        raise Rejected("The file is empty; send the recording of a call.", code="empty-upload")
    found = audio_format(file.head)
    if found != extension:
        advice = f"name it .{found}" if found in FORMATS else _ALLOWED
        raise Rejected(
            f"The file is named .{extension} and holds {describe(file.head)}; {advice}.",
            code="content-mismatch",
        )
    return extension
