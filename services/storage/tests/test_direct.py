"""Direct uploads as storage sees them: where they go, and whether they came as promised."""

import hashlib
from datetime import timedelta

import pytest

from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import (
    DirectUpload,
    MultipartSession,
    ObjectDiscarded,
    ObjectRejected,
    ObjectStored,
    Part,
    UploadSent,
)
from sluice_contracts.questions import PlaceDirect, PlaceUpload, ShowDirect, SignDirect
from sluice_runtime.errors import Conflict, Unavailable
from sluice_storage.domain import incoming_key
from sluice_storage.usecases.direct import place_direct, seal_upload, show_direct, sign_direct
from sluice_storage.usecases.objects import delete_object

from .fakes import MIB, NOW, FakeObjects, FakeWorld, deps_of

KEY = "tenants/dev/uploads/2026/11/20/upl_00000001/a.wav"
INCOMING = incoming_key(KEY)
UPLOAD = "upl_00000001"
WHAT = DirectUpload(filename="a.wav", created_at=NOW, created_by="me")
DATA = b"RIFF0000WAVE" + b"sound" * 100


def placing(size: int | None) -> PlaceDirect:
    upload = PlaceUpload(
        tenant="dev",
        upload_id=UPLOAD,
        registration=WHAT,
        content_type="audio/wav",
        size_bytes=size,
    )
    return PlaceDirect(upload=upload)


def sent(**changes: object) -> Event[UploadSent]:
    fact = UploadSent.model_validate(
        {
            "tenant": "dev",
            "upload_id": UPLOAD,
            "bucket": "media",
            "key": KEY,
            "content_type": "audio/wav",
            "most_bytes": MIB,
            "registration": WHAT,
            "claim_id": "clm_1",
            "sent_at": NOW,
            **changes,
        }
    )
    return wrap(fact, event_id="one", source="gateway", at=NOW, correlation_id="c")


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


