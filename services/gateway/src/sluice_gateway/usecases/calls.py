"""Receiving a call: from its form to its row and the task of transcribing it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sluice_contracts.api import CallForm
from sluice_contracts.facts import CallUpload, Registration
from sluice_contracts.questions import Principal
from sluice_gateway.forms import Form
from sluice_gateway.ports import Deps
from sluice_gateway.sniffing import AUDIO_TYPES, HEAD_BYTES, audio_format, describe
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.filing import Filing, file_away, hold, pieces
from sluice_gateway.usecases.once import Once
from sluice_gateway.usecases.sending import Sent
from sluice_runtime.errors import Rejected

FORMATS = ("mp3", "wav", "m4a", "flac")
_ALLOWED = "send MP3, WAV, M4A or FLAC"
_SHOWN_CHARACTERS = 16

ReadFields = Callable[[], Awaitable[CallForm]]


@dataclass(frozen=True)
class NewCall:
    """A call that is about to come: the id it gets, the checked name of its file, and the
    idempotency key of the request if it has one."""

    call_id: UUID
    filename: str
    once: Once | None = None


async def receive_call(
    call: NewCall, principal: Principal, form: Form, read_fields: ReadFields, deps: Deps
) -> Answer:
    """Store a call and have it transcribed.

    `read_fields` reads to the end of the form, behind the file. A file that fits into memory is
    not stored before; of a larger one nothing is kept when the rest of the form is wrong.

    Raises:
        Rejected: it is no audio that is taken here, or what `read_fields` refused it with.
        Unavailable: nothing was acknowledged; the same request may be repeated.
    """
    extension = _named_format(call.filename)
    _check_content(extension, await form.head(HEAD_BYTES))
    held, rest = await hold(form.file_chunks())
    fields = await read_fields() if rest is None else None
    planned = _planned(call, extension, principal, deps)

    async def describe_upload(_: Sent) -> Registration:
        told = fields or await read_fields()
        return planned.model_copy(update=told.model_dump())

    filing = Filing(
        door="calls",
        tenant=principal.tenant,
        upload_id=f"upl_{call.call_id.hex}",
        planned=planned,
        content_type=AUDIO_TYPES[extension],
        size_bytes=len(held) if rest is None else None,
        once=call.once,
    )
    return (await file_away(filing, pieces(held, rest), describe_upload, deps)).answer


def _planned(call: NewCall, extension: str, principal: Principal, deps: Deps) -> CallUpload:
    """What is known of a call before all of its form was read, which is enough for its place."""
    return CallUpload(
        call_id=call.call_id,
        filename=call.filename,
        format=extension,
        company_name="",
        contact_email="",
        call_type="",
        created_at=deps.now(),
        created_by=principal.subject,
    )


def _named_format(filename: str) -> str:
    """The format a file has by its name; raises `Rejected` for one that is not taken here."""
    _, dot, extension = filename.lower().rpartition(".")
    if not dot or extension not in FORMATS:
        named = f"is named .{extension[:_SHOWN_CHARACTERS]}" if dot else "has no extension"
        raise Rejected(f"The file {named}; {_ALLOWED}.", code="unsupported-format")
    return extension


def _check_content(extension: str, head: bytes) -> None:
    """Raises `Rejected` for a file that is not what its name says."""
    if not head:
        raise Rejected("The file is empty; send the recording of a call.", code="empty-upload")
    found = audio_format(head)
    if found != extension:
        advice = f"name it .{found}" if found in FORMATS else _ALLOWED
        raise Rejected(
            f"The file is named .{extension} and holds {describe(head)}; {advice}.",
            code="content-mismatch",
        )
