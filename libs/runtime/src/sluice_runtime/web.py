"""Problem documents, and the health and metrics routes every service answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sluice_contracts.api import FieldProblem, Problem
from sluice_contracts.questions import Failure
from sluice_runtime.errors import SluiceError

PROBLEM_TYPE = "application/problem+json"
PROBLEM_ROOT = "https://sluice.dev/problems/"

STATUS: Mapping[Failure, HTTPStatus] = {
    Failure.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Failure.CONFLICT: HTTPStatus.CONFLICT,
    Failure.REJECTED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Failure.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Failure.BUG: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# Codes whose HTTP status says more than their kind does.
STATUS_OF_CODE: Mapping[str, HTTPStatus] = {
    "upload-token-used": HTTPStatus.BAD_REQUEST,
    "upload-token-expired": HTTPStatus.BAD_REQUEST,
    "upload-token-invalid": HTTPStatus.BAD_REQUEST,
    "content-type-mismatch": HTTPStatus.BAD_REQUEST,
    "empty-upload": HTTPStatus.BAD_REQUEST,
    "body-incomplete": HTTPStatus.BAD_REQUEST,
    "malformed-json": HTTPStatus.BAD_REQUEST,
    "invalid-form": HTTPStatus.BAD_REQUEST,
    "unsupported-format": HTTPStatus.BAD_REQUEST,
    "content-mismatch": HTTPStatus.BAD_REQUEST,
    "form-malformed": HTTPStatus.BAD_REQUEST,
    "form-incomplete": HTTPStatus.BAD_REQUEST,
    "form-duplicate-field": HTTPStatus.BAD_REQUEST,
    "form-encoding-unsupported": HTTPStatus.BAD_REQUEST,
    "form-field-malformed": HTTPStatus.BAD_REQUEST,
    "form-nested": HTTPStatus.BAD_REQUEST,
    "form-unexpected-file": HTTPStatus.BAD_REQUEST,
    "form-not-a-file": HTTPStatus.BAD_REQUEST,
    "form-field-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "form-part-header-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "form-too-many-parts": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not-a-form": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "content-encoding-unsupported": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "body-too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "body-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too-many-uploads": HTTPStatus.TOO_MANY_REQUESTS,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "device-disabled": HTTPStatus.FORBIDDEN,
    "foreign-device": HTTPStatus.FORBIDDEN,
}


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    instance: str | None = None,
    retryable: bool = False,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error as every route answers it. Source: RFC 9457."""
    problem = Problem(
        type=PROBLEM_ROOT + code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        retryable=retryable,
        errors=tuple(errors),
    )
    body = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=PROBLEM_TYPE)


def answer_failure(error: SluiceError, instance: str | None = None) -> JSONResponse:
    """The problem document of a planned failure."""
    status = STATUS_OF_CODE.get(error.code, STATUS[error.failure])
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="sluice"'
    return problem_response(
        status,
        error.code,
        str(error),
        instance=instance,
        retryable=error.retry_after_seconds is not None,
        headers=headers,
    )


Probe = Callable[[], Awaitable[Mapping[str, bool]]]


def health_routes(probes: Sequence[Probe]) -> list[Route]:
    """`/livez`, `/readyz`, `/metrics`: alive, able to work, and what was counted.

    Readiness tells the truth about consumers: a process that is connected and consumes nothing
    is not ready. They answer HEAD, with which monitors ask, as they answer GET.
    """

    async def livez(_: Request) -> Response:
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def readyz(_: Request) -> JSONResponse:
        checks: dict[str, bool] = {}
        for probe in probes:
            checks.update(await probe())
        ready = all(checks.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": ready, "checks": checks}, status)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
