"""Routes that FastAPI does not look into: what they read is described all the same."""

from typing import Any

from fastapi import FastAPI

from sluice_gateway.routes import chunks, recordings


def described() -> Any:
    app = FastAPI()
    app.include_router(recordings.router)
    app.include_router(chunks.router)
    return app.openapi()["paths"]


def test_a_put_says_where_its_token_goes_and_what_its_body_is() -> None:
    put = described()["/mock-upload/{upload_id}"]["put"]
    assert {(one["name"], one["in"], one["required"]) for one in put["parameters"]} == {
        ("upload_id", "path", True),
        ("token", "query", True),
    }
    assert put["requestBody"]["content"]["*/*"]["schema"]["format"] == "binary"
    assert {"201", "202", "400", "401", "503"} <= set(put["responses"])


def test_a_chunk_says_what_its_form_holds() -> None:
    post = described()["/api/v1/chunks"]["post"]
    fields = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"chunk_file", "start_ts", "end_ts"} <= set(fields)
    assert {"200", "202", "401", "403", "413", "422"} <= set(post["responses"])
