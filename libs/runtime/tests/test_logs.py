"""No secret reaches a log line, whatever way it takes."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.logs import scrub, scrub_text

SECRET = "hunter2-very-secret"
SIGNED = (
    "http://127.0.0.1:9000/media/tenants/dev/a.wav?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    f"&X-Amz-Credential={SECRET}%2F20261120&X-Amz-Date=20261120T000000Z"
    f"&X-Amz-SignedHeaders=host&X-Amz-Signature={SECRET}"
)


@pytest.mark.parametrize(
    "text",
    [
        f"GET /api/v1/events?key={SECRET} HTTP/1.1",
        f"PUT /upload/upl_1?token={SECRET}",
        f"/x?a=b&access_token={SECRET}&c=d",
        f"/x?TOKEN={SECRET}",
        f"GET /r/00000000-0000-7000-8000-000000000000/{SECRET}.mp3",
        f"Authorization: Bearer {SECRET}",
        f"bearer {SECRET}",
        f"Basic {SECRET}==",
        f"postgresql://catalog:{SECRET}@127.0.0.1:5432/catalog",
        f"nats://a:{SECRET}@one:4222,nats://b:{SECRET}@two:4222",
        SIGNED,
        f"Unavailable('no answer from {SIGNED}')",
        f'{{"url": "{SIGNED}"}}',
    ],
)
def test_text_is_scrubbed(text: str) -> None:
    assert SECRET not in scrub_text(text)
    assert "***" in scrub_text(text)


def test_what_surrounds_a_secret_stays_readable() -> None:
    assert scrub_text("/x?a=b&key=secret1&c=d") == "/x?a=b&key=***&c=d"
    assert scrub_text("postgresql://me:pw@host/db") == "postgresql://me:***@host/db"
    assert "X-Amz-Date=20261120T000000Z" in scrub_text(SIGNED)


@pytest.mark.parametrize(
    "text",
    [
        "recording rec_1 is completed",
        "http://127.0.0.1:8000/api/v1/batches?limit=5&cursor=abc",
        "the key tenants/dev/recordings/2026/11/20/rec_1/a.wav",
        "12:30:00 at host@example",
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert scrub_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "nats_password",
        "S3_SECRET_KEY",
        "token",
        "Authorization",
        "X-API-Key",
        "api_key",
        "apikey",
        "Set-Cookie",
        "signature",
        "s3_credential",
    ],
)
def test_fields_are_scrubbed_by_name_at_any_depth(name: str) -> None:
    value: Any = {"request": [{"headers": ({name: SECRET, "path": "/x"},)}]}
    assert scrub(value) == {"request": [{"headers": [{name: "***", "path": "/x"}]}]}


@pytest.mark.parametrize("name", ["key", "upload_id", "status", "token_kind", "seconds"])
def test_fields_that_only_sound_alike_stay(name: str) -> None:
    assert scrub({name: "plain"}) == {name: "plain"}


@given(st.text())
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    assert scrub_text(scrub_text(text)) == scrub_text(text)


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False))
def test_what_is_not_text_stays_as_it_is(value: object) -> None:
    assert scrub(value, "seconds") == value


PROGRAM = """
import logging, sys
import structlog
from sluice_runtime.logs import set_up_logs
from sluice_runtime.trace import Trace, tracing
set_up_logs("gateway", "INFO")
secret, signed = sys.argv[1:]
log = structlog.get_logger("test")
with tracing(Trace("c1", "00-1")):
    log.info("one", token=secret, url=signed)
logging.getLogger("other").warning("asked %s", signed)
try:
    raise RuntimeError(f"no answer from {signed}")
except RuntimeError:
    log.exception("two", headers={"authorization": secret})
    logging.getLogger("other").exception("three")
log.debug("too chatty")
"""


def test_every_line_is_json_named_traced_and_scrubbed() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, SECRET, SIGNED], capture_output=True, text=True, check=True
    )
    assert SECRET not in run.stderr + run.stdout
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["service"] for line in lines] == ["gateway"] * 4
    assert [line["level"] for line in lines] == ["info", "warning", "error", "error"]
    assert lines[0]["correlation_id"] == "c1"
    assert "correlation_id" not in lines[1]
    assert "RuntimeError" in lines[2]["exception"]
    assert "RuntimeError" in lines[3]["exception"]
