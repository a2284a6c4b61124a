"""Where each door's files lie: by what they are, in UTC, and never where Sluice keeps its own."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.facts import (
    CallUpload,
    ChunkUpload,
    DirectUpload,
    RecordingUpload,
    Registration,
    RenderUpload,
)
from sluice_contracts.questions import PlaceUpload, PlaceUploads
from sluice_storage.domain import (
    DESCRIPTIONS,
    MIB,
    OBJECTS,
    PROBES,
    REGISTRATIONS,
    description_key,
    extension_of,
    is_ours,
    key_beside,
    next_key,
    recording_key,
    registration_key,
    upload_key,
)
from sluice_storage.usecases.uploads import place_uploads

from .fakes import FakeObjects, FakeWorld, deps_of

ONE, TWO, THREE = (UUID(int=n) for n in (1, 2, 3))
# Ten past midnight there, and still yesterday, last year, in UTC.
START = datetime(2027, 1, 1, 0, 10, 20, 345_678, tzinfo=timezone(timedelta(hours=2)))
OURS = (DESCRIPTIONS, REGISTRATIONS, PROBES)
moments = st.datetimes(
    START.replace(year=1, month=6, tzinfo=None),
    START.replace(year=9999, tzinfo=None),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-9))]),
)


def chunk(**more: Any) -> ChunkUpload:
    values = {
        "chunk_id": ONE,
        "device_id": ONE,
        "point_id": TWO,
        "register_id": THREE,
        "start_ts": START,
        "end_ts": START + timedelta(minutes=1),
        "codec": "opus",
        "sample_rate": 48_000,
        "channels": 1,
        "created_at": START,
        "created_by": "device",
    }
    return ChunkUpload.model_validate({**values, **more})


def call(**more: Any) -> CallUpload:
    values = {
        "call_id": ONE,
        "filename": "../../call.mp3",
        "format": "mp3",
        "company_name": "../..",
        "contact_email": "a@b",
        "call_type": "sales",
        "created_at": START,
        "created_by": "me",
    }
    return CallUpload.model_validate({**values, **more})


def render(**more: Any) -> RenderUpload:
    values = {
        "render_id": ONE,
        "filename": "a.wav",
        "format": "wav",
        "created_at": START,
        "created_by": "me",
    }
    return RenderUpload.model_validate({**values, **more})


def direct(**more: Any) -> DirectUpload:
    values = {"filename": "../Ä b.wav", "created_at": START, "created_by": "me"}
    return DirectUpload.model_validate({**values, **more})


def place(registration: Registration, size: int | None = 1) -> PlaceUpload:
    return PlaceUpload(
        tenant="dev",
        upload_id="upl_00000001",
        registration=registration,
        content_type="audio/wav",
        size_bytes=size,
    )


def key_of(registration: Registration, environment: str = "development") -> str:
    return upload_key(place(registration), environment)


class TestLayouts:
    @pytest.mark.parametrize(
        ("registration", "key"),
        [
            (
                chunk(),
                f"audio/{TWO}/{THREE}/2026-12-31/22/chunk_20261231T221020345Z_{ONE}.ogg",
            ),
            (call(), f"2026/12/31/{ONE}.mp3"),
            (render(), f"development/renders/{ONE}.wav"),
            (direct(), "tenants/dev/uploads/2026/12/31/upl_00000001/A_b.wav"),
        ],
        ids=["chunk", "call", "render", "direct"],
    )
    def test_each_door_has_its_own_in_utc(self, registration: Registration, key: str) -> None:
        assert key_of(registration) == key

    def test_a_render_names_its_environment(self) -> None:
        assert key_of(render(), "production") == f"production/renders/{ONE}.wav"

    def test_a_recording_has_its_place_since_it_was_planned(self) -> None:
        told = RecordingUpload(
            batch_id="rb_00000001", recording_id="rec_00000001", filename="a", created_by="me"
        )
        with pytest.raises(AssertionError, match="since it was planned"):
            key_of(told)

    @pytest.mark.parametrize(
        ("micros", "millis"), [(0, "000"), (999, "000"), (1000, "001"), (999_999, "999")]
    )
    def test_milliseconds_are_cut_and_never_carried(self, micros: int, millis: str) -> None:
        assert f"20{millis}Z_" in key_of(chunk(start_ts=START.replace(microsecond=micros)))

    @given(moments, st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]))
    def test_the_same_instant_has_the_same_place_wherever_it_was_written(
        self, moment: datetime, zone: timezone
    ) -> None:
        elsewhere = moment.astimezone(zone)
        end = {"end_ts": moment}
        assert key_of(chunk(start_ts=moment, **end)) == key_of(chunk(start_ts=elsewhere, **end))
        assert key_of(call(created_at=moment)) == key_of(call(created_at=elsewhere))
        assert key_of(direct(created_at=moment)) == key_of(direct(created_at=elsewhere))

    @pytest.mark.parametrize(
        ("codec", "extension"),
        [
            ("opus", "ogg"),
            ("OPUS", "ogg"),
            ("vorbis", "ogg"),
            ("pcm_s16le", "wav"),
            ("PCM", "wav"),
            ("wav", "wav"),
            ("mp3", "mp3"),
            ("flac", "flac"),
            ("aac", "m4a"),
            ("alac", "m4a"),
            ("amr", "bin"),
            ("", "bin"),
            ("../x", "bin"),
        ],
    )
    def test_a_chunk_has_the_extension_of_its_codec(self, codec: str, extension: str) -> None:
        assert extension_of(codec) == extension
        assert key_of(chunk(codec=codec)).endswith(f".{extension}")

    @given(st.text(max_size=255), st.text(max_size=32))
    def test_nothing_a_client_wrote_leads_out_of_its_place(self, name: str, codec: str) -> None:
        assert key_of(chunk(codec=codec)).count("/") == key_of(chunk()).count("/")
        assert key_of(call(filename=name, company_name=name, call_type=name)) == key_of(call())
        assert key_of(render(filename=name)) == key_of(render())
        led = key_of(direct(filename=name))
        assert led.startswith(f"{OBJECTS}dev/uploads/2026/12/31/upl_00000001/")
        assert led.count("/") == key_of(direct()).count("/")
        for key in (key_of(chunk(codec=codec)), led):
            assert not is_ours(key)
            assert ".." not in key.split("/")


THEIRS = [key_of(one) for one in (chunk(), call(), render(), direct())] + [
    recording_key("dev", START, "rec_00000001", "a~b.wav")
]


class TestOurOwn:
    @pytest.mark.parametrize("key", THEIRS)
    def test_what_lies_beside_an_object_is_ours_and_leads_back_to_it(self, key: str) -> None:
        assert not is_ours(key)
        for beside in (registration_key(key), description_key(key)):
            assert is_ours(beside)
            assert key_beside(beside) == key

    @pytest.mark.parametrize("prefix", OURS)
    def test_a_listing_goes_on_behind_all_that_is_ours(self, prefix: str) -> None:
        for name in ("", "a", "zzz/zzz~x.json", "\U0010ffff"):
            after = next_key(prefix + name)
            assert after > prefix + name
            assert not is_ours(after)

    @pytest.mark.parametrize("key", [*THEIRS, "", "health", "healthy/x", "registration", "z"])
    def test_a_listing_of_what_is_theirs_goes_on_where_it_was(self, key: str) -> None:
        assert next_key(key) == key

    @given(st.sampled_from(OURS), st.text(max_size=9), st.text(min_size=1, max_size=20))
    def test_nothing_of_theirs_is_left_out(self, prefix: str, name: str, other: str) -> None:
        if other.encode() > (prefix + name).encode() and not other.startswith(prefix):
            assert other.encode() >= next_key(prefix + name).encode()


class TestPlacing:
    async def test_files_are_placed_in_the_order_they_were_asked_for(self) -> None:
        objects = FakeObjects()
        asked = PlaceUploads(uploads=tuple(place(one) for one in (call(), chunk(), render())))
        placed = (await place_uploads(asked, deps_of(objects, FakeWorld()))).placed
        assert [one.key for one in placed] == [key_of(one) for one in (call(), chunk(), render())]
        assert {one.bucket for one in placed} == {"media"}
        for one in placed:
            assert one.begun.put_url is not None
            assert one.begun.put_url.startswith(f"http://store/media/{one.key}?PUT&900&")
            assert one.vouch_seconds == 60
        assert not objects.sessions, "nothing is reserved"

    @pytest.mark.parametrize("size", [None, 8 * MIB + 1])
    async def test_a_large_or_unmeasured_file_begins_a_session(self, size: int | None) -> None:
        objects = FakeObjects()
        asked = PlaceUploads(uploads=(place(call(), size), place(chunk())))
        large, small = (await place_uploads(asked, deps_of(objects, FakeWorld()))).placed
        assert (large.begun.put_url, small.begun.session_id) == (None, None)
        assert large.begun.session_id in objects.sessions
        assert objects.sessions[large.begun.session_id].key == large.key
        assert [part.number for part in large.begun.parts][:2] == [1, 2]
