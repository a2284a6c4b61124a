"""Renders at the door: named for what they are, kept whole or not at all, played by their link."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.api import RenderForm
from sluice_contracts.facts import ObjectStored, RenderUpload, UploadReceived
from sluice_contracts.questions import (
    AbandonUpload,
    GetRender,
    PlaceUpload,
    Principal,
    RenderView,
    UploadOutcome,
)
from sluice_gateway.domain import UploadTokens
from sluice_gateway.ports import Body
from sluice_gateway.routes.renders import _again, link_of
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.renders import (
    NewRender,
    RenderReceived,
    check_content,
    receive_render,
)
from sluice_runtime.errors import NotFound, Rejected, Unavailable

from .edges import make_edge
from .fakes import FORM_KEY, NOW, TOKENS, UPLOAD, FakeStore, FakeWorld, body_of

APP = Principal(tenant="dev", subject="key:app", scopes=frozenset({"renders:write"}))
RENDER = UUID(int=7)
ORIGIN = "https://sluice.test"
MP3 = b"\xff\xfb\x90\x64"
STORED = UploadOutcome(upload_id=UPLOAD, state="stored")
REGISTERED = UploadOutcome(upload_id=UPLOAD, state="registered")


class LateFields:
    """The rest of a form, and whether it has been read."""

    def __init__(self, **fields: Any) -> None:
        self._form = RenderForm(**fields)
        self.times_read = 0

    async def __call__(self) -> RenderForm:
        self.times_read += 1
        return self._form


async def receive(
    world: FakeWorld, *, rest: Body | None = None, fields: Any = None, found: str = "mp3"
) -> RenderReceived:
    render = NewRender(RENDER, "take.mp3", found, MP3, rest)
    return await receive_render(render, APP, fields or LateFields(), world.deps())


class TestContent:
    @pytest.mark.parametrize(
        ("head", "found"),
        [
            (MP3, "mp3"),
            (b"ID3\x04" + bytes(20), "mp3"),
            (b"RIFF\x00\x00\x00\x00WAVEfmt ", "wav"),
            (b"OggS" + bytes(30), "ogg"),
            (b"fLaC" + bytes(30), "flac"),
            (b"\x00\x00\x00\x20ftypM4A " + bytes(20), "m4a"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_audio_is_known_by_its_first_bytes(self, head: bytes, found: str) -> None:
        assert check_content(head) == found

    @pytest.mark.parametrize(
        ("head", "code"), [(b"", "empty-render"), (b"<html>hello</html>", "unsupported-audio")]
    )
    def test_what_is_no_audio_is_refused_with_what_is_taken(self, head: bytes, code: str) -> None:
        with pytest.raises(Rejected) as caught:
            check_content(head)
        assert caught.value.code == code


class TestReceiving:
    async def test_a_held_render_is_stored_as_what_it_is(self) -> None:
        world = FakeWorld(outcomes=[REGISTERED])
        received = await receive(world, fields=LateFields(bitrate=320, duration=45.5))
        assert (received.answer, received.size_bytes) == (Answer.REGISTERED, len(MP3))
        assert received.created_at == NOW
        ((fact, _),) = world.announced
        assert isinstance(fact, ObjectStored)
        assert fact.upload_id == f"upl_{RENDER.hex}"
        assert fact.bytes.content_type == "audio/mpeg"
        assert fact.registration == RenderUpload(
            render_id=RENDER,
            filename="take.mp3",
            format="mp3",
            bitrate=320,
            duration=45.5,
            created_at=NOW,
            created_by="key:app",
        )
        assert world.store.whole == {"http://store/whole": MP3}

    async def test_a_streamed_render_takes_its_fields_from_behind_the_file(self) -> None:
        world = FakeWorld(outcomes=[STORED, REGISTERED])
        fields = LateFields(bitrate=128)

        async def rest() -> AsyncIterator[bytes]:
            for _ in range(3):
                assert not fields.times_read, "the fields come behind the file"
                yield b"xxxx"

        received = await receive(world, rest=rest(), fields=fields)
        assert (received.fields.bitrate, received.size_bytes) == (128, 16)
        (place,) = world.questions(PlaceUpload)
        assert place.size_bytes is None
        ((fact, _),) = world.announced
        assert isinstance(fact, UploadReceived)
        assert isinstance(fact.registration, RenderUpload)
        assert fact.registration.bitrate == 128
        assert fields.times_read == 1

    async def test_a_held_render_that_is_called_otherwise_never_leaves_the_door(self) -> None:
        world = FakeWorld()
        with pytest.raises(Rejected) as caught:
            await receive(world, fields=LateFields(format="flac"))
        assert caught.value.code == "format-mismatch"
        assert not world.asked

    async def test_a_streamed_render_that_is_called_otherwise_is_removed(self) -> None:
        world = FakeWorld()
        with pytest.raises(Rejected) as caught:
            await receive(world, rest=body_of(b"xxxx"), fields=LateFields(format="wav"))
        assert caught.value.code == "format-mismatch"
        (gone,) = world.questions(AbandonUpload)
        assert gone.key == FORM_KEY
        assert not world.announced

    async def test_with_the_catalog_silent_it_is_accepted(self) -> None:
        assert (await receive(FakeWorld())).answer is Answer.ACCEPTED

    async def test_with_the_store_away_nothing_is_said(self) -> None:
        world = FakeWorld(store=FakeStore(away=True))
        with pytest.raises(Unavailable):
            await receive(world)
        assert not world.announced


class TestLinks:
    def test_a_link_is_good_for_its_render_alone(self) -> None:
        capability = TOKENS.sign_render(RENDER)
        assert TOKENS.is_render_of(RENDER, capability)
        assert not TOKENS.is_render_of(UUID(int=8), capability)
        assert not UploadTokens("t" * 32).is_render_of(RENDER, capability)

    @given(st.text(max_size=60))
    def test_nobody_guesses_one(self, guess: str) -> None:
        assert not TOKENS.is_render_of(RENDER, guess)

    def test_the_token_of_an_upload_opens_no_render(self) -> None:
        _, _, mac = TOKENS.sign(str(RENDER), NOW).partition(".")
        assert not TOKENS.is_render_of(RENDER, mac)

    def test_a_link_names_the_render_and_its_format(self) -> None:
        link = link_of(RENDER, "mp3", ORIGIN, make_edge())
        assert link == f"{ORIGIN}/r/{RENDER}/{TOKENS.sign_render(RENDER)}.mp3"


class TestRepeats:
    async def test_a_repeat_is_answered_from_what_was_kept(self) -> None:
        async def found(asked: GetRender) -> RenderView:
            assert asked.tenant == "dev"
            return RenderView(
                render_id=asked.render_id,
                message_id=None,
                filename="take.mp3",
                format="mp3",
                bitrate=None,
                duration=None,
                size_bytes=4,
                sha256="0" * 64,
                content_type="audio/mpeg",
                key=FORM_KEY,
                created_at=NOW,
            )

        answer = await _again(RENDER, APP, ORIGIN, make_edge(FakeWorld(answers={GetRender: found})))
        assert answer.status_code == 200
        assert link_of(RENDER, "mp3", ORIGIN, make_edge()).encode() in bytes(answer.body)

    async def test_of_a_render_that_was_deleted_since_the_repeat_hears_so(self) -> None:
        async def gone(asked: GetRender) -> RenderView:
            raise NotFound(f"There is no render {asked.render_id}.", code="render-not-found")

        with pytest.raises(NotFound, match="idempotency key was deleted") as caught:
            await _again(RENDER, APP, ORIGIN, make_edge(FakeWorld(answers={GetRender: gone})))
        assert caught.value.code == "render-not-found"
