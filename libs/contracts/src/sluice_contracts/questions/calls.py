"""Asked of the catalog: recorded calls, and what became of them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from sluice_contracts.base import Contract, Moment, ObjectKey, Sha256, Size, Token
from sluice_contracts.questions.base import Done, Question
from sluice_contracts.questions.recordings import Page
from sluice_contracts.statuses import CallStatus


class CallView(Contract):
    """A call; `duration_seconds` is what was read from its bytes, once they were."""

    call_id: UUID
    filename: str
    format: str
    company_name: str
    contact_email: str
    call_type: str
    priority: str
    status: CallStatus
    bucket: str
    key: ObjectKey
    size_bytes: Size
    sha256: Sha256
    content_type: str
    duration_seconds: float | None = None
    uploaded_at: Moment
    uploaded_by: str
    created_at: Moment
    updated_at: Moment


class GetCall(Question[CallView]):
    SERVICE, ENTITY, VERB, ANSWER = "catalog", "call", "get", CallView

    tenant: Token
    call_id: UUID


class Calls(Contract):
    calls: tuple[CallView, ...]
    next: Page | None


class ListCalls(Question[Calls]):
    """The calls of a tenant, newest first; `since` inclusive, `until` exclusive."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "call", "list", Calls

    tenant: Token
    status: CallStatus | None = None
    call_type: Annotated[str, Field(max_length=200)] | None = None
    company_name: Annotated[str, Field(max_length=200)] | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Page | None = None
    limit: Annotated[int, Field(ge=1, le=200)]


class StatusStep(Contract):
    """One change of a status; `sequence` counts those of one thing from 1."""

    sequence: Annotated[int, Field(ge=1)]
    previous: str | None
    status: str
    reason: str | None = None
    actor: str
    changed_at: Moment


class StatusSteps(Contract):
    steps: tuple[StatusStep, ...]


class GetCallHistory(Question[StatusSteps]):
    """Every status a call ever had, oldest first."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "call", "history", StatusSteps

    tenant: Token
    call_id: UUID


class DeleteCall(Question[Done]):
    """Forget a call and its history at once; its object follows."""

    SERVICE, ENTITY, VERB, ANSWER = "catalog", "call", "delete", Done

    tenant: Token
    call_id: UUID
