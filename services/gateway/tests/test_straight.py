"""Routes that FastAPI does not look into: what they read is described all the same."""

from .described import describe


def test_a_put_says_where_its_token_goes_and_what_its_body_is() -> None:
    put = describe()["paths"]["/mock-upload/{upload_id}"]["put"]
    assert {(one["name"], one["in"], one["required"]) for one in put["parameters"]} == {
        ("upload_id", "path", True),
        ("token", "query", True),
    }
    assert put["requestBody"]["content"]["*/*"]["schema"]["format"] == "binary"
    assert {"201", "202", "400", "401", "503"} <= set(put["responses"])


def test_a_chunk_says_what_its_form_holds() -> None:
    post = describe()["paths"]["/api/v1/chunks"]["post"]
    fields = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"chunk_file", "start_ts", "end_ts"} <= set(fields)
    assert {"200", "202", "401", "403", "413", "422"} <= set(post["responses"])
