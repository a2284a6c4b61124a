"""How routes take forms: refused before the first byte, ended by a slow sender, never stuck."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Request, Response

from sluice_contracts.api import ChunkForm
from sluice_contracts.questions import DeviceIdentity, Principal
from sluice_gateway.forms import Form, FormRules
from sluice_gateway.routes.callers import Forbidden, require
from sluice_gateway.routes.chunks import _own, _recorder, _uploaded
from sluice_gateway.routes.edge import InvalidRequest
from sluice_gateway.routes.forms import form_schema, read_fields, take_form
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.chunks import ChunkReceived
from sluice_runtime.errors import Rejected, SluiceError, Unavailable

from .edges import make_edge
from .fakes import FakeWorld
from .form_bodies import CONTENT_TYPE, field, file, form_of, pieces_of

RULES = FormRules("file", max_file_bytes=100)
DEVICE = DeviceIdentity(
    device_id=UUID(int=1), point_id=UUID(int=2), register_id=UUID(int=3), is_enabled=True
)
RECORDER = Principal(tenant="dev", subject="d", scopes=frozenset({"chunks:read"}), device=DEVICE)
KEY = Principal(tenant="dev", subject="me", scopes=frozenset({"chunks:read"}))
Receive = Callable[[], Awaitable[dict[str, Any]]]


def request(receive: Receive, length: int | None = None) -> Request:
    headers = [(b"content-type", CONTENT_TYPE.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    return Request(scope, receive)


def sending(body: bytes) -> Request:
    messages = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces_of(body, 16)
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    return request(_from(messages), len(body))


def _from(messages: list[dict[str, Any]]) -> Receive:
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return next(waiting)

    return receive


async def unread() -> dict[str, Any]:
    raise AssertionError("was read")


async def silence() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def read(form: Form) -> tuple[bytes, dict[str, str]]:
    data = b"".join([chunk async for chunk in form.file_chunks()])
    return data, await form.finish()


GOOD = form_of(field("a", "1"), file(b"RIFF"), field("b", "2"))


class TestTaking:
    async def test_a_form_is_read_to_its_end(self) -> None:
        taken = await take_form(sending(GOOD), RULES, make_edge(), read)
        assert taken == (b"RIFF", {"a": "1", "b": "2"})

    async def test_a_body_that_says_it_is_too_large_is_not_read(self) -> None:
        with pytest.raises(Rejected) as caught:
            await take_form(request(unread, 2 * 1024**2), RULES, make_edge(), read)
        assert caught.value.code == "body-too-large"
        assert "100 bytes" in str(caught.value)

    async def test_a_body_that_lies_about_its_length_is_cut_off(self) -> None:
        async def endless() -> dict[str, Any]:
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

        began = form_of(file(b"y"))[:-20]
        messages = iter([{"type": "http.request", "body": began, "more_body": True}])

        async def receive() -> dict[str, Any]:
            return next(messages, None) or await endless()

        with pytest.raises(Rejected) as caught:
            await take_form(request(receive), RULES, make_edge(), read)
        assert caught.value.code == "body-too-large"

    async def test_with_all_places_taken_nothing_is_read(self) -> None:
        at = make_edge(places=1)
        with at.uploads.place(), pytest.raises(Unavailable) as caught:
            await take_form(request(unread), RULES, at, read)
        assert caught.value.code == "too-many-uploads"
        assert caught.value.retry_after_seconds

    async def test_a_place_is_given_back_however_it_ends(self) -> None:
        at = make_edge(places=1)

        async def refusing(_: Form) -> None:
            raise Rejected("no", code="invalid-request")

        for _ in range(3):
            with pytest.raises(Rejected):
                await take_form(sending(GOOD), RULES, at, refusing)
        assert await take_form(sending(GOOD), RULES, at, read)

    async def test_a_sender_that_is_too_slow_is_told_so(self) -> None:
        world = FakeWorld(min_rate_bytes=1000, min_rate_seconds=0.01)
        async with asyncio.timeout(5):
            with pytest.raises(Rejected) as caught:
                await take_form(request(silence), RULES, make_edge(world), read)
        assert caught.value.code == "body-too-slow"

    @pytest.mark.parametrize("at", [0, 1, 3])
    async def test_a_sender_that_leaves_gets_an_answer_nobody_reads(self, at: int) -> None:
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": True}
            for piece in list(pieces_of(GOOD, 30))[:at]
        ]
        leaving = _from([*messages, {"type": "http.disconnect"}])
        taken = await take_form(request(leaving), RULES, make_edge(), read)
        assert isinstance(taken, Response)
        assert taken.status_code == 400

    async def test_what_is_no_form_is_refused(self) -> None:
        plain = request(unread)
        plain.scope["headers"] = [(b"content-type", b"application/json")]
        with pytest.raises(SluiceError):
            await take_form(plain, RULES, make_edge(), read)


class TestFields:
    def test_what_is_wrong_is_told_field_by_field_and_never_repeated(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_fields(ChunkForm, {"device_id": "a-secret", "channels": "0"})
        fields = {error.field for error in caught.value.errors}
        assert {"device_id", "channels", "point_id", "start_ts"} <= fields
        assert "a-secret" not in str([error.reason for error in caught.value.errors])

    def test_the_form_of_a_door_names_its_fields_and_its_file(self) -> None:
        body = form_schema(ChunkForm, "chunk_file")["requestBody"]
        schema = body["content"]["multipart/form-data"]["schema"]
        assert {*ChunkForm.model_fields, "chunk_file"} == set(schema["properties"])
        assert {*ChunkForm.model_fields, "chunk_file"} == set(schema["required"])


class Known:
    """Everybody is one principal."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def resolve(self, token: str) -> Principal | None:
        return self._principal


