"""The public HTTP application: routes, problems, and what happens around every request."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus

from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluice_gateway.routes import (
    batches,
    calls,
    chunks,
    devices,
    events,
    media,
    messages,
    objects,
    pages,
    problems,
    recordings,
    renders,
    status,
    uploads,
)
from sluice_gateway.routes.edge import Edge
from sluice_runtime.trace import CORRELATION_HEADER, new_trace, tracing
from sluice_runtime.web import problem_response

REQUESTS = Counter("sluice_http_requests_total", "Answers", ["route", "status"])
SECONDS = Histogram("sluice_http_seconds", "Time to the last byte of the answer", ["route"])

_LINGER_SECONDS = 10.0
_REFUSED_ENCODING = problem_response(
    HTTPStatus.NOT_IMPLEMENTED,
    "transfer-encoding-unknown",
    "Send the body as it is: the only Transfer-Encoding understood here is chunked.",
    headers={"Connection": "close"},
)


class Around:
    """Gives each request its trace, counts it, and closes connections with an unread body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
            await _REFUSED_ENCODING(scope, receive, send)
            return
        trace = new_trace(headers)
        began = time.perf_counter()
        state = {"status": 500, "began": False, "body_read": False, "unwanted": False}

        async def note_receive() -> Message:
            message = await receive()
            if not message.get("more_body", False):
                state["body_read"] = True
            return message

        async def note_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"], state["began"] = message["status"], True
                message["headers"] = [
                    *message["headers"],
                    (CORRELATION_HEADER.encode(), trace.correlation_id.encode()),
                ]
                state["unwanted"] = _has_body(headers) and not state["body_read"]
                if state["unwanted"]:
                    # The rest of the body is not wanted: a client should stop sending it.
                    message["headers"].append((b"connection", b"close"))
            elif state["unwanted"] and not message.get("more_body", False):
                await send({**message, "more_body": True})
                if "expect" not in headers:
                    await _linger(receive)
                message = {"type": "http.response.body"}
            await send(message)

        with tracing(trace):
            try:
                await self._app(scope, note_receive, note_send)
            except Exception as error:
                if state["began"]:
                    raise
                # Here, and not further out: the answer and the log are to have the correlation id.
                answer = problems.answer_bug(scope["path"], error)
                await answer(scope, note_receive, note_send)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                REQUESTS.labels(route, str(state["status"])).inc()
                SECONDS.labels(route).observe(time.perf_counter() - began)


async def _linger(receive: Receive) -> None:
    """Let a sender finish, for a while, what it was told to stop.

    Closing the connection with bytes unread resets it, and takes the answer away from a client
    that only reads once it has sent everything.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def _has_body(headers: dict[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def make_app(app: FastAPI, edge: Edge) -> FastAPI:
    """Put the public routes on `app`."""
    app.state.edge = edge
    problems.install(app)
    app.add_middleware(Around)
    for door in (
        recordings,
        batches,
        chunks,
        calls,
        devices,
        renders,
        messages,
        uploads,
        objects,
        media,
        events,
        status,
        pages,
    ):
        app.include_router(door.router)
    return app
