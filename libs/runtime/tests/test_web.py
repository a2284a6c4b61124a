"""The health routes of every service."""

import httpx
import pytest
from starlette.applications import Starlette

from sluice_runtime.web import health_routes


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_monitor_that_asks_with_head_is_answered_as_with_get(
    path: str, works: bool
) -> None:
    async def probe() -> dict[str, bool]:
        return {"nats": works}

    app = Starlette(routes=health_routes([probe]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sluice") as http:
        got, told = await http.get(path), await http.head(path)
    assert (told.status_code, told.headers) == (got.status_code, got.headers)


async def test_metrics_answer_head_too() -> None:
    transport = httpx.ASGITransport(Starlette(routes=health_routes([])))
    async with httpx.AsyncClient(transport=transport, base_url="http://sluice") as http:
        assert (await http.head("/metrics")).status_code == 200
