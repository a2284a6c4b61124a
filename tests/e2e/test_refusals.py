"""Everything the recordings door refuses, and that a refusal leaves nothing behind."""

import asyncio
import base64
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.environments import SERVICES
from sluice_devkit.fixtures import patient_stack
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from sluice_gateway.domain import UploadTokens

from .api import (
    ALL_SCOPES,
    MIB,
    WAV,
    Account,
    account,
    catalog,
    eventually,
    head,
    keys,
    line,
    make_key,
    noise,
    pieces,
    presign_body,
    problem,
    registration,
    target_of,
    token_of,
    upload_id_of,
    upload_tokens,
)

NOBODYS_BATCH = "rb_0123456789abcdef"
NOBODYS_RECORDING = "rec_0123456789abcdef"

WRITERS = [
    ("POST", "/uploads/presign"),
    ("POST", "/recordings"),
    ("DELETE", f"/batches/{NOBODYS_BATCH}"),
    ("POST", "/api/v1/status"),
]
READERS = [("GET", "/batches"), ("GET", f"/batches/{NOBODYS_BATCH}")]
LISTENERS = [("GET", "/api/v1/events")]
READERS_BY_ADDRESS = [
    ("GET", "/jsonui"),
    ("GET", f"/media/{NOBODYS_RECORDING}"),
    ("HEAD", f"/media/{NOBODYS_RECORDING}"),
]
DOORS = WRITERS + READERS + LISTENERS + READERS_BY_ADDRESS
POSTS = ["/uploads/presign", "/recordings", "/api/v1/status"]

LARGEST = 9 * MIB
"""Bytes that the narrow stack takes at most."""
SLOWEST_SECONDS = 2
LIFETIME_SECONDS = 60


@pytest.fixture(autouse=True)
async def _stack_still_works(stack: Stack) -> AsyncIterator[None]:
    """After each test the same processes run, and are ready."""
    before = stack.pids
    yield
    assert stack.pids == before
    async with plain_client() as http:
        assert (await http.get(f"{stack.url}/healthz")).json() == {"ok": True}
        assert (await http.get(f"{stack.url}/readyz")).status_code == 200


