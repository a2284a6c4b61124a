"""What a refused caller is told: true, without words of Python, and right at every door."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, ValidationError

from sluice_contracts.api import (
    ChunkForm,
    DeviceChange,
    PartsRequest,
    PresignRequest,
    RecordingsRequest,
    UploadRequest,
)
from sluice_gateway.routes import problems
from sluice_gateway.routes.edge import InvalidRequest
from sluice_gateway.routes.moments import CalendarMoment

ITEM = {"filename": "a.wav", "contentType": "audio/wav"}
UPLOAD = {"filename": "a.wav", "content_type": "audio/wav"}


def told(model: type[BaseModel], value: Any) -> list[tuple[str, str]]:
    """Fields and reasons a caller is told who sends `value` as `model`."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    errors = caught.value.errors(include_input=False, include_url=False)
    return [(one.field, one.reason) for one in InvalidRequest.of(list(errors)).errors]


def asking() -> httpx.AsyncClient:
    """Somebody who asks a route that takes a moment in its query."""
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def between(since: Annotated[CalendarMoment, Query(alias="from")]) -> None:
        """Takes what the lists take."""

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sluice")


async def told_of_moment(written: str) -> str:
    """The reason a caller is told who writes `written` behind `from=`, as it stands."""
    async with asking() as http:
        answer = await http.get(f"/?from={written}")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "query.from"
    return str(error["reason"])


class TestLengths:
    def test_items_that_are_wrong_do_not_count_as_missing(self) -> None:
        assert told(PresignRequest, {"items": [{"filename": "a.wav"}]}) == [
            ("items.0.contentType", "Field required")
        ]

    def test_no_items_are_too_few(self) -> None:
        assert told(PresignRequest, {"items": []}) == [
            ("items", "Number of items should be at least 1, not 0")
        ]

    def test_eleven_items_are_too_many(self) -> None:
        assert told(PresignRequest, {"items": [ITEM] * 11}) == [
            ("items", "Number of items should be at most 10")
        ]

    def test_a_field_that_only_begins_with_the_same_letters_is_another(self) -> None:
        fields = [field for field, _ in told(PresignRequest, {"items": [], "items2": 1})]
        assert fields == ["items", "items2"]


class TestKinds:
    @pytest.mark.parametrize("body", [[], "text", 7, None])
    def test_a_body_that_is_no_object_is_told_so(self, body: Any) -> None:
        assert told(PresignRequest, body) == [("body", "Input should be a JSON object")]

    def test_an_item_that_is_no_object_is_told_so(self) -> None:
        assert told(PresignRequest, {"items": ["a.wav"]}) == [
            ("items.0", "Input should be a JSON object")
        ]

    def test_metadata_that_are_no_object_are_told_so(self) -> None:
        item = {"client_item_id": "a", "blob_ref": "b", "data": [1]}
        body = {"idempotency_key": "12345678", "items": [item]}
        assert told(RecordingsRequest, body) == [("items.0.data", "Input should be a JSON object")]

    @pytest.mark.parametrize("size", ["5", True, 5.5, "x"])
    def test_what_looks_like_a_number_is_none(self, size: Any) -> None:
        fields = [field for field, _ in told(UploadRequest, UPLOAD | {"size_bytes": size})]
        assert fields == ["size_bytes"]

    def test_a_part_is_not_numbered_by_a_text(self) -> None:
        assert told(PartsRequest, {"numbers": ["1"]}) == [
            ("numbers.0", "Input should be a valid integer")
        ]

    @pytest.mark.parametrize("is_enabled", ["yes", 1, "true"])
    def test_what_looks_like_a_yes_is_none(self, is_enabled: Any) -> None:
        assert told(DeviceChange, {"is_enabled": is_enabled}) == [
            ("is_enabled", "Input should be a valid boolean")
        ]

    @pytest.mark.parametrize("items", [{}, "a", None])
    def test_a_list_is_called_a_list(self, items: Any) -> None:
        assert told(PresignRequest, {"items": items}) == [("items", "Input should be a JSON array")]


class TestPatterns:
    def test_a_content_type_is_explained_by_an_example(self) -> None:
        assert told(PresignRequest, {"items": [ITEM | {"contentType": "audio"}]}) == [
            ("items.0.contentType", "Input should be a media type, such as audio/wav")
        ]

    def test_any_other_pattern_is_introduced(self) -> None:
        assert ("codec", "Input must match the pattern ^[A-Za-z0-9._-]{1,32}$") in told(
            ChunkForm, {"codec": "o p u s"}
        )


class TestMoments:
    @pytest.mark.parametrize(
        "zone", ["+03:00", "+0300", "+03"], ids=["with colon", "without", "hours"]
    )
    async def test_a_plus_that_became_a_space_is_explained(self, zone: str) -> None:
        assert "+ is written %2B in a query" in await told_of_moment(f"2026-01-28T10:00:00{zone}")

    @pytest.mark.parametrize(
        "written", ["yesterday", "2026-01-28T10:00:00", "2026-01-28T10:00:00x"]
    )
    async def test_any_other_mistake_has_nothing_to_do_with_a_plus(self, written: str) -> None:
        assert "%2B" not in await told_of_moment(written)

    async def test_a_plus_that_was_escaped_is_a_plus(self) -> None:
        async with asking() as http:
            answer = await http.get("/?from=2026-01-28T10:00:00%2B03:00")
        assert answer.status_code == 200
