"""Bodies every door shares: problems, status, events."""

from typing import Annotated, Literal

from pydantic import Field

from sluice_contracts.base import Body, Contract, Moment
from sluice_contracts.facts import StatusChanged
from sluice_contracts.statuses import Kind

API_KEY_HEADER = "X-API-Key"


class FieldProblem(Contract):
    """What is wrong with one field; `field` is its path, dots between the steps."""

    field: str
    reason: str


class Problem(Contract):
    """An error as every route answers it. Source: RFC 9457.

    `code` is stable and made for programs; `retryable` says whether repeating the very same
    request can succeed.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    retryable: bool = False
    errors: tuple[FieldProblem, ...] = ()


class StatusReport(Body):
    kind: Kind
    id: Annotated[str, Field(min_length=1, max_length=64)]
    status: Annotated[str, Field(min_length=1, max_length=32)]
    reason: Annotated[str, Field(max_length=1000)] | None = None


class PublicEvent(Contract):
    """One entry of the public event log: a CloudEvent with the tenant's own sequence.

    The same shape on server-sent events, in `GET /api/v1/events` and on NATS.
    """

    specversion: Literal["1.0"] = "1.0"
    sequence: int
    id: str
    type: str
    source: str = "/sluice/catalog"
    subject: str
    time: Moment
    correlationid: str | None = None
    data: StatusChanged


class EventList(Contract):
    items: tuple[PublicEvent, ...]
    next_after: int
    last_sequence: int


class ServiceStatus(Contract):
    """What `GET /health` answers; `status` is `degraded` when any part is false."""

    status: Literal["ok", "degraded"]
    db: bool
    storage_writable: bool
    nats: bool
    time: Moment


BODIES: tuple[type[Contract] | type[Body], ...] = (
    Problem,
    StatusReport,
    PublicEvent,
    EventList,
    ServiceStatus,
)