@pytest.fixture(scope="module", autouse=True)
def _no_bug_is_logged(stack: Stack) -> Iterator[None]:
    """A refusal is planned: no service is surprised by any of them."""
    logs = [stack.data / "logs" / f"{name}.log" for name in SERVICES]
    sizes = [log.stat().st_size for log in logs]
    yield
    for log, size in zip(logs, sizes, strict=True):
        text = log.read_bytes()[size:].decode(errors="replace")
        for surprise in ('"event": "bug"', "question failed", "Exception in ASGI"):
            assert surprise not in text, f"{log.name}: {text[text.index(surprise) :][:2000]}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack with tight limits."""
    settings = {
        "gateway": {
            "SLUICE_MAX_UPLOAD_BYTES": str(LARGEST),
            "SLUICE_MAX_UPLOADS_IN_FLIGHT": "1",
            "SLUICE_MIN_UPLOAD_RATE_SECONDS": str(SLOWEST_SECONDS),
            "SLUICE_PRESIGN_LIFETIME_SECONDS": str(LIFETIME_SECONDS),
        },
        "storage": {
            "SLUICE_PART_SIZE_BYTES": str(5 * MIB),
            "SLUICE_SINGLE_PUT_BYTES": str(5 * MIB),
        },
    }
    async with patient_stack(tmp_path_factory.mktemp("narrow"), settings=settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def squeezed(narrow: Stack) -> AsyncIterator[Account]:
    """A caller of the narrow stack."""
    async with account(narrow) as one:
        yield one


@asynccontextmanager
async def browser(stack: Stack, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who shows nothing but these headers."""
    async with plain_client(base_url=stack.url, headers=headers) as http:
        yield http


def unauthorized(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    if answer.request.method != "HEAD":
        problem(answer, 401, "unauthorized")


class TestKeys:
    @pytest.mark.parametrize(("method", "path"), DOORS)
    async def test_without_a_good_key_there_is_no_answer_but_401(
        self, caller: Account, method: str, path: str
    ) -> None:
        tenant = caller.tenant
        bad_headers = [
            {},
            {"X-API-Key": ""},
            {"X-API-Key": "nobodys-key"},
            {"X-API-Key": "k" * 10_000},
            {"X-API-Key": caller.key + "x"},
            {"X-API-Key": caller.key[:-1]},
            {"X-API-Key": await make_key(caller.stack, tenant, lifetime="-1 second")},
            {"X-API-Key": await make_key(caller.stack, tenant, revoked=True)},
            {"Authorization": "Bearer nobodys-key"},
            {"Authorization": "Bearer"},
            {"Authorization": caller.key},
            {"Authorization": f"Basic {caller.key}"},
        ]
        async with caller.nothing_left(), browser(caller.stack) as http:
            for headers in bad_headers:
                unauthorized(await http.request(method, path, headers=headers))

    @pytest.mark.parametrize(("method", "path"), WRITERS + READERS + LISTENERS)
    async def test_a_key_in_the_address_counts_only_where_that_is_documented(
        self, caller: Account, method: str, path: str
    ) -> None:
        async with caller.nothing_left(), browser(caller.stack) as http:
            for name in ("key", "access_token", "token", "api_key"):
                answer = await http.request(method, path, params={name: caller.key})
                unauthorized(answer)

    @pytest.mark.parametrize("path", ["/jsonui", f"/media/{NOBODYS_RECORDING}"])
    async def test_a_wrong_key_in_the_address_is_refused(self, caller: Account, path: str) -> None:
        async with browser(caller.stack) as http:
            unauthorized(await http.get(path, params={"key": "nobodys-key"}))
            page = await http.get("/ui", params={"key": "nobodys-key"})
        assert page.status_code == 401
        assert "www-authenticate" in page.headers

    async def test_a_bearer_token_is_as_good_as_the_header(self, caller: Account) -> None:
        async with browser(caller.stack, Authorization=f"bearer {caller.key}") as http:
            assert (await http.get("/batches")).status_code == 200

    @pytest.mark.parametrize(
        ("scope", "doors"),
        [
            ("recordings:write", WRITERS),
            ("recordings:read", READERS + READERS_BY_ADDRESS[:2]),
            ("events:read", LISTENERS),
        ],
    )
    async def test_each_door_needs_its_scope(
        self, caller: Account, scope: str, doors: list[tuple[str, str]]
    ) -> None:
        # A key for calls may report on calls, and is told so once it has said on what it reports.
        others = [one for one in ALL_SCOPES if one not in (scope, "calls:write")]
        for scopes in (others, [], ["admin"]):
            key = await make_key(caller.stack, caller.tenant, scopes)
            async with caller.nothing_left(), browser(caller.stack, **{"X-API-Key": key}) as http:
                for method, path in doors:
                    problem(await http.request(method, path), 403, "forbidden")

    async def test_what_belongs_to_another_tenant_is_not_there(
        self, caller: Account, stranger: Account
    ) -> None:
        presigned = await caller.uploaded(noise(10))
        batch_id = presigned["batch_id"]
        recording_id = (await caller.register(presigned)).json()["items"][0]["recording_id"]
        await caller.completed(batch_id)
        report = {"kind": "recording", "id": recording_id, "status": "failed"}
        http = stranger.http
        async with caller.nothing_left(), stranger.nothing_left():
            problem(await http.get(f"/batches/{batch_id}"), 404, "batch-not-found")
            problem(await http.delete(f"/batches/{batch_id}"), 404, "batch-not-found")
            for proxy in (0, 1):
                answer = await http.get(f"/media/{recording_id}", params={"proxy": proxy})
                problem(answer, 404, "recording-not-found")
            problem(await http.post("/api/v1/status", json=report), 404, "recording-not-found")
            into = presign_body("a.wav") | {"batch_id": batch_id}
            problem(await http.post("/uploads/presign", json=into), 404, "batch-not-found")
            problem(await stranger.register(presigned), 404, "batch-not-found")
        assert (await http.get("/batches")).json()["items"] == []
        assert (await http.get("/jsonui")).json() == []

    async def test_a_blob_of_another_tenant_is_not_linked_to_ours(
        self, caller: Account, stranger: Account
    ) -> None:
        theirs, ours = await caller.uploaded(noise(10)), await stranger.presign("a.wav")
        async with caller.nothing_left(), stranger.nothing_left():
            answer = await stranger.register({**theirs, "batch_id": ours["batch_id"]})
            refused = problem(answer, 409, "blob-not-linked")
        assert f"is not linked to batch {ours['batch_id']}" in refused["detail"]

    @pytest.mark.parametrize("path", POSTS)
    async def test_the_body_is_not_asked_for_before_the_key_is_known(
        self, caller: Account, path: str
    ) -> None:
        for more in (["X-API-Key: nobodys-key"], []):
            async with line(caller.stack) as one:
                length = "Content-Length: 1000000000"
                await one.say(head("POST", path, length, "Expect: 100-continue", *more))
                problem(await one.hear(), 401, "unauthorized")
            async with line(caller.stack) as one:
                await one.say(head("POST", path, length, *more))
                problem(await one.hear(), 401, "unauthorized")

    async def test_the_bytes_are_not_asked_for_before_the_token_is_known(
        self, caller: Account
    ) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        lines = ("Content-Length: 3", f"Content-Type: {WAV}", "Expect: 100-continue")
        async with caller.nothing_left(), line(caller.stack) as one:
            await one.say(head("PUT", target_of(item) + "x", *lines))
            problem(await one.hear(), 400, "upload-token-invalid")
        async with line(caller.stack) as one:
            await one.say(head("PUT", target_of(item), *lines))
            assert (await one.hear()).status_code == 100
            await one.say(b"abc")
            assert (await one.hear()).status_code == 201

    @pytest.mark.parametrize("path", POSTS)
    async def test_a_refusal_reaches_those_who_send_everything_first(
        self, caller: Account, path: str
    ) -> None:
        body = noise(20 * MIB)
        async with caller.nothing_left(), browser(caller.stack) as http:
            unauthorized(await http.post(path, content=body))
            problem(await caller.http.post(path, content=body), 413, "body-too-large")


class TestValidation:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"items": []}, "items"),
            (presign_body(*["a.wav"] * 11), "items"),
            ({"items": None}, "items"),
            ({"items": {}}, "items"),
            ({"items": ["a.wav"]}, "items.0"),
            ({"batch_id": 7}, "batch_id"),
            ({"batch_id": "x" * 65}, "batch_id"),
            ({"bacth_id": NOBODYS_BATCH}, "bacth_id"),
            ({"x" * 100_000: 1}, "x" * 200),
            ({"items": [{"filename": "a.wav"}]}, "items.0.contentType"),
            ({"items": [{"contentType": WAV}]}, "items.0.filename"),
            ({"items": [{"filename": 1, "contentType": WAV}]}, "items.0.filename"),
            (presign_body("a.wav", content_type="audio"), "items.0.contentType"),
            (presign_body("a.wav", content_type="a/b\r\nX: y"), "items.0.contentType"),
            (presign_body("a.wav", content_type="a/" + "b" * 200), "items.0.contentType"),
        ],
    )
    async def test_presign_says_which_field_is_wrong(
        self, caller: Account, changes: dict[str, Any], field: str
    ) -> None:
        async with caller.nothing_left():
            body = presign_body("a.wav") | changes
            refused = problem(await caller.http.post("/uploads/presign", json=body), 422)
        assert refused["code"] == "invalid-request"
        assert field in [error["field"] for error in refused["errors"]]
        assert all(error["reason"] for error in refused["errors"])

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"items": []}, "items"),
            ({"items": None}, "items"),
            ({"idempotency_key": "7-chars"}, "idempotency_key"),
            ({"idempotency_key": "k" * 256}, "idempotency_key"),
            ({"idempotency_key": None}, "idempotency_key"),
            ({"idempotency_key": 12345678}, "idempotency_key"),
            ({"batch_id": ["a"]}, "batch_id"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    async def test_recordings_say_which_field_is_wrong(
        self, caller: Account, changes: dict[str, Any], field: str
    ) -> None:
        presigned = await caller.uploaded(noise(10))
        async with caller.nothing_left():
            refused = problem(await caller.register(presigned, **changes), 422, "invalid-request")
        assert field in [error["field"] for error in refused["errors"]]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"client_item_id": ""}, "items.0.client_item_id"),
            ({"client_item_id": "i" * 256}, "items.0.client_item_id"),
            ({"blob_ref": ""}, "items.0.blob_ref"),
            ({"blob_ref": "b" * 2049}, "items.0.blob_ref"),
            ({"data": None}, "items.0.data"),
            ({"data": [1]}, "items.0.data"),
            ({"data": "text"}, "items.0.data"),
            ({"surprise": 1}, "items.0.surprise"),
        ],
    )
    async def test_recordings_say_which_field_of_an_item_is_wrong(
        self, caller: Account, changes: dict[str, Any], field: str
    ) -> None:
        presigned = await caller.uploaded(noise(10))
        body = registration(presigned)
        body["items"][0] |= changes
        async with caller.nothing_left():
            refused = problem(await caller.http.post("/recordings", json=body), 422)
        assert field in [error["field"] for error in refused["errors"]]

    async def test_eleven_recordings_are_one_too_many(self, caller: Account) -> None:
        presigned = await caller.presign(*["a.wav"] * 10)
        items = [*presigned["items"], {"blob_ref": "blob://s3/sluice/tenants/eleventh"}]
        async with caller.nothing_left():
            answer = await caller.register({**presigned, "items": items})
            problem(answer, 422, "invalid-request")

    @pytest.mark.parametrize("key", ["", "k" * 201, "a\tb"])
    async def test_an_idempotency_key_has_a_form(self, caller: Account, key: str) -> None:
        async with caller.nothing_left():
            answer = await caller.http.post(
                "/uploads/presign", json=presign_body("a"), headers={"Idempotency-Key": key}
            )
            problem(answer, 422, "invalid-idempotency-key")

    @pytest.mark.parametrize(
        "body",
        [
            {"kind": "recording", "id": NOBODYS_RECORDING, "status": "completed", "extra": 1},
            {"kind": "nonsense", "id": NOBODYS_RECORDING, "status": "completed"},
            {"kind": "batch", "id": NOBODYS_BATCH, "status": "completed"},
            {"kind": "recording", "id": NOBODYS_RECORDING},
        ],
    )
    async def test_a_malformed_status_report_is_refused(
        self, caller: Account, body: dict[str, Any]
    ) -> None:
        problem(await caller.http.post("/api/v1/status", json=body), 422)

    @pytest.mark.parametrize("path", ["/batches", "/jsonui"])
    @pytest.mark.parametrize("limit", ["-1", "0", "201", "x", "1.5", "", "9" * 5000])
    async def test_a_limit_is_between_1_and_200(
        self, caller: Account, path: str, limit: str
    ) -> None:
        refused = problem(await caller.http.get(path, params={"limit": limit}), 422)
        assert refused["errors"][0]["field"] == "query.limit"

    @pytest.mark.parametrize("path", ["/batches", "/jsonui"])
    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "nonsense",
            "%00",
            "é",
            "a" * 513,
            "=" * 10,
            base64.b64encode(b"{}").decode(),
            base64.b64encode(b"\xff\xfe").decode(),
            base64.b64encode(
                b'{"created_at": "2026-01-01T00:00:00", "id": "rb_12345678"}'
            ).decode(),
            base64.b64encode(b'{"created_at": "2026-01-01T00:00:00Z", "id": "\\u0000"}').decode(),
            base64.b64encode(b'{"created_at": "2026-01-01T00:00:00Z", "id": "\' or 1=1"}').decode(),
        ],
    )
    async def test_a_forged_cursor_is_refused(
        self, caller: Account, path: str, cursor: str
    ) -> None:
        problem(await caller.http.get(path, params={"cursor": cursor}), 422)

    async def test_an_unknown_status_is_refused(self, caller: Account) -> None:
        problem(await caller.http.get("/batches", params={"status": "half-done"}), 422)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


NUMBERED = ",".join(f'"{number:x}":0' for number in range(90_000))

NOT_STRICT_JSON = {
    "nothing": b"",
    "no json": b"filename=a.wav",
    "cut off": b'{"items": [{"filename": "a.w',
    "something behind": b"{} x",
    "comment": b"{} // c",
    "single quotes": b"{'items': []}",
    "10,000 deep": deep(10_000),
    "33 deep": b'{"items": ' + deep(32) + b"}",
    "10,000 deep, never closed": b"[" * 10_000,
    "200,000 deep in UTF-16": ('["∀",' + "[" * 100_000).encode("utf-16-le"),
    "duplicate keys": b'{"items": [], "items": []}',
    "duplicate keys within": b'{"items": [{"filename": "a", "filename": "b"}]}',
    "one duplicate among many": f'{{{NUMBERED},"z":1,"z":1}}'.encode(),
    "NaN": b'{"items": NaN}',
    "Infinity": b'{"items": Infinity}',
    "-Infinity": b'{"items": -Infinity}',
    "1e999": b'{"items": 1e999}',
    "10,000 digits": b'{"items": ' + b"9" * 10_000 + b"}",
    "half a surrogate pair": b'{"items": [{"filename": "\\ud800.wav"}]}',
    "half a surrogate pair as a key": b'{"\\udfff": 1}',
    "NUL in text": b'{"items": [{"filename": "a\\u0000.wav"}]}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "control character": b'{"items": "a\nb"}',
    "no UTF-8": b'{"items": "\xff"}',
    "UTF-16": '{"items": []}'.encode("utf-16"),
    "gzip": base64.b64decode("H4sIAAAAAAAAA6uuBQBDv6ajAgAAAA=="),
}


class TestJson:
    @pytest.mark.parametrize("path", POSTS)
    @pytest.mark.parametrize("body", NOT_STRICT_JSON.values(), ids=NOT_STRICT_JSON.keys())
    async def test_what_is_not_strict_json_is_refused(
        self, caller: Account, path: str, body: bytes
    ) -> None:
        async with caller.nothing_left():
            problem(await caller.http.post(path, content=body), 400, "malformed-json")

    @pytest.mark.parametrize("path", POSTS)
    @pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"7", b"true"])
    async def test_what_is_no_object_is_refused(
        self, caller: Account, path: str, body: bytes
    ) -> None:
        problem(await caller.http.post(path, content=body), 422, "invalid-request")

    @pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
    @pytest.mark.parametrize("path", POSTS)
    async def test_more_than_a_mebibyte_is_refused(
        self, caller: Account, path: str, chunked: bool
    ) -> None:
        body = b'{"items": "' + b"x" * MIB + b'"}'
        async with caller.nothing_left():
            answer = await caller.http.post(path, content=pieces(body) if chunked else body)
            problem(answer, 413, "body-too-large")

    async def test_metadata_comes_back_as_it_was_given(self, caller: Account) -> None:
        data = {
            "integers": [2**63, -(2**63) - 1, 10**400, 0],
            "numbers": [0.1, 1e20, -2.5e-7],
            "text": ["Žofie", "🎧", "\u202e", "a\r\nb", "\\", '"', "x" * 10_000],
            "": {"": [None, True, False, {}, []]},
            "deep": json.loads(deep(28)),
        }
        presigned = await caller.uploaded(noise(10))
        answer = await caller.register(presigned, data=data)
        assert answer.status_code == 202, answer.text
        await caller.completed(presigned["batch_id"])
        (shown,) = (await caller.http.get("/jsonui")).json()
        assert shown["recordings"][0]["metadata"] == data


class TestFileNames:
    @pytest.mark.parametrize(
        ("name", "kept"),
        [
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\x.wav", "x.wav"),
            ("C:\\Temp\\x.wav", "x.wav"),
            ("%2e%2e%2fx.wav", "2e_2e_2fx.wav"),
            ("CON.wav", "_CON.wav"),
            ("lpt1", "_lpt1"),
            (".htaccess", "htaccess"),
            ("a b?c#d&e.wav", "a_b_c_d_e.wav"),
            ("<script>alert(1)</script>.wav", "script_.wav"),
            ("a;rm -rf $HOME`id`.wav", "a_rm_-rf_HOME_id_.wav"),
            ("Žofie ♥.wav", "Zofie_.wav"),
            ("日本.wav", "wav"),
            ("~", "file"),
            ("n" * 251 + ".wav", "n" * 116 + ".wav"),
        ],
    )
    async def test_a_name_never_leads_out_of_its_folder(
        self, caller: Account, name: str, kept: str
    ) -> None:
        (item,) = (await caller.presign(name))["items"]
        folder, _, last = item["blob_ref"].rpartition("/")
        assert re.fullmatch(
            rf"blob://s3/[^/]+/tenants/{caller.tenant}/recordings/\d{{4}}/\d\d/\d\d/rec_\w+", folder
        )
        assert last == kept
        assert (await caller.put(item, noise(10))).status_code == 201
        objects = (await caller.footprint()).objects
        assert item["blob_ref"].split("/", 4)[4] in objects
        assert all(caller.tenant in key for key in objects)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            ".",
            "..",
            "....",
            "folder/",
            "a/..",
            "a\r\nSet-Cookie: x=1.wav",
            "a\nb.wav",
            "a\tb.wav",
            "a\x7f.wav",
            "a\x85.wav",
            "\u202egnp.wav",
            "\u2066a\u2069.wav",
            "\ufeffa.wav",
            "a\u2028b.wav",
            "a\ue000.wav",
            "x" * 256,
            "é" * 128,
            "x" * 4096,
        ],
    )
    async def test_a_name_that_is_none_is_refused(self, caller: Account, name: str) -> None:
        async with caller.nothing_left():
            answer = await caller.http.post("/uploads/presign", json=presign_body("a.wav", name))
            assert problem(answer, 422)["code"] in ("invalid-filename", "invalid-request")

    async def test_nul_in_a_name_is_refused(self, caller: Account) -> None:
        async with caller.nothing_left():
            answer = await caller.http.post("/uploads/presign", json=presign_body("a\x00.wav"))
            problem(answer, 400, "malformed-json")


class TestBatches:
    @pytest.mark.parametrize(
        "batch_id",
        [NOBODYS_BATCH, "rb_", "nonsense", "", "rb_" + "x" * 50, "rb_ABCDEFGH", "rb_1234.678"],
    )
    async def test_an_unknown_batch_is_not_found(self, caller: Account, batch_id: str) -> None:
        async with caller.nothing_left():
            into = presign_body("a.wav") | {"batch_id": batch_id}
            problem(await caller.http.post("/uploads/presign", json=into), 404, "batch-not-found")
            body = registration({"batch_id": batch_id, "items": [{"blob_ref": "blob://s3/x/y"}]})
            problem(await caller.http.post("/recordings", json=body), 404, "batch-not-found")
            if batch_id:
                for method in ("GET", "DELETE"):
                    problem(await caller.http.request(method, f"/batches/{batch_id}"), 404)

    async def test_a_blob_that_was_never_sent_is_refused(self, caller: Account) -> None:
        presigned = await caller.presign("a.wav", "b.wav")
        await caller.put(presigned["items"][0], noise(10))
        async with caller.nothing_left():
            refused = problem(await caller.register(presigned), 409, "blob-not-uploaded")
        assert presigned["items"][1]["blob_ref"] in refused["detail"]

    async def test_a_blob_of_another_batch_is_refused(self, caller: Account) -> None:
        one, other = await caller.uploaded(noise(10)), await caller.uploaded(noise(10))
        async with caller.nothing_left():
            answer = await caller.register({**one, "batch_id": other["batch_id"]})
            refused = problem(answer, 409, "blob-not-linked")
        blob = one["items"][0]["blob_ref"]
        assert f"Blob {blob} is not linked to batch {other['batch_id']}" in refused["detail"]

    @pytest.mark.parametrize("without", [{"batch_id": None}, {}])
    async def test_without_a_batch_nothing_is_linked(
        self, caller: Account, without: dict[str, None]
    ) -> None:
        body = registration(await caller.uploaded(noise(10)))
        del body["batch_id"]
        async with caller.nothing_left():
            answer = await caller.http.post("/recordings", json=body | without)
            refused = problem(answer, 409, "blob-not-linked")
        assert "is not linked to batch" in refused["detail"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda ref: ref + "x",
            lambda ref: ref.replace("blob://s3/", "blob://S3/"),
            lambda ref: ref.replace("/recordings/", "/../recordings/"),
            lambda ref: ref.split("/", 3)[3],
            lambda _: "nonsense",
            lambda _: "blob://s3//",
            lambda _: "http://169.254.169.254/",
        ],
    )
    async def test_a_blob_nobody_presigned_is_refused(
        self, caller: Account, change: Callable[[str], str]
    ) -> None:
        presigned = await caller.uploaded(noise(10))
        blob_ref = change(presigned["items"][0]["blob_ref"])
        async with caller.nothing_left():
            answer = await caller.register({**presigned, "items": [{"blob_ref": blob_ref}]})
            problem(answer, 409, "blob-not-linked")

    async def test_items_must_differ(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10), noise(10))
        twice = {**presigned, "items": [presigned["items"][0]] * 2}
        body = registration(presigned)
        body["items"][1]["client_item_id"] = body["items"][0]["client_item_id"]
        async with caller.nothing_left():
            problem(await caller.register(twice), 422, "duplicate-item")
            problem(await caller.http.post("/recordings", json=body), 422, "duplicate-item")

    async def test_a_batch_past_pending_is_closed(self, caller: Account) -> None:
        presigned = await caller.uploaded(noise(10))
        await caller.register(presigned)
        await caller.completed(presigned["batch_id"])
        async with caller.nothing_left():
            problem(await caller.register(presigned), 409, "batch-closed")

    async def test_an_illegal_move_changes_nothing(self, caller: Account) -> None:
        recording_id = await caller.recording(noise(10))
        async with caller.nothing_left():
            for status, code in (("queued", 409), ("processing", 409), ("sleeping", 422)):
                report = {"kind": "recording", "id": recording_id, "status": status}
                problem(await caller.http.post("/api/v1/status", json=report), code)

    @pytest.mark.parametrize(
        "recording_id",
        [NOBODYS_RECORDING, "rec_", "nonsense", "rec_1234.678", "rec_%00", "rb_12345678"],
    )
    async def test_an_unknown_recording_is_not_found(
        self, caller: Account, recording_id: str
    ) -> None:
        problem(await caller.http.get(f"/media/{recording_id}?proxy=1"), 404)


class TestUploadUrls:
    async def test_a_token_that_is_not_the_one_is_refused(self, caller: Account) -> None:
        one, other = (await caller.presign("a.wav", "b.wav"))["items"]
        url, token = one["upload_url"].split("?")[0], token_of(one)
        expiry, _, mac = token.partition(".")
        wrong = [
            *("", ".", "x", "é", "x" * 2000, mac, f"{expiry}.", f"{expiry}.{mac}x"),
            f"{int(expiry) + 3600}.{mac}",
            f"{expiry}.{mac[::-1]}",
            token_of(other),
            token.upper(),
            caller.key,
        ]
        async with caller.nothing_left():
            for attempt in [url, *(f"{url}?token={token}" for token in wrong)]:
                answer = await caller.put({**one, "upload_url": attempt}, noise(10))
                problem(answer, 400, "upload-token-invalid")
        assert (await caller.put(one, noise(10))).status_code == 201

    async def test_a_key_does_not_replace_the_token(self, caller: Account) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        url = item["upload_url"].split("?")[0]
        async with caller.nothing_left():
            answer = await caller.http.put(url, content=noise(10), headers=item["required_headers"])
            problem(answer, 400, "upload-token-invalid")

    async def test_an_expired_token_is_refused(self, caller: Account) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        kept = json.loads((caller.stack.data / "credentials.json").read_text())
        moment = datetime.now(UTC) - timedelta(seconds=2)
        expired = UploadTokens(kept["token_secret"]).sign(upload_id_of(item), moment)
        item["upload_url"] = item["upload_url"].replace(token_of(item), expired)
        async with caller.nothing_left():
            problem(await caller.put(item, noise(10)), 400, "upload-token-expired")

    async def test_an_upload_past_its_deadline_is_refused(self, caller: Account) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        query = "update uploads set deadline = now() - interval '1 second' where upload_id = %s"
        await catalog(caller.stack, query, upload_id_of(item))
        async with caller.nothing_left():
            problem(await caller.put(item, noise(10)), 400, "upload-token-expired")

    async def test_a_used_token_is_refused_and_what_it_brought_stays(self, caller: Account) -> None:
        presigned = await caller.presign("a.wav")
        (item,) = presigned["items"]
        assert (await caller.put(item, b"first")).status_code == 201
        async with caller.nothing_left():
            problem(await caller.put(item, b"second"), 400, "upload-token-used")
            problem(await caller.put(item, noise(20 * MIB)), 400, "upload-token-used")
        recording_id = (await caller.register(presigned)).json()["items"][0]["recording_id"]
        await caller.completed(presigned["batch_id"])
        problem(await caller.put(item, b"second"), 400, "upload-token-used")
        assert await caller.download(recording_id) == b"first"

    async def test_two_senders_of_one_upload_do_not_mix(self, caller: Account) -> None:
        presigned = await caller.presign("a.wav")
        (item,) = presigned["items"]
        bodies = [noise(3 * MIB, seed=number) for number in range(4)]
        answers = await asyncio.gather(*(caller.put(item, pieces(body)) for body in bodies))
        (winner,) = [
            body for body, answer in zip(bodies, answers, strict=True) if answer.is_success
        ]
        for answer in answers:
            if not answer.is_success:
                assert problem(answer, answer.status_code)["code"] in (
                    "upload-in-progress",
                    "upload-token-used",
                )
        recording_id = (await caller.register(presigned)).json()["items"][0]["recording_id"]
        await caller.completed(presigned["batch_id"])
        assert await caller.download(recording_id) == winner
        assert not (await caller.footprint()).sessions

    @pytest.mark.parametrize(
        "content_type", ["audio/mpeg", "AUDIO/WAV", "audio/wav; charset=utf-8", "", None]
    )
    async def test_another_content_type_is_refused(
        self, caller: Account, content_type: str | None
    ) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        headers = {} if content_type is None else {"Content-Type": content_type}
        async with caller.nothing_left(), browser(caller.stack) as http:
            answer = await http.put(item["upload_url"], content=b"abc", headers=headers)
            refused = problem(answer, 400, "content-type-mismatch")
        assert WAV in refused["detail"]
        assert (await caller.put(item, b"abc")).status_code == 201

    @pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
    async def test_an_empty_body_is_refused_and_may_be_followed_by_a_full_one(
        self, caller: Account, chunked: bool
    ) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        async with caller.nothing_left():
            answer = await caller.put(item, pieces(b"") if chunked else b"")
            problem(answer, 400, "empty-upload")
        assert (await caller.put_again(item, b"abc")).status_code == 201

    @pytest.mark.parametrize("upload_id", ["upl_", "nonsense", "..%2f..", "upl_%00"])
    async def test_a_malformed_upload_is_not_found(self, caller: Account, upload_id: str) -> None:
        problem(await caller.http.put(f"/mock-upload/{upload_id}?token=x", content=b"abc"), 404)


class TestLeaving:
    @pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
    @pytest.mark.parametrize(
        ("size", "sent"),
        [
            (200_000, 0),
            (200_000, 1),
            (200_000, 199_999),
            (3 * MIB, 2 * MIB),
            (20 * MIB, 0),
            (20 * MIB, 7 * MIB),
            (20 * MIB, 9 * MIB),
            (20 * MIB, 20 * MIB - 1),
        ],
    )
    async def test_who_leaves_in_the_middle_leaves_nothing_and_may_come_again(
        self, caller: Account, size: int, sent: int, chunked: bool
    ) -> None:
        presigned = await caller.presign("a.wav")
        (item,) = presigned["items"]
        body = noise(size)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        async with caller.nothing_left(), line(caller.stack) as one:
            await one.say(head("PUT", target_of(item), f"Content-Type: {WAV}", length))
            await one.say((f"{size:x}\r\n".encode() if chunked else b"") + body[:sent])
            await caller.wait_until_claimed(item)
            one.hang_up()

        answer = await caller.put_again(item, body)
        assert answer.status_code == 201, answer.text
        answer = await caller.register(presigned)
        await caller.completed(presigned["batch_id"])
        assert await caller.download(answer.json()["items"][0]["recording_id"]) == body
        found = await eventually(caller.footprint, lambda found: len(found.objects) == 3)
        assert not found.sessions

    @pytest.mark.parametrize("path", POSTS)
    async def test_who_leaves_in_the_middle_of_json_leaves_nothing(
        self, caller: Account, path: str
    ) -> None:
        async with caller.nothing_left(), line(caller.stack) as one:
            key = f"X-API-Key: {caller.key}"
            await one.say(head("POST", path, key, "Content-Length: 1000") + b'{"items": [')
            one.hang_up()


class TestHttp:
    """What no HTTP client does. Refusals of the parser itself carry no problem document."""

    async def test_a_body_longer_than_its_length_is_cut_there(self, caller: Account) -> None:
        presigned = await caller.presign("a.wav")
        (item,) = presigned["items"]
        lines = (f"Content-Type: {WAV}", "Content-Length: 5")
        async with line(caller.stack) as one:
            await one.say(head("PUT", target_of(item), *lines) + b"abcde")
            assert (await one.hear()).status_code == 201
            await one.say(b"fghij\r\n\r\n")
            assert (await one.hear()).status_code == 400
            assert await one.ended() == b""
        recording_id = (await caller.register(presigned)).json()["items"][0]["recording_id"]
        await caller.completed(presigned["batch_id"])
        assert await caller.download(recording_id) == b"abcde"

    @pytest.mark.parametrize(
        "lines",
        [
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Content-Length: 5"),
            ("Content-Length: -5",),
            ("Content-Length: +5",),
            ("Content-Length: 5", "Content-Length: 6"),
            ("Content-Length: 99999999999999999999",),
            ("Content-Length: 9999999999999999999",),
            ("Content-Length: five",),
            ("Content-Length: 0x5",),
            ("Transfer-Encoding: identity",),
            ("Content-Length: 5", "Bad Header : x"),
            ("Content-Length: 5", "Bad: \x01"),
            ("Content-Length: 5", "Folded: a", " b"),
        ],
    )
    async def test_a_head_that_can_be_read_in_two_ways_is_refused(
        self, caller: Account, lines: tuple[str, ...]
    ) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        async with caller.nothing_left(), line(caller.stack) as one:
            one_head = head("PUT", target_of(item), f"Content-Type: {WAV}", *lines)
            await one.say(one_head + b"5\r\nabcde\r\n0\r\n\r\n")
            assert (await one.hear()).status_code == 400
        assert (await caller.put_again(item, b"abcde")).status_code == 201

    @pytest.mark.parametrize(
        "chunk", [b"zz\r\nabcde\r\n", b"-5\r\nabcde\r\n", b"5\r\nabcdefgh\r\n"]
    )
    async def test_a_broken_chunk_leaves_nothing(self, caller: Account, chunk: bytes) -> None:
        (item,) = (await caller.presign("a.wav"))["items"]
        lines = (f"Content-Type: {WAV}", "Transfer-Encoding: chunked")
        async with caller.nothing_left(), line(caller.stack) as one:
            await one.say(head("PUT", target_of(item), *lines) + b"3\r\nabc\r\n")
            await caller.wait_until_claimed(item)
            await one.say(chunk)
            assert (await one.hear()).status_code == 400
        assert (await caller.put_again(item, b"abcde")).status_code == 201

    @pytest.mark.parametrize(
        "request_bytes",
        [
            head("NONSENSE", "/batches"),
            head("CONNECT", "example.com:443"),
            b"GET /batches HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        ],
    )
    async def test_what_is_no_request_is_refused(
        self, caller: Account, request_bytes: bytes
    ) -> None:
        async with line(caller.stack) as one:
            await one.say(request_bytes)
            assert 400 <= (await one.hear()).status_code < 500

    @pytest.mark.parametrize("host", ["", "evil.example/x", "a b", "<script>", "a@b"])
    async def test_a_malformed_host_gives_no_upload_url(self, caller: Account, host: str) -> None:
        body = json.dumps(presign_body("a.wav")).encode()
        async with caller.nothing_left():
            answer = await caller.http.post(
                "/uploads/presign", content=body, headers={"Host": host}
            )
            problem(answer, 422, "invalid-host")

    @pytest.mark.parametrize(
        "path", ["/nonsense", "/media", "/mock-upload", "/ui/..%2f..%2fsettings", "/.env"]
    )
    async def test_an_unknown_route_is_a_problem(self, caller: Account, path: str) -> None:
        problem(await caller.http.get(path), 404, "no-such-route")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/uploads/presign"),
            ("PUT", "/recordings"),
            ("PATCH", "/batches"),
            ("POST", f"/batches/{NOBODYS_BATCH}"),
            ("GET", "/mock-upload/upl_12345678"),
            ("DELETE", f"/media/{NOBODYS_RECORDING}"),
            ("TRACE", "/batches"),
            ("PROPFIND", "/batches"),
        ],
    )
    async def test_another_method_is_a_problem(
        self, caller: Account, method: str, path: str
    ) -> None:
        answer = await caller.http.request(method, path)
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"]

    async def test_a_method_cannot_be_overridden(self, caller: Account) -> None:
        batch_id = (await caller.presign("a.wav"))["batch_id"]
        headers = {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
        async with caller.nothing_left():
            answer = await caller.http.get(f"/batches/{batch_id}", headers=headers)
        assert answer.status_code == 200


class TestLimits:
    async def test_too_much_is_refused_before_it_is_sent(self, squeezed: Account) -> None:
        (item,) = (await squeezed.presign("a.wav"))["items"]
        lines = (f"Content-Type: {WAV}", f"Content-Length: {LARGEST + 1}")
        async with squeezed.nothing_left(), line(squeezed.stack) as one:
            await one.say(head("PUT", target_of(item), *lines))
            problem(await one.hear(), 413, "body-too-large")
        assert (await squeezed.put_again(item, noise(LARGEST))).status_code == 201

    async def test_too_much_is_cut_off_while_it_comes(self, squeezed: Account) -> None:
        (item,) = (await squeezed.presign("a.wav"))["items"]
        async with squeezed.nothing_left():
            answer = await squeezed.put(item, pieces(noise(LARGEST + 1)))
            problem(answer, 413, "body-too-large")
        assert (await squeezed.put_again(item, noise(LARGEST))).status_code == 201

    async def test_too_many_at_once_are_asked_to_wait(self, squeezed: Account) -> None:
        first, second = (await squeezed.presign("a.wav", "b.wav"))["items"]
        enough = asyncio.Event()

        async def steadily() -> AsyncIterator[bytes]:
            """Fast enough not to be cut off, until it is told to end."""
            while not enough.is_set():
                yield noise(4096)
                await asyncio.sleep(0.1)

        sending = asyncio.create_task(squeezed.put(first, steadily()))
        try:
            await squeezed.wait_until_claimed(first)
            refused = await squeezed.put(second, b"abc")
            problem(refused, 429, "too-many-uploads")
        finally:
            enough.set()
        assert (await sending).status_code == 201
        answer = await eventually(
            lambda: squeezed.put(second, b"abc"), lambda answer: answer.status_code != 429
        )
        assert answer.status_code == 201

    @pytest.mark.parametrize("length", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
    @pytest.mark.parametrize("trickle", [False, True], ids=["silent", "trickling"])
    async def test_a_slow_body_is_cut_off(
        self, squeezed: Account, length: str, trickle: bool
    ) -> None:
        (item,) = (await squeezed.presign("a.wav"))["items"]
        async with squeezed.nothing_left(), line(squeezed.stack) as one:
            await one.say(head("PUT", target_of(item), f"Content-Type: {WAV}", length))
            answering = asyncio.create_task(one.hear())
            while trickle and not answering.done():
                await one.say(b"1\r\nx\r\n")
                await asyncio.sleep(0.1)
            problem(await answering, 408, "body-too-slow")
        assert (await squeezed.put_again(item, b"abc")).status_code == 201

    @pytest.mark.parametrize("path", POSTS)
    async def test_slow_json_is_cut_off(self, squeezed: Account, path: str) -> None:
        async with squeezed.nothing_left(), line(squeezed.stack) as one:
            key = f"X-API-Key: {squeezed.key}"
            await one.say(head("POST", path, key, "Content-Length: 1000") + b"{")
            problem(await one.hear(), 408, "body-too-slow")

    async def test_an_upload_url_expires_when_it_says(self, squeezed: Account) -> None:
        asked_at = int(datetime.now(UTC).timestamp())
        presigned = await squeezed.presign("a.wav")
        answered_at = datetime.now(UTC).timestamp()
        expiry = int(token_of(presigned["items"][0]).partition(".")[0])
        assert asked_at <= expiry - LIFETIME_SECONDS <= answered_at
        assert expiry - answered_at <= presigned["expires_in_seconds"] <= LIFETIME_SECONDS


async def test_no_log_tells_a_secret(stack: Stack, narrow: Stack, caller: Account) -> None:
    """Comes last: by now the logs have seen everything above."""
    presigned = await caller.uploaded(noise(10))
    await caller.http.get("/jsonui", params={"key": caller.key})
    problem(await caller.put(presigned["items"][0], noise(10)), 400, "upload-token-used")
    problem(await caller.http.get(f"/{uuid.uuid4()}", params={"key": caller.key}), 404)

    def secrets_in(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set().union(*(secrets_in(one) for one in value.values()))
        return {value}

    for one in (stack, narrow):
        known = secrets_in(json.loads((one.data / "credentials.json").read_text()))
        secrets = known | keys | upload_tokens | {one.key}
        logs = list((one.data / "logs").glob("*.log"))
        assert logs
        for log in logs:
            text = log.read_text(errors="replace")
            told = sorted(secret[:6] for secret in secrets if secret in text)
            assert not told, f"{log.name} tells {told}"
