"""Refusals, failures and bugs: what of them is logged, and under which id."""

import httpx
import pytest
from fastapi import FastAPI
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from sluice_gateway.app import Around
from sluice_gateway.routes import problems
from sluice_runtime.errors import Conflict, Unavailable
from sluice_runtime.trace import CORRELATION_HEADER


async def get(path: str) -> httpx.Response:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Around)

    @app.get("/r/{secret}")
    async def refuse(secret: str) -> None:
        raise Conflict("It is taken.", code="taken")

    @app.get("/away")
    async def fail() -> None:
        raise Unavailable("The object store is away.", code="store-unavailable")

    @app.get("/bug")
    async def break_down() -> None:
        raise ZeroDivisionError

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gateway"
    ) as http:
        return await http.get(path)


async def test_a_refusal_is_noted_with_its_code_and_without_its_path() -> None:
    with capture_logs() as logs:
        await get("/r/a-secret-link")
    assert logs == [
        {
            "event": "refused",
            "log_level": "info",
            "method": "GET",
            "route": "/r/{secret}",
            "status": 409,
            "code": "taken",
            "detail": "It is taken.",
        }
    ]


async def test_a_failure_is_a_warning() -> None:
    with capture_logs() as logs:
        await get("/away")
    [entry] = logs
    assert (entry["log_level"], entry["status"]) == ("warning", 503)


async def test_what_does_not_exist_is_noted_too() -> None:
    with capture_logs() as logs:
        await get("/nowhere")
    [entry] = logs
    assert (entry["route"], entry["status"], entry["code"]) == (None, 404, "no-such-route")


@pytest.mark.parametrize(("path", "status"), [("/r/x", 409), ("/away", 503), ("/bug", 500)])
async def test_the_answer_and_the_log_have_the_same_correlation_id(path: str, status: int) -> None:
    with capture_logs([merge_contextvars]) as logs:
        answer = await get(path)
    assert answer.status_code == status
    [entry] = logs
    assert entry["correlation_id"] == answer.headers[CORRELATION_HEADER]
    assert "ZeroDivisionError" not in answer.text
