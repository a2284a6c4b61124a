"""What storage does, on a bucket in memory: twice, late, and with the store or the bus away."""

import hashlib
from datetime import timedelta, timezone

import pytest

from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import (
    Fact,
    MultipartSession,
    ObjectCheckStarted,
    ObjectDamaged,
    ObjectDeleted,
    ObjectDiscarded,
    ObjectRejected,
    ObjectStored,
    ObjectVerified,
    Part,
    RecordingRegistered,
    RecordingUpload,
    StoredBytes,
    UploadReceived,
)
from sluice_contracts.questions import (
    AbandonUpload,
    BeginUpload,
    CheckStore,
    LinkObject,
    ListFoundObjects,
    PlaceItem,
    PlaceRecordings,
    RemoveObject,
    RestateObject,
    SignParts,
)
from sluice_runtime.errors import Conflict, NotFound, Unavailable
from sluice_storage.domain import description_key, registration_key
from sluice_storage.ports import Deps
from sluice_storage.usecases.objects import check_recording, delete_object, link_object
from sluice_storage.usecases.registrations import keep_registrations
from sluice_storage.usecases.upkeep import (
    check_store,
    list_found,
    remove_object,
    restate_object,
)
from sluice_storage.usecases.uploads import (
    abandon_upload,
    begin_upload,
    finish_upload,
    place_recordings,
    sign_parts,
)

from .fakes import MIB, NOW, FakeObjects, FakeWorld, deps_of

KEY = "tenants/dev/recordings/2026/11/20/rec_00000001/a.wav"
LATER = NOW + timedelta(seconds=5)
DATA = b"RIFF\x24\x08\x00\x00WAVEfmt " + b"x" * 100
REPLY_TO = "sluice.live.v1.reply.i.upl_00000001"
UPLOAD = "upl_00000001"


def told(fact: Fact, event_id: str = "e1") -> Event[Fact]:
    return wrap(fact, event_id=event_id, source="test", at=NOW)


def bytes_of(data: bytes) -> StoredBytes:
    return StoredBytes(
        bucket="media",
        key=KEY,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content_type="audio/wav",
    )


def received(data: bytes = DATA, multipart: MultipartSession | None = None) -> UploadReceived:
    return UploadReceived(
        tenant="dev",
        upload_id=UPLOAD,
        bytes=bytes_of(data),
        multipart=multipart,
        registration=RecordingUpload(
            batch_id="rb_00000001",
            recording_id="rec_00000001",
            filename="a.wav",
            created_by="development",
        ),
        claim_id="clm_00000001",
        received_at=NOW,
        reply_to=REPLY_TO,
    )


def registered(data: bytes = DATA) -> RecordingRegistered:
    return RecordingRegistered(
        tenant="dev",
        recording_id="rec_00000001",
        batch_id="rb_00000001",
        upload_id=UPLOAD,
        client_item_id="item-1",
        data={"title": "Anhörung"},
        bytes=bytes_of(data),
        registered_at=NOW,
    )


async def keep(objects: FakeObjects, world: FakeWorld, deps: Deps) -> None:
    """Bytes that were received, finished and registered."""
    await objects.write(KEY, DATA, "audio/wav")
    await finish_upload(told(received()), deps)
    (stored,) = world.facts()
    assert isinstance(stored, ObjectStored)
    await keep_registrations([told(stored, "e1-stored")], deps)


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


