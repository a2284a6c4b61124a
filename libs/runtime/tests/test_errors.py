"""Planned failures travel between services and become honest HTTP answers."""

import json

import pytest

from sluice_contracts.base import Contract
from sluice_contracts.questions import (
    CheckDatabase,
    Failure,
    FailureDetail,
    PartState,
)
from sluice_runtime.errors import Conflict, NotFound, Rejected, SluiceError, Unavailable, revive
from sluice_runtime.rpc import _answer, _read_reply
from sluice_runtime.web import PROBLEM_TYPE, STATUS, answer_failure

KINDS = (NotFound, Conflict, Rejected, Unavailable)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [None, 7])
def test_a_failure_comes_back_as_it_was(kind: type[SluiceError], after: int | None) -> None:
    error = kind("Es geht nicht: 50 %", code="some-code", retry_after_seconds=after)
    back = revive(FailureDetail.model_validate_json(error.detail().model_dump_json()))
    assert type(back) is kind
    assert (str(back), back.code) == (str(error), "some-code")
    assert back.retry_after_seconds == error.retry_after_seconds


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_has_a_code_of_its_kind(kind: type[SluiceError]) -> None:
    assert kind("x").code == kind.code
    assert kind("x", code="other").code == "other"
    assert kind("y").code == kind.code


def test_the_bug_of_another_service_is_our_unavailability() -> None:
    told = FailureDetail(failure=Failure.BUG, code="internal-error", detail="oops")
    back = revive(told)
    assert type(back) is Unavailable
    assert back.retry_after_seconds == 2


def test_what_is_away_says_when_to_come_back() -> None:
    assert Unavailable("away").retry_after_seconds == 2


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_a_status(failure: Failure) -> None:
    assert STATUS[failure] >= 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (Rejected("x"), 422),
        (Unavailable("x"), 503),
        (Rejected("x", code="upload-token-used"), 400),
        (Rejected("x", code="body-too-large"), 413),
        (Rejected("x", code="body-too-slow"), 408),
        (Rejected("x", code="unauthorized"), 401),
        (Rejected("x", code="forbidden"), 403),
        (Unavailable("x", code="too-many-uploads", retry_after_seconds=1), 429),
    ],
)
def test_a_failure_becomes_a_problem(error: SluiceError, status: int) -> None:
    answer = answer_failure(error, "/api/v1/x")
    problem = json.loads(answer.body)
    assert answer.status_code == problem["status"] == status
    assert answer.media_type == PROBLEM_TYPE
    assert problem["code"] == error.code
    assert problem["type"].endswith("/" + error.code)
    assert problem["instance"] == "/api/v1/x"
    assert problem["retryable"] is (error.retry_after_seconds is not None)
    assert ("retry-after" in answer.headers) is problem["retryable"]
    assert ("www-authenticate" in answer.headers) is (status == 401)


QUESTION = CheckDatabase()
ASKED = QUESTION.model_dump_json().encode()
ROOM = 2**20


async def test_an_answer_arrives() -> None:
    async def handle(_: CheckDatabase) -> PartState:
        return PartState(works=True)

    assert _read_reply(QUESTION, await _answer(CheckDatabase, handle, ASKED, most_bytes=ROOM)).works


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failing_handler_answers_with_its_failure(kind: type[SluiceError]) -> None:
    async def handle(_: CheckDatabase) -> PartState:
        raise kind("no", code="a-code", retry_after_seconds=3)

    reply = await _answer(CheckDatabase, handle, ASKED, most_bytes=ROOM)
    with pytest.raises(kind, match="no") as caught:
        _read_reply(QUESTION, reply)
    assert (caught.value.code, caught.value.retry_after_seconds) == ("a-code", 3)


async def test_a_bug_answers_too_and_tells_nothing_of_itself() -> None:
    async def handle(_: CheckDatabase) -> PartState:
        raise KeyError("/secret/path")

    reply = await _answer(CheckDatabase, handle, ASKED, most_bytes=ROOM)
    assert b"secret" not in reply
    with pytest.raises(Unavailable):
        _read_reply(QUESTION, reply)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_malformed_question_is_answered(body: bytes) -> None:
    async def handle(_: CheckDatabase) -> PartState:
        raise AssertionError("not reached")

    with pytest.raises(Rejected) as caught:
        _read_reply(QUESTION, await _answer(CheckDatabase, handle, body, most_bytes=ROOM))
    assert caught.value.code == "invalid-question"


class Long(Contract):
    text: str


async def test_an_answer_that_no_message_can_hold_is_a_clear_refusal() -> None:
    async def handle(_: CheckDatabase) -> Long:
        return Long(text="é" * 1000)

    fitting = len('{"answer":{"text":""}}') + 2000
    reply = await _answer(CheckDatabase, handle, ASKED, most_bytes=fitting)
    assert len(reply) == fitting
    reply = await _answer(CheckDatabase, handle, ASKED, most_bytes=fitting - 1)
    with pytest.raises(Rejected) as caught:
        _read_reply(QUESTION, reply)
    assert caught.value.code == "answer-too-large"
