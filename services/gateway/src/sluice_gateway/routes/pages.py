"""The web page, its assets, and the health of the whole."""

import asyncio
from functools import partial
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from sluice_contracts.api import ServiceStatus
from sluice_contracts.questions import CheckDatabase, CheckStore, PartState, Question
from sluice_gateway.domain import SCOPE_READ
from sluice_gateway.routes.callers import Unauthorized, find_principal, offered_token
from sluice_gateway.routes.edge import Edge, EdgeDep
from sluice_runtime.errors import Unavailable
from sluice_runtime.web import problem_response

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).parent.parent / "web"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILES = StaticFiles(directory=WEB)
_ASSETS = {path.name: path for path in WEB.iterdir() if path.suffix in _TYPES}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; media-src 'self' http: https:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_CHECK_SECONDS = 3.0
# Monitors ask with HEAD. What answers it is the answer to GET; the server leaves out its body.
_GET_OR_HEAD = ["GET", "HEAD"]


@router.api_route("/", methods=_GET_OR_HEAD)
async def root() -> RedirectResponse:
    return RedirectResponse("/ui", HTTPStatus.TEMPORARY_REDIRECT)


@router.api_route("/ui", methods=_GET_OR_HEAD)
async def page(request: Request, edge: EdgeDep) -> Response:
    """The page; it holds nothing secret, and asks for a key itself when it has none."""
    try:
        principal = await find_principal(offered_token(request, "key"), edge)
        allowed = SCOPE_READ in principal.scopes
    except Unauthorized:
        allowed = False
    except Unavailable:
        # The page finds out by itself, and says so better than a browser would.
        allowed = True
    status = HTTPStatus.OK if allowed else HTTPStatus.UNAUTHORIZED
    headers = {**_HEADERS, "Cache-Control": "no-store"}
    if not allowed:
        headers["WWW-Authenticate"] = 'Bearer realm="sluice"'
    return FileResponse(WEB / "index.html", status, headers, media_type="text/html")


@router.api_route("/ui/{name}", methods=_GET_OR_HEAD)
async def asset(request: Request, name: str) -> Response:
    path = _ASSETS.get(name)
    if path is None:
        return problem_response(
            404, "no-such-route", "There is no such file.", instance=request.url.path
        )
    headers = {**_HEADERS, "Cache-Control": "no-cache"}
    kind = _TYPES[path.suffix]
    response = FileResponse(path, headers=headers, media_type=kind, stat_result=path.stat())
    if _FILES.is_not_modified(response.headers, request.headers):
        return NotModifiedResponse(response.headers)
    return response


@router.api_route("/healthz", methods=_GET_OR_HEAD)
async def healthz() -> dict[str, bool]:
    return {"ok": True}


@router.api_route("/health", methods=_GET_OR_HEAD)
async def health(edge: EdgeDep) -> JSONResponse:
    """Whether every part works right now; 503 when one does not.

    Everybody may ask, so one look serves all who ask within a second.
    """
    status = await edge.health.recall(partial(_look, edge))
    code = HTTPStatus.OK if status.status == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse(status.model_dump(mode="json"), code)


async def _look(edge: Edge) -> ServiceStatus:
    database, store = await asyncio.gather(
        _works(CheckDatabase(), edge), _works(CheckStore(), edge)
    )
    bus = edge.is_connected()
    return ServiceStatus(
        status="ok" if database and store and bus else "degraded",
        db=database,
        storage_writable=store,
        nats=bus,
        time=edge.deps.now(),
    )


async def _works(question: Question[PartState], edge: Edge) -> bool:
    try:
        return (await edge.deps.asker.ask(question, timeout_seconds=_CHECK_SECONDS)).works
    except Unavailable:
        return False