class TestBeginning:
    async def test_a_small_body_gets_one_url(self, objects: FakeObjects, world: FakeWorld) -> None:
        asked = BeginUpload(key=KEY, content_type="audio/wav", size_bytes=8 * MIB)
        begun = await begin_upload(asked, deps_of(objects, world))
        assert begun.put_url is not None
        assert begun.put_url.startswith(f"http://store/media/{KEY}?PUT")
        assert begun.session_id is None
        assert not objects.sessions

    @pytest.mark.parametrize(("size", "urls"), [(8 * MIB + 1, 2), (500 * MIB, 16), (None, 16)])
    async def test_a_large_or_unmeasured_body_gets_a_session(
        self, objects: FakeObjects, world: FakeWorld, size: int | None, urls: int
    ) -> None:
        asked = BeginUpload(key=KEY, content_type="audio/wav", size_bytes=size)
        begun = await begin_upload(asked, deps_of(objects, world))
        assert begun.put_url is None
        assert begun.session_id in objects.sessions
        assert [part.number for part in begun.parts] == list(range(1, urls + 1))

    async def test_more_parts_are_signed_for_their_session(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        asked = SignParts(key=KEY, session_id="s1", numbers=(17, 18))
        signed = await sign_parts(asked, deps_of(objects, world))
        assert [part.number for part in signed.parts] == [17, 18]
        assert "partNumber=18&uploadId=s1" in signed.parts[1].url


class TestPlacing:
    @pytest.mark.parametrize(("lifetime", "is_signed"), [(600, True), (840, True), (3600, False)])
    async def test_places_are_signed_when_a_signature_lives_long_enough(
        self, objects: FakeObjects, world: FakeWorld, lifetime: int, is_signed: bool
    ) -> None:
        items = (PlaceItem(recording_id="rec_00000001", filename="../a.wav"),)
        day = NOW.astimezone(timezone(timedelta(hours=14)))  # tomorrow there, today in UTC
        asked = PlaceRecordings(tenant="dev", day=day, lifetime_seconds=lifetime, items=items)
        places = await place_recordings(asked, deps_of(objects, world))
        assert (places.bucket, places.keys) == ("media", (KEY,))
        assert [url is not None for url in places.put_urls] == [is_signed]


class TestFinishing:
    async def test_bytes_that_arrived_are_said_to_be_stored(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        await finish_upload(told(received()), deps_of(objects, world))
        (stored,) = world.facts()
        assert isinstance(stored, ObjectStored)
        assert stored.bytes == bytes_of(DATA)
        assert (stored.detected_type or "").startswith("audio/")
        assert stored.description is None
        assert list(objects.held) == [KEY]
        assert not world.replies, "the gateway has seen a single PUT to its end itself"

    async def test_parts_become_one_object_and_a_repeat_changes_nothing(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        deps = deps_of(objects, world)
        session = await objects.start_session(KEY, "audio/wav")
        objects.parts[session] = {1: DATA[:50], 2: DATA[50:]}
        parts = (Part(number=1, etag="a"), Part(number=2, etag="b"))
        fact = received(multipart=MultipartSession(session_id=session, parts=parts))
        await finish_upload(told(fact), deps)
        before = dict(objects.held)
        await finish_upload(told(fact), deps)
        assert objects.held == before
        assert len(world.announced) == 2
        assert len(world.facts()) == 1
        assert {(to, said.state) for to, said in world.replies} == {(REPLY_TO, "stored")}

    @pytest.mark.parametrize(
        ("held", "code"), [(None, "bytes-lost"), (b"", "size-mismatch"), (b"x", "size-mismatch")]
    )
    async def test_what_is_not_what_was_sent_is_refused_and_nothing_deleted(
        self, objects: FakeObjects, world: FakeWorld, held: bytes | None, code: str
    ) -> None:
        if held is not None:
            await objects.write(KEY, held, "audio/wav")
        await finish_upload(told(received()), deps_of(objects, world))
        (refused,) = world.facts()
        assert isinstance(refused, ObjectRejected)
        assert (refused.code, refused.claim_id) == (code, "clm_00000001")
        assert refused.reply_to == REPLY_TO
        assert list(objects.held) == ([] if held is None else [KEY]), "it may be another attempt's"

    async def test_a_join_that_may_go_on_is_not_called_lost(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        session = MultipartSession(session_id="gone", parts=(Part(number=1, etag="a"),))
        with pytest.raises(Unavailable):
            await finish_upload(told(received(multipart=session)), deps_of(objects, world))
        assert not world.announced

    async def test_with_the_store_away_nothing_is_said(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.away = True
        with pytest.raises(Unavailable):
            await finish_upload(told(received()), deps_of(objects, world))
        assert not world.announced
        assert not world.replies

    async def test_with_the_bus_away_no_gateway_hears_a_promise(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        world.away = True
        with pytest.raises(Unavailable):
            await finish_upload(told(received()), deps_of(objects, world))
        assert not world.replies


class TestAbandoning:
    async def test_a_session_is_ended(self, objects: FakeObjects, world: FakeWorld) -> None:
        session = await objects.start_session(KEY, "audio/wav")
        asked = AbandonUpload(key=KEY, session_id=session, not_after=LATER)
        await abandon_upload(asked, deps_of(objects, world))
        await abandon_upload(asked, deps_of(objects, world))
        assert not objects.sessions

    async def test_bytes_nobody_announced_are_removed(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        asked = AbandonUpload(key=KEY, not_after=LATER)
        await abandon_upload(asked, deps_of(objects, world))
        assert not objects.held

    async def test_it_is_refused_once_somebody_else_may_have_the_claim(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        asked = AbandonUpload(key=KEY, not_after=NOW - timedelta(seconds=1))
        with pytest.raises(Conflict):
            await abandon_upload(asked, deps_of(objects, world))
        assert KEY in objects.held


class TestChecking:
    async def test_good_bytes_are_proven_and_the_description_is_kept(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        for _ in range(2):
            await check_recording(told(registered()), deps_of(objects, world))
        assert [type(fact) for fact in world.facts()] == [ObjectCheckStarted, ObjectVerified]
        assert "Anhörung" in objects.held[description_key(KEY)][0].decode()

    @pytest.mark.parametrize(
        ("held", "code"),
        [(None, "object-missing"), (DATA[:-1] + b"y", "digest-mismatch"), (b"", "digest-mismatch")],
    )
    async def test_bytes_that_changed_are_found_out(
        self, objects: FakeObjects, world: FakeWorld, held: bytes | None, code: str
    ) -> None:
        if held is not None:
            await objects.write(KEY, held, "audio/wav")
        await check_recording(told(registered()), deps_of(objects, world))
        damaged = world.facts()[-1]
        assert isinstance(damaged, ObjectDamaged)
        assert damaged.code == code


class TestDeleting:
    async def test_an_object_goes_with_everything_beside_it_and_again(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        for key in (KEY, registration_key(KEY), description_key(KEY)):
            await objects.write(key, b"x", "x/y")
        fact = ObjectDiscarded(tenant="dev", upload_id=UPLOAD, bucket="media", key=KEY)
        for _ in range(2):
            await delete_object(told(fact), deps_of(objects, world))
        assert not objects.held
        assert world.facts() == [ObjectDeleted(tenant="dev", upload_id=UPLOAD, key=KEY)]

    @pytest.mark.parametrize("state", ["expected", "stored", "damaged"])
    async def test_what_has_an_owner_is_not_removed(
        self, objects: FakeObjects, world: FakeWorld, state: str
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        world.own(KEY, state)
        with pytest.raises(Conflict):
            await remove_object(RemoveObject(key=KEY), deps_of(objects, world))
        assert KEY in objects.held

    @pytest.mark.parametrize("state", [None, "discarded"])
    async def test_what_nobody_owns_is_removed(
        self, objects: FakeObjects, world: FakeWorld, state: str | None
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        if state:
            world.own(KEY, state)
        await remove_object(RemoveObject(key=KEY), deps_of(objects, world))
        assert not objects.held

    async def test_nothing_is_removed_on_a_guess(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        await objects.write(KEY, DATA, "audio/wav")
        world.away = True
        with pytest.raises(Unavailable):
            await remove_object(RemoveObject(key=KEY), deps_of(objects, world))
        assert KEY in objects.held


class TestRestating:
    async def test_an_acknowledged_object_is_said_again_with_its_description(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        deps = deps_of(objects, world)
        await keep(objects, world, deps)
        await check_recording(told(registered(), "e2"), deps)
        world.announced.clear()
        await restate_object(RestateObject(key=KEY), deps)
        await restate_object(RestateObject(key=KEY), deps)
        first, second = world.facts()  # two ids: each time it is news
        assert first == second
        assert isinstance(first, ObjectStored)
        assert first.description is not None
        assert first.description.data == {"title": "Anhörung"}
        assert first.reply_to is None

    @pytest.mark.parametrize("missing", ["object", "registration", "bytes"])
    async def test_what_is_not_there_as_registered_is_not_said(
        self, objects: FakeObjects, world: FakeWorld, missing: str
    ) -> None:
        deps = deps_of(objects, world)
        await keep(objects, world, deps)
        if missing == "object":
            await objects.delete(KEY)
        elif missing == "registration":
            await objects.delete(registration_key(KEY))
        else:
            await objects.write(KEY, DATA[1:], "audio/wav")
        world.announced.clear()
        with pytest.raises(NotFound):
            await restate_object(RestateObject(key=KEY), deps)
        assert not world.announced


async def test_found_objects_carry_their_registration(
    objects: FakeObjects, world: FakeWorld
) -> None:
    deps = deps_of(objects, world)
    await keep(objects, world, deps)
    await objects.write("tenants/dev/unknown", b"x", "x/y")
    found = (await list_found(ListFoundObjects(), deps)).objects
    assert [one.key for one in found] == [KEY, "tenants/dev/unknown"]
    assert found[0].registration is not None
    assert found[0].registration.upload_id == UPLOAD
    assert found[1].registration is None
    rest = await list_found(ListFoundObjects(after=KEY, limit=1), deps)
    assert [one.key for one in rest.objects] == ["tenants/dev/unknown"]


async def test_a_link_carries_our_type_and_disposition(
    objects: FakeObjects, world: FakeWorld
) -> None:
    asked = LinkObject(key=KEY, content_type="audio/wav", disposition="inline")
    link = await link_object(asked, deps_of(objects, world))
    wanted = "response-content-type=audio/wav&response-content-disposition=inline"
    assert link.internal_url.startswith(f"http://store/media/{KEY}?GET&900&")
    assert link.public_url.startswith(f"https://public/media/{KEY}?GET&900&")
    assert link.internal_url.endswith(wanted)
    assert link.public_url.endswith(wanted)


@pytest.mark.parametrize("away", [False, True])
async def test_the_store_is_asked_whether_it_takes_bytes(
    objects: FakeObjects, world: FakeWorld, away: bool
) -> None:
    objects.away = away
    assert (await check_store(CheckStore(), deps_of(objects, world))).works is not away
