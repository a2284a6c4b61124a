"""The health routes of every service."""

import httpx
import pytest
from fastapi import FastAPI

from sluice_runtime.web import health_routes


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_monitor_that_asks_with_head_is_answered_as_with_get(
    path: str, works: bool
) -> None:
    async def probe() -> dict[str, bool]:
        return {"nats": works}

    app = FastAPI()
    app.include_router(health_routes([probe]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sluice") as http:
        got, told = await http.get(path), await http.head(path)
    assert (told.status_code, told.headers) == (got.status_code, got.headers)
    assert app.openapi()["paths"] == {}