class TestPlacing:
    async def test_what_can_be_sent_again_goes_in_one_put(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        placed = await place_direct(placing(64 * MIB), deps_of(objects, world))
        assert placed.key == KEY
        assert placed.begun.put_url is not None
        assert placed.begun.put_url.startswith(f"https://public/media/{INCOMING}?PUT")
        assert not objects.sessions

    @pytest.mark.parametrize(("size", "count"), [(64 * MIB + 1, 13), (10**12, 100), (None, 16)])
    async def test_what_is_worth_resuming_goes_in_parts(
        self, objects: FakeObjects, world: FakeWorld, size: int | None, count: int
    ) -> None:
        begun = (await place_direct(placing(size), deps_of(objects, world))).begun
        assert begun.session_id in objects.sessions
        assert [part.number for part in begun.parts] == list(range(1, count + 1))
        assert all(part.url.startswith("https://public/") for part in begun.parts)


class TestSigning:
    async def test_a_session_that_was_lost_begins_anew(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        question = SignDirect(key=KEY, content_type="audio/wav", session_id="lost", numbers=(1,))
        signed = await sign_direct(question, deps_of(objects, world))
        assert signed.session_id in objects.sessions
        kept = question.model_copy(update={"session_id": signed.session_id})
        assert (await sign_direct(kept, deps_of(objects, world))).session_id == signed.session_id

    async def test_a_session_that_was_joined_does_not(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held[KEY] = (DATA, NOW)
        question = SignDirect(key=KEY, content_type="audio/wav", session_id="lost", numbers=(1,))
        with pytest.raises(Conflict, match="joined already"):
            await sign_direct(question, deps_of(objects, world))

    async def test_the_store_is_asked_what_is_there(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        session = await objects.start_session(KEY, "audio/wav")
        objects.parts[session] = {2: b"two", 1: b"one!"}
        question = ShowDirect(key=KEY, session_id=session)
        found = await show_direct(question, deps_of(objects, world))
        assert [(one.number, one.size_bytes) for one in found.parts] == [(1, 4), (2, 3)]
        objects.held[KEY] = (DATA, NOW)
        await objects.end_session(KEY, session)
        assert (await show_direct(question, deps_of(objects, world))).size_bytes == len(DATA)

    async def test_what_was_put_is_there_before_and_after_it_is_fetched(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        question = ShowDirect(key=KEY)
        assert (await show_direct(question, deps_of(objects, world))).size_bytes is None
        for key in (INCOMING, KEY):
            objects.held = {key: (DATA, NOW)}
            assert (await show_direct(question, deps_of(objects, world))).size_bytes == len(DATA)


class TestSealing:
    async def test_what_was_read_back_is_what_is_announced(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        session = await objects.start_session(KEY, "audio/wav")
        objects.parts[session] = {1: DATA[:100], 2: DATA[100:]}
        parts = (Part(number=1, etag="e1"), Part(number=2, etag="e2"))
        event = sent(multipart=MultipartSession(session_id=session, parts=parts))
        for _ in range(2):
            await seal_upload(event, deps_of(objects, world))
        (stored,) = world.facts()
        assert isinstance(stored, ObjectStored)
        digest = hashlib.sha256(DATA).hexdigest()
        assert (stored.bytes.size_bytes, stored.bytes.sha256) == (len(DATA), digest)
        assert stored.verified_at == NOW
        assert stored.detected_type == "audio/wav"

    @pytest.mark.parametrize(
        ("promise", "code"),
        [
            ({"size_bytes": 1}, "size-mismatch"),
            ({"most_bytes": 10}, "body-too-large"),
            ({"sha256": ("0" * 64,)}, "digest-mismatch"),
            ({"sha256": (hashlib.sha256(DATA).hexdigest(), "0" * 64)}, "digest-mismatch"),
        ],
    )
    async def test_what_was_not_promised_is_refused_for_good(
        self, objects: FakeObjects, world: FakeWorld, promise: dict[str, object], code: str
    ) -> None:
        objects.held[KEY] = (DATA, NOW)
        await seal_upload(sent(**promise), deps_of(objects, world))
        (rejected,) = world.facts()
        assert isinstance(rejected, ObjectRejected)
        assert (rejected.code, rejected.final) == (code, True)
        assert KEY in objects.held

    @pytest.mark.parametrize("broken_off", [b"", DATA[:50]])
    async def test_what_was_put_is_read_where_nobody_can_change_it(
        self, objects: FakeObjects, world: FakeWorld, broken_off: bytes
    ) -> None:
        """An earlier run may have ended within its copy."""
        objects.held[INCOMING] = (DATA, NOW)
        if broken_off:
            objects.held[KEY] = (broken_off, NOW)
        event = sent(size_bytes=len(DATA))
        await seal_upload(event, deps_of(objects, world))
        assert {key: data for key, (data, _) in objects.held.items()} == {KEY: DATA}
        # Its URL is good for a while, and the fact may come again.
        objects.held[INCOMING] = (bytes(len(DATA)), NOW)
        await seal_upload(event, deps_of(objects, world))
        assert {key: data for key, (data, _) in objects.held.items()} == {KEY: DATA}
        (stored,) = world.facts()
        assert isinstance(stored, ObjectStored)
        assert stored.bytes.sha256 == hashlib.sha256(DATA).hexdigest()

    async def test_a_run_that_said_nothing_leaves_what_was_put(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held[INCOMING] = (DATA, NOW)
        world.away = True
        with pytest.raises(Unavailable):
            await seal_upload(sent(size_bytes=len(DATA)), deps_of(objects, world))
        assert objects.held[INCOMING][0] == DATA

    async def test_bytes_that_change_while_they_are_read_back_are_refused(
        self, world: FakeWorld
    ) -> None:
        """A URL of an earlier version may be for the object itself: size and digest would be those
        of different bodies."""

        class Changing(FakeObjects):
            async def digest(self, key: str) -> tuple[int, str] | None:
                await self.write(key, DATA + b"more", "audio/wav")
                return await super().digest(key)

        objects = Changing()
        objects.held[KEY] = (DATA, NOW)
        await seal_upload(sent(), deps_of(objects, world))
        (rejected,) = world.facts()
        assert isinstance(rejected, ObjectRejected)
        assert (rejected.code, rejected.final) == ("size-mismatch", True)

    async def test_bytes_are_only_called_lost_when_no_join_can_be_under_way(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        parts = MultipartSession(session_id="gone", parts=(Part(number=1, etag="e"),))
        with pytest.raises(Unavailable):
            await seal_upload(sent(multipart=parts), deps_of(objects, world))
        late = sent(multipart=parts, sent_at=NOW - timedelta(minutes=3))
        await seal_upload(late, deps_of(objects, world))
        (rejected,) = world.facts()
        assert isinstance(rejected, ObjectRejected)
        assert (rejected.code, rejected.final) == ("bytes-lost", False)


async def test_the_session_goes_with_what_is_discarded(
    objects: FakeObjects, world: FakeWorld
) -> None:
    session = await objects.start_session(KEY, "audio/wav")
    objects.held |= dict.fromkeys((KEY, INCOMING), (DATA, NOW))
    gone = ObjectDiscarded(
        tenant="dev", upload_id=UPLOAD, bucket="media", key=KEY, session_id=session
    )
    event = wrap(gone, event_id="two", source="catalog", at=NOW, correlation_id="c")
    for _ in range(2):
        await delete_object(event, deps_of(objects, world))
    assert not objects.held
    assert not objects.sessions
