"""The description of the API, as generators and contract tests read it."""

import json
import re
from typing import Any

import pytest

from .described import describe, operations


@pytest.fixture(scope="module")
def document() -> Any:
    return describe()


def test_every_reference_leads_somewhere(document: Any) -> None:
    for reference in set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(document))):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert isinstance(found, dict), reference


def test_a_schema_keeps_nothing_to_itself(document: Any) -> None:
    assert "$defs" not in json.dumps(document)
    body = operations(document)["post", "/uploads/presign"]["requestBody"]["content"]
    items = body["application/json"]["schema"]["properties"]["items"]
    assert items["items"] == {"$ref": "#/components/schemas/PresignItem"}


def test_every_refusal_is_a_problem_document(document: Any) -> None:
    for name, operation in operations(document).items():
        responses = operation["responses"]
        refusals = {status: one for status, one in responses.items() if status[0] in "45d"}
        assert "default" in refusals, name
        for status, one in refusals.items():
            assert list(one["content"]) == ["application/problem+json"], (name, status)
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


def test_what_is_answered_otherwise_is_no_problem(document: Any) -> None:
    for name, operation in operations(document).items():
        answers = {status: one for status, one in operation["responses"].items() if status < "4"}
        assert answers, name
        assert "application/problem+json" not in json.dumps(answers), name


@pytest.mark.parametrize(
    "path",
    [
        "/media/{recording_id}",
        "/r/{render_id}/{capability}",
        "/api/v1/renders/{render_id}/audio",
        "/api/v1/calls/{call_id}/audio",
        "/api/v1/chunks/{chunk_id}/audio",
        "/api/v1/objects/{object_id}/content",
    ],
)
def test_what_is_played_is_bytes_or_a_redirect(document: Any, path: str) -> None:
    responses = document["paths"][path]["get"]["responses"]
    assert {"200", "206", "304", "307"} <= set(responses)
    for status in ("200", "206"):
        assert responses[status]["content"]["*/*"]["schema"]["format"] == "binary"