async def refusal(scope: str | None, principal: Principal) -> str | None:
    """Why a caller is not let in; None for one who is."""
    asking = request(unread)
    asking.scope["headers"] = [(b"x-api-key", b"token")]
    asking.scope["app"] = app = FastAPI()
    app.state.edge = make_edge(principals=Known(principal))
    try:
        await require(scope)(asking, None, None)
    except SluiceError as error:
        return error.code
    return None


class TestWhoMay:
    def test_a_device_sends_chunks_and_a_key_does_not(self) -> None:
        assert _recorder(RECORDER) == RECORDER
        with pytest.raises(Forbidden) as caught:
            _recorder(KEY)
        assert caught.value.code == "forbidden"

    async def test_a_device_that_is_disabled_is_told_so_at_every_door(self) -> None:
        disabled = RECORDER.model_copy(
            update={
                "device": DEVICE.model_copy(update={"is_enabled": False}),
                "scopes": frozenset(),
            }
        )
        for asked in (None, "chunks:read", "admin"):
            assert await refusal(asked, disabled) == "device-disabled"
        assert await refusal(None, RECORDER) is None
        assert await refusal("chunks:read", RECORDER) is None
        assert await refusal("admin", RECORDER) == "forbidden"

    def test_a_device_sees_what_it_sent_and_a_key_sees_all(self) -> None:
        mine, other = DEVICE.device_id, UUID(int=9)
        assert _own(RECORDER, None) == _own(RECORDER, mine) == mine
        assert (_own(KEY, None), _own(KEY, other)) == (None, other)
        with pytest.raises(Forbidden):
            _own(RECORDER, other)


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [(Answer.REGISTERED, 200, b'"status":"ok"'), (Answer.ACCEPTED, 202, b'"status":"accepted"')],
)
def test_queued_is_only_said_when_the_task_is_durable(
    answer: Answer, status: int, word: bytes
) -> None:
    told = _uploaded(ChunkReceived(answer, UUID(int=1), "audio/x.ogg"))
    assert told.status_code == status
    assert word in told.body
    assert (b'"queued":true' in told.body) is (answer is Answer.REGISTERED)
    assert ("location" in told.headers) is (answer is Answer.ACCEPTED)
