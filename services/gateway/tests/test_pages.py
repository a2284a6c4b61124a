"""The page and the health of the whole, as a monitor asks for them."""

import httpx
import pytest
from fastapi import FastAPI

from sluice_contracts.questions import CheckDatabase, CheckStore, PartState, Principal
from sluice_gateway.routes import pages

from .edges import make_edge
from .fakes import FakeWorld

READER = Principal(tenant="dev", subject="me", scopes=frozenset({"recordings:read"}))


class OnePrincipal:
    """Everybody who shows a key is the same reader."""

    async def resolve(self, token: str) -> Principal | None:
        return READER


def monitor(*, works: bool) -> httpx.AsyncClient:
    """Somebody who asks the pages of a gateway, whose parts work or do not."""

    async def check(_: object) -> PartState:
        return PartState(works=works)

    app = FastAPI()
    world = FakeWorld(answers={CheckDatabase: check, CheckStore: check})
    app.state.edge = make_edge(world, principals=OnePrincipal(), is_connected=works)
    app.include_router(pages.router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sluice")


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("path", ["/", "/ui", "/ui?key=mine", "/ui/app.js", "/healthz", "/health"])
async def test_a_monitor_that_asks_with_head_is_answered_as_with_get(
    path: str, works: bool
) -> None:
    async with monitor(works=works) as http:
        got, told = await http.get(path), await http.head(path)
    assert got.status_code != 405
    assert (told.status_code, told.headers) == (got.status_code, got.headers)


@pytest.mark.parametrize("name", ["app.js", "style.css"])
async def test_an_asset_that_a_browser_has_is_not_sent_again(name: str) -> None:
    async with monitor(works=True) as http:
        first = await http.get(f"/ui/{name}")
        for known in (
            {"If-None-Match": first.headers["etag"]},
            {"If-Modified-Since": first.headers["last-modified"]},
        ):
            again = await http.get(f"/ui/{name}", headers=known)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        other = await http.get(f"/ui/{name}", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


def test_the_pages_are_not_listed() -> None:
    app = FastAPI()
    app.include_router(pages.router)
    assert app.openapi()["paths"] == {}
