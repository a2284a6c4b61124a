"""What lies beside objects: written behind the answer, and gone with the object."""

import hashlib
from typing import Any

import pytest

from sluice_contracts.envelope import Event, wrap
from sluice_contracts.facts import ObjectDiscarded, ObjectStored, RecordingUpload, StoredBytes
from sluice_runtime.errors import Unavailable
from sluice_storage.domain import registration_key
from sluice_storage.ports import Erased
from sluice_storage.usecases.objects import delete_object, erase
from sluice_storage.usecases.registrations import keep_registrations, read_registration

from .fakes import NOW, FakeObjects, FakeWorld, deps_of


def key(n: int = 1) -> str:
    return f"tenants/dev/recordings/2026/11/20/rec_{n:08}/a.wav"


def told(fact: Any) -> Event[Any]:
    return wrap(fact, event_id=f"e-{fact.upload_id}", source="storage", at=NOW)


def stored(n: int = 1) -> Event[ObjectStored]:
    return told(
        ObjectStored(
            tenant="dev",
            upload_id=f"upl_{n:08}",
            bytes=StoredBytes(
                bucket="media",
                key=key(n),
                size_bytes=1,
                sha256=hashlib.sha256(b"x").hexdigest(),
                content_type="audio/wav",
            ),
            etag="e",
            registration=RecordingUpload(
                batch_id="rb_00000001",
                recording_id=f"rec_{n:08}",
                filename="Anhörung.wav",
                created_by="me",
            ),
            claim_id="clm_1",
            stored_at=NOW,
            reply_to="sluice.live.v1.reply.i.x",
        )
    )


async def test_what_was_stored_is_written_down_beside_it_once_for_all() -> None:
    objects, world = FakeObjects(), FakeWorld()
    for _ in range(2):
        await keep_registrations([stored(1), stored(2)], deps_of(objects, world))
    assert set(objects.held) == {registration_key(key(n)) for n in (1, 2)}
    kept = await read_registration(key(1), deps_of(objects, world))
    assert kept is not None
    fact = stored(1).data
    assert (kept.upload_id, kept.bytes, kept.etag) == (fact.upload_id, fact.bytes, fact.etag)
    assert kept.registration == fact.registration


async def test_nothing_is_known_of_what_was_never_written_down() -> None:
    assert await read_registration(key(), deps_of(FakeObjects(), FakeWorld())) is None


async def test_with_the_store_away_it_comes_again() -> None:
    objects = FakeObjects(away=True)
    with pytest.raises(Unavailable):
        await keep_registrations([stored()], deps_of(objects, FakeWorld()))


async def test_one_that_fails_does_not_stop_the_others() -> None:
    class Choosy(FakeObjects):
        async def write(self, key: str, data: bytes, content_type: str) -> None:
            if "rec_00000001" in key:
                raise Unavailable("not this one")
            await super().write(key, data, content_type)

    objects = Choosy()
    with pytest.raises(Unavailable):
        await keep_registrations([stored(1), stored(2)], deps_of(objects, FakeWorld()))
    assert set(objects.held) == {registration_key(key(2))}


async def test_an_object_that_was_erased_meanwhile_is_not_written_down() -> None:
    objects = FakeObjects()
    deps = deps_of(objects, FakeWorld())
    gone = ObjectDiscarded(tenant="dev", upload_id="upl_00000001", bucket="media", key=key(1))
    await delete_object(told(gone), deps)
    await keep_registrations([stored(1), stored(2)], deps)
    assert set(objects.held) == {registration_key(key(2))}


@pytest.mark.parametrize("place", [1, 2, 3])
async def test_nothing_stays_however_writing_and_erasing_meet(place: int) -> None:
    class Meeting(FakeObjects):
        """Where a registration is written between two steps of erasing."""

        removals = 0

        async def delete(self, key: str) -> None:
            await super().delete(key)
            self.removals += 1
            if self.removals == place:
                await keep_registrations([stored(1)], deps)

    objects = Meeting(held={key(1): (b"x", NOW)})
    deps = deps_of(objects, FakeWorld())
    await erase(key(1), deps)
    assert objects.removals >= place
    assert objects.held == {}


async def test_an_object_that_came_again_after_it_was_erased_is_written_down() -> None:
    """A chunk that is sent again lies where it lay before."""
    objects = FakeObjects()
    deps = deps_of(objects, FakeWorld())
    deps.erased.add(key(1))
    objects.held[key(1)] = (b"again", NOW)
    await keep_registrations([stored(1)], deps)
    assert set(objects.held) == {key(1), registration_key(key(1))}


def test_what_was_erased_long_ago_is_forgotten() -> None:
    erased = Erased(most=3)
    for n in range(5):
        erased.add(str(n))
    assert [str(n) in erased for n in range(5)] == [False, False, True, True, True]
