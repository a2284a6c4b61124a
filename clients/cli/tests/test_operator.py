"""Replies of services, and what a replayed dead letter carries."""

import base64
import json
from datetime import UTC, datetime
from typing import cast

import pytest
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from sluice_cli.failures import IntegrityError, NetworkError, RefusedError
from sluice_cli.letters import DeadLetter, LetterRow, Letters, LetterView
from sluice_cli.rpc import parse_reply
from sluice_contracts.questions import Done, FindOwners, OwnedObject, OwnedObjects, RemoveObject

REMOVE = RemoveObject(key="k")


def failed(failure: str) -> bytes:
    return json.dumps({"error": {"failure": failure, "code": "c", "detail": "d"}}).encode()


def test_an_answer_becomes_its_model() -> None:
    assert parse_reply(REMOVE, b'{"answer": {}}') == Done()
    owner = OwnedObject(
        key="k", upload_id="upl_12345678", size_bytes=1, sha256=None, state="stored"
    )
    answered = OwnedObjects(objects=(owner,)).model_dump(mode="json")
    body = json.dumps({"answer": answered, "error": None}).encode()
    answer = parse_reply(FindOwners(keys=("k",)), body)
    assert answer.objects == (owner,)


@pytest.mark.parametrize("failure", ["not_found", "conflict", "rejected"])
def test_a_refusal_is_told_as_one(failure: str) -> None:
    with pytest.raises(RefusedError, match=r"d \(c\)"):
        parse_reply(REMOVE, failed(failure))


@pytest.mark.parametrize("failure", ["unavailable", "bug"])
def test_a_service_in_trouble_is_a_network_failure(failure: str) -> None:
    with pytest.raises(NetworkError):
        parse_reply(REMOVE, failed(failure))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"answer": null}'])
def test_no_answer_is_an_integrity_failure(body: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_reply(REMOVE, body)


def letter(body: bytes = b'{"a": 1}', **more: str) -> DeadLetter:
    headers = more | {
        "nats-msg-id": "dlq:SLUICE_EVENTS:catalog-objects:9",
        "sluice-dlq-reason": "exhausted",
        "sluice-dlq-subject": "sluice.v1.t.object.stored.upl_12345678",
        "sluice-dlq-stream": "SLUICE_EVENTS",
        "sluice-dlq-consumer": "catalog-objects",
        "sluice-dlq-deliveries": "5",
        "sluice-dlq-error": "boom",
        "ce-id": "e1",
        "ce-type": "org.sluice.object.stored.v1",
        "content-type": "application/json",
        "traceparent": "00-1-2-01",
    }
    return DeadLetter(7, datetime(2026, 11, 24, tzinfo=UTC), headers, body)


def test_a_replay_keeps_the_event_and_gets_an_id_of_its_own() -> None:
    headers = letter().replay_headers()
    assert headers.pop("Nats-Msg-Id") == "replay:SLUICE_DLQ:7:1795478400000000"
    assert headers == {
        "ce-id": "e1",
        "ce-type": "org.sluice.object.stored.v1",
        "content-type": "application/json",
        "traceparent": "00-1-2-01",
    }


def test_a_replayed_task_still_says_whose_it_is_and_how_urgent() -> None:
    of_a_task = {"tenant": "acme", "task_type": "transcription", "priority": "high"}
    headers = letter(**of_a_task, **{"nats-expected-stream": "X"}).replay_headers()
    assert headers.items() >= of_a_task.items()
    assert "nats-expected-stream" not in headers


class Stream:
    """A stream of dead letters that confirms no deletion."""

    def __init__(self, *, holds: bool) -> None:
        self._holds = holds

    async def delete_msg(self, _stream: str, _sequence: int) -> bool:
        raise APIError(code=400, description="no message found")

    async def get_msg(self, _stream: str, seq: int) -> RawStreamMsg:
        if not self._holds:
            raise NotFoundError(code=404)
        return RawStreamMsg(seq=seq, time=datetime.now(UTC))


async def test_a_letter_that_is_gone_already_needs_no_deletion() -> None:
    await Letters(cast(JetStreamContext, Stream(holds=False))).drop(7)


async def test_a_deletion_nobody_confirmed_is_a_network_failure() -> None:
    """As every failure of this kind it stops none of the letters that follow."""
    with pytest.raises(NetworkError, match="letter 7"):
        await Letters(cast(JetStreamContext, Stream(holds=True))).drop(7)


def test_a_letter_is_shown_with_what_the_parking_service_wrote() -> None:
    row = LetterRow.of(letter())
    assert (row.sequence, row.reason, row.consumer) == (7, "exhausted", "catalog-objects")
    assert (row.deliveries, row.error) == ("5", "boom")


@pytest.mark.parametrize(
    "body",
    [b"\xff", b"", b"[NaN]", b"[1e999]", b'"\\ud800"', b"[" * 300 + b"]" * 300, b"[" * 100_000],
)
def test_a_body_that_is_no_json_is_shown_in_base64(body: bytes) -> None:
    """Nor is what our own words for it could not be read again from."""
    assert LetterView.of(letter()).body == {"a": 1}
    shown = json.loads(LetterView.of(letter(body)).model_dump_json())
    assert (shown["body"], shown["body_base64"]) == (None, base64.b64encode(body).decode())
