"""Every error leaves as a problem document, and none says more than it should."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from sluice_gateway.routes.edge import InvalidRequest
from sluice_runtime.errors import SluiceError
from sluice_runtime.web import STATUS_OF_CODE, answer_failure, problem_response

log = structlog.get_logger(__name__)

_CODES = {404: "no-such-route", 405: "method-not-allowed"}


def install(app: FastAPI) -> None:
    """Answer what routes of `app` refuse. Bugs are answered further out, by `answer_bug`."""
    app.add_exception_handler(SluiceError, _planned)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


async def _planned(request: Request, error: Exception) -> Response:
    assert isinstance(error, SluiceError)
    if isinstance(error, InvalidRequest):
        status = STATUS_OF_CODE.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY)
        answer = problem_response(
            status, error.code, str(error), instance=request.url.path, errors=error.errors
        )
    else:
        answer = answer_failure(error, request.url.path)
    _note(request, answer.status_code, error.code, str(error))
    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _planned(request, InvalidRequest.of(list(error.errors())))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "http-error")
    _note(request, error.status_code, code, str(error.detail))
    return problem_response(
        error.status_code,
        code,
        str(error.detail),
        instance=request.url.path,
        headers=error.headers,
    )


def _note(request: Request, status: int, code: str, detail: str) -> None:
    """Log an answer that is not what was asked for. Not its path, which may be a secret link."""
    write = log.warning if status >= HTTPStatus.INTERNAL_SERVER_ERROR else log.info
    route = getattr(request.scope.get("route"), "path", None)
    write("refused", method=request.method, route=route, status=status, code=code, detail=detail)


def answer_bug(path: str, error: Exception) -> Response:
    """What is said of an error nobody planned; the log has the rest."""
    log.error("bug", path=path, exc_info=error)
    return problem_response(
        500,
        "internal-error",
        "An unexpected error occurred; it was logged.",
        instance=path,
        retryable=True,
    )
