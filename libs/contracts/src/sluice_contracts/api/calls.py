"""Bodies of the calls door: one form, and what is seen of the call it brought."""

import re
import unicodedata
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from sluice_contracts.base import Body, Contract, Moment
from sluice_contracts.statuses import CallStatus
from sluice_contracts.tasks import Priority

# What is no text: control characters, halves of characters, private ones, breaks of lines.
_NOT_TEXT = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Format characters that words are written with: joiners of Persian, Indic scripts and emoji.
_JOINERS = frozenset("\u200c\u200d")
# An address as people have them; what else RFC 5322 allows is a typing error.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")


def _printable(text: str) -> str:
    if any(unicodedata.category(one) in _NOT_TEXT for one in set(text) - _JOINERS):
        raise ValueError("control and direction characters are not taken")
    return text


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("this is no e-mail address, such as name@example.com")
    return text


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_printable),
]


class CallForm(Contract):
    """The fields that come with a call; those nobody knows are ignored, as forms have it."""

    company_name: Line
    contact_email: Annotated[
        str,
        StringConstraints(strip_whitespace=True, max_length=254),
        AfterValidator(_address),
        Field(json_schema_extra={"format": "email"}),
    ]
    call_type: Line
    priority: Priority = "normal"


class CallUploaded(Contract):
    """`uploaded`: the bytes are stored and the row is committed. `accepted`: the bytes are stored,
    and the row is on its way."""

    call_id: UUID
    status: Literal["uploaded", "accepted"]
    message: str


class CallAudio(Contract):
    """`duration_seconds` is null until the file was looked into."""

    s3_bucket: str
    s3_key: str
    format: str
    file_size_bytes: int
    duration_seconds: float | None


class CallMetadata(Contract):
    company_name: str
    contact_email: str
    call_type: str


class CallAnswer(Contract):
    call_id: UUID
    uploaded_at: Moment
    uploaded_by: str
    status: CallStatus
    audio: CallAudio
    metadata: CallMetadata
    created_at: Moment
    updated_at: Moment


class CallList(Contract):
    items: tuple[CallAnswer, ...]
    next_cursor: str | None


class HistoryStep(Contract):
    """One change of a status; `from` is null for the first one."""

    sequence: int
    previous: Annotated[str | None, Field(alias="from")]
    status: Annotated[str, Field(alias="to")]
    reason: str | None
    actor: str
    at: Moment


class HistoryList(Contract):
    """Oldest first, and all of it."""

    items: tuple[HistoryStep, ...]


BODIES: tuple[type[Contract] | type[Body], ...] = (
    CallUploaded,
    CallAnswer,
    CallList,
    HistoryList,
)
