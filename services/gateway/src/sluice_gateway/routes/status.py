"""Workers report how far they are."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from sluice_contracts.api import Problem, StatusReport
from sluice_contracts.questions import Principal, ReportStatus
from sluice_contracts.statuses import Kind
from sluice_gateway.domain import SCOPE_CALLS_WRITE, SCOPE_WRITE
from sluice_gateway.routes.callers import Forbidden, require
from sluice_gateway.routes.edge import EdgeDep, body_schema, read_json
from sluice_runtime.errors import Rejected

router = APIRouter(tags=["status"])

# Who may report on what; the status of everything else follows from these.
_SCOPES = {
    Kind.RECORDING: {SCOPE_WRITE},
    Kind.CHUNK: {SCOPE_WRITE},
    Kind.CALL: {SCOPE_WRITE, SCOPE_CALLS_WRITE},
}


@router.post(
    "/api/v1/status",
    openapi_extra=body_schema(StatusReport),
    responses={404: {"model": Problem}, 409: {"model": Problem}},
)
async def report(
    request: Request,
    principal: Annotated[Principal, Depends(require(None))],
    edge: EdgeDep,
) -> StatusReport:
    """Move a recording, a chunk or a call to its next status. An illegal move changes nothing."""
    if not principal.scopes & set().union(*_SCOPES.values()):
        raise Forbidden(f"This key lacks the scope {SCOPE_WRITE}.")
    asked, _ = await read_json(request, StatusReport, edge)
    if asked.kind not in _SCOPES:
        raise Rejected(
            f"The status of a {asked.kind} follows from others and cannot be reported.",
            code="status-is-derived",
        )
    if not principal.scopes & _SCOPES[asked.kind]:
        raise Forbidden(f"This key may not report on a {asked.kind}.")
    await edge.deps.asker.ask(
        ReportStatus(
            tenant=principal.tenant,
            kind=asked.kind,
            id=asked.id,
            status=asked.status,
            reason=asked.reason,
            actor=principal.subject,
        )
    )
    return asked
