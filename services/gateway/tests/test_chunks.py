"""Chunks at the door: whose they may be, what they are called, and where they go."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice_contracts.api import ChunkForm
from sluice_contracts.facts import ChunkUpload, ObjectStored
from sluice_contracts.questions import (
    AbandonUpload,
    DeviceIdentity,
    PlaceUpload,
    Principal,
    UploadOutcome,
)
from sluice_gateway.usecases.answers import Answer
from sluice_gateway.usecases.chunks import ChunkReceived, chunk_id_of, receive_chunk
from sluice_runtime.errors import Rejected, Unavailable

from .fakes import FORM_KEY, NOW, UPLOAD, FakeStore, FakeWorld

DEVICE = DeviceIdentity(
    device_id=UUID(int=1), point_id=UUID(int=2), register_id=UUID(int=3), is_enabled=True
)
RECORDER = Principal(
    tenant="dev", subject="device:1", scopes=frozenset({"chunks:read"}), device=DEVICE
)
DATA = b"OggS"
REGISTERED = UploadOutcome(upload_id=UPLOAD, state="registered")
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    NOW.replace(year=2000, tzinfo=None), NOW.replace(year=2100, tzinfo=None), timezones=st.just(UTC)
)
digests = st.binary(max_size=9).map(lambda data: hashlib.sha256(data).hexdigest())


def form(**more: Any) -> ChunkForm:
    start = more.pop("start_ts", NOW)
    values = {
        **DEVICE.model_dump(exclude={"is_enabled"}),
        "start_ts": start,
        "end_ts": start + timedelta(minutes=1),
        "codec": "opus",
        "sample_rate": 48_000,
        "channels": 1,
    }
    return ChunkForm.model_validate({**values, **more})


async def receive(world: FakeWorld, data: bytes = DATA, **more: Any) -> ChunkReceived:
    return await receive_chunk(RECORDER, form(**more), data, world.deps())


class TestIds:
    @given(moments, zones, digests)
    def test_the_same_instant_in_another_zone_is_the_same_chunk(
        self, moment: datetime, zone: timezone, digest: str
    ) -> None:
        here, there = form(start_ts=moment), form(start_ts=moment.astimezone(zone))
        assert chunk_id_of(here, digest) == chunk_id_of(there, digest)

    @given(moments, st.integers(1, 10**12), digests)
    def test_another_instant_is_another_chunk_to_the_microsecond(
        self, moment: datetime, later: int, digest: str
    ) -> None:
        other = form(start_ts=moment + timedelta(microseconds=later))
        assert chunk_id_of(form(start_ts=moment), digest) != chunk_id_of(other, digest)

    def test_another_digest_or_device_is_another_chunk(self) -> None:
        digests = [hashlib.sha256(data).hexdigest() for data in (b"", b"x")]
        ids = {
            chunk_id_of(form(device_id=UUID(int=n)), digest) for n in (1, 2) for digest in digests
        }
        assert len(ids) == 4

    def test_ids_stay_as_they_were_given_out(self) -> None:
        digest = hashlib.sha256(DATA).hexdigest()
        assert chunk_id_of(form(), digest) == UUID("5838b841-5ceb-585d-83db-77408bd7ee8a")


class TestReceiving:
    async def test_a_chunk_is_stored_and_told_of_as_what_its_form_says(self) -> None:
        world = FakeWorld(outcomes=[REGISTERED])
        received = await receive(world)
        expected = chunk_id_of(form(), hashlib.sha256(DATA).hexdigest())
        assert received == ChunkReceived(Answer.REGISTERED, expected, FORM_KEY)
        assert list(world.store.whole.values()) == [DATA]
        ((fact, _),) = world.announced
        assert isinstance(fact, ObjectStored)
        assert fact.upload_id == f"upl_{expected.hex}"
        told = fact.registration
        assert isinstance(told, ChunkUpload)
        assert told.model_dump(include=set(ChunkForm.model_fields)) == form().model_dump()
        assert (told.chunk_id, told.created_by, told.created_at) == (expected, "device:1", NOW)

    async def test_a_chunk_that_is_sent_again_has_the_same_id_and_place(self) -> None:
        asked = []
        for start in (NOW, NOW.astimezone(timezone(timedelta(hours=3)))):
            world = FakeWorld(outcomes=[REGISTERED])
            received = await receive(world, start_ts=start)
            (place,) = world.questions(PlaceUpload)
            asked.append((received.chunk_id, place.upload_id))
        assert asked[0] == asked[1]

    async def test_a_silent_catalog_is_no_failure(self) -> None:
        assert (await receive(FakeWorld())).answer is Answer.ACCEPTED

    async def test_what_an_earlier_attempt_left_is_never_removed(self) -> None:
        world = FakeWorld(store=FakeStore(away=True))
        with pytest.raises(Unavailable):
            await receive(world)
        assert not world.questions(AbandonUpload)

    @pytest.mark.parametrize(
        ("codec", "content_type"),
        [
            ("opus", "audio/ogg"),
            ("OPUS", "audio/ogg"),
            ("pcm_s16le", "audio/wav"),
            ("mp3", "audio/mpeg"),
            ("flac", "audio/flac"),
            ("aac", "audio/mp4"),
            ("amr", "application/octet-stream"),
        ],
    )
    async def test_its_type_follows_from_its_codec(self, codec: str, content_type: str) -> None:
        world = FakeWorld(outcomes=[REGISTERED])
        await receive(world, codec=codec)
        ((fact, _),) = world.announced
        assert isinstance(fact, ObjectStored)
        assert fact.bytes.content_type == content_type


class TestRefusals:
    @pytest.mark.parametrize("name", ["device_id", "point_id", "register_id"])
    async def test_a_token_speaks_for_one_device_at_one_place(self, name: str) -> None:
        world = FakeWorld()
        with pytest.raises(Rejected) as caught:
            await receive(world, **{name: UUID(int=9)})
        assert caught.value.code == "foreign-device"
        assert name in str(caught.value)
        assert not world.asked

    async def test_a_key_that_is_no_device_sends_nothing(self) -> None:
        key = RECORDER.model_copy(update={"device": None})
        with pytest.raises(Rejected) as caught:
            await receive_chunk(key, form(), DATA, FakeWorld().deps())
        assert caught.value.code == "foreign-device"

    async def test_an_empty_chunk_is_refused_before_anything_is_asked(self) -> None:
        world = FakeWorld()
        with pytest.raises(Rejected) as caught:
            await receive(world, b"")
        assert caught.value.code == "empty-chunk"
        assert not world.asked

    @pytest.mark.parametrize(
        "wrong",
        [
            {"end_ts": NOW},
            {"end_ts": NOW - timedelta(seconds=1)},
            {"start_ts": NOW.replace(tzinfo=None), "end_ts": NOW},
            {"codec": "../x"},
            {"codec": ""},
            {"codec": "x" * 33},
            {"codec": "opus\n"},
            {"sample_rate": 999},
            {"sample_rate": 768_001},
            {"channels": 0},
            {"channels": 33},
            {"device_id": "nobody"},
        ],
    )
    def test_a_form_that_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            form(**wrong)

    def test_fields_nobody_knows_are_ignored(self) -> None:
        assert form(colour="green") == form()
