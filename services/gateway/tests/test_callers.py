"""How a caller is known, and how the description of the API tells it: what `/docs` asks for."""

from typing import Any

import pytest

from sluice_gateway.routes.callers import Unauthorized, find_principal

from .described import describe, operations

BY_HEADER = {"key", "bearer"}
# Their URLs carry what allows to use them.
SIGNED = {("put", "/mock-upload/{upload_id}"), ("get", "/r/{render_id}/{capability}")}
UNREACHED: Any = None


def ways(operation: Any) -> set[str]:
    """The schemes of which a caller needs one."""
    return {name for way in operation.get("security", []) for name in way}


def test_every_route_says_which_headers_tell_who_is_calling() -> None:
    found = operations(describe())
    assert {key for key, one in found.items() if not ways(one) >= BY_HEADER} == SIGNED
    assert not any(ways(found[key]) for key in SIGNED)


def test_the_schemes_are_the_headers_that_count() -> None:
    schemes = describe()["components"]["securitySchemes"]
    key, bearer = schemes["key"], schemes["bearer"]
    assert (key["type"], key["in"], key["name"]) == ("apiKey", "header", "X-API-Key")
    assert (bearer["type"], bearer["scheme"]) == ("http", "bearer")
    assert all(one["description"] for one in schemes.values())


def test_only_where_a_link_has_to_do_a_key_in_the_query_counts() -> None:
    document = describe()
    schemes = document["components"]["securitySchemes"]
    in_query = {name for name, one in schemes.items() if one.get("in") == "query"}
    offered = {
        path: {schemes[name]["name"] for name in ways(methods["get"]) & in_query}
        for path, methods in document["paths"].items()
        if "get" in methods
    }
    assert offered["/media/{recording_id}"] == {"key"}
    assert offered["/api/v1/renders/{render_id}/audio"] == {"token"}
    assert offered["/api/v1/chunks"] == set()


@pytest.mark.parametrize("token", [None, "", "k" * 10_000])
async def test_who_sends_no_key_is_told_both_ways_to_send_one(token: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        await find_principal(token, UNREACHED)
    assert caught.value.code == "unauthorized"
    assert "X-API-Key" in str(caught.value)
    assert "Authorization: Bearer" in str(caught.value)
