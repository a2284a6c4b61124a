"""The sweep: what nobody owns goes when it is old, whatever door it came through."""

from datetime import datetime, timedelta

import pytest

from sluice_contracts.questions import ListFoundObjects
from sluice_runtime.errors import Unavailable
from sluice_storage.domain import description_key, registration_key
from sluice_storage.usecases.upkeep import list_found, sweep

from .fakes import NOW, FakeObjects, FakeWorld, deps_of

OLD = NOW - timedelta(hours=2)
# A key of each door, as `upload_key` lays them out.
THEIRS = (
    "2026/11/20/00000000-0000-0000-0000-000000000001.mp3",
    "audio/p/r/2026-11-20/12/chunk_20261120T120000000Z_x.ogg",
    "development/renders/00000000-0000-0000-0000-000000000001.wav",
    "production/renders/00000000-0000-0000-0000-000000000001.wav",
    "tenants/dev/recordings/2026/11/20/rec_00000001/a.wav",
    "tenants/dev/uploads/2026/11/20/upl_00000001/a.wav",
)


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


async def swept(objects: FakeObjects, world: FakeWorld) -> set[str]:
    """What a sweep removes."""
    before = set(objects.held)
    await sweep(deps_of(objects, world))
    assert set(objects.held) <= before
    return before - set(objects.held)


class TestOrphans:
    async def test_only_old_bytes_that_nobody_acknowledged_or_expects_are_swept(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        cases: dict[str, tuple[datetime, str | None, bool]] = {
            "orphan": (OLD, None, False),
            "young": (NOW, None, False),
            "lost": (OLD, None, True),
            "expected": (OLD, "expected", False),
            "stored": (OLD, "stored", True),
            "damaged": (OLD, "damaged", True),
        }
        for name, (age, state, is_registered) in cases.items():
            key = f"tenants/dev/{name}"
            objects.held[key] = (b"x", age)
            if is_registered:
                objects.held[registration_key(key)] = (b"{}", age)
            if state:
                world.own(key, state)
        assert await swept(objects, world) == {"tenants/dev/orphan"}

    @pytest.mark.parametrize("key", THEIRS)
    async def test_every_door_is_swept(
        self, objects: FakeObjects, world: FakeWorld, key: str
    ) -> None:
        objects.held[key] = (b"x", OLD)
        assert await swept(objects, world) == {key}

    @pytest.mark.parametrize("key", THEIRS)
    async def test_an_object_with_a_registration_is_left_to_reconciliation(
        self, objects: FakeObjects, world: FakeWorld, key: str
    ) -> None:
        for one in (key, registration_key(key), description_key(key)):
            objects.held[one] = (b"{}", OLD)
        assert await swept(objects, world) == set()

    async def test_what_proves_that_the_store_takes_bytes_is_left_alone(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held["health/probe"] = (b"x", OLD)
        objects.held["zebra"] = (b"x", OLD)
        assert await swept(objects, world) == {"zebra"}

    async def test_every_page_is_looked_at_and_ours_are_skipped(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        """Sluice's own objects lie between those of clients, and fill whole pages."""
        for number in range(1201):
            for folder in ("audio/p/r", "tenants/dev"):
                key = f"{folder}/{number:05}"
                objects.held[key] = (b"x", OLD)
                if number % 2:
                    objects.held[registration_key(key)] = (b"{}", OLD)
                    objects.held[description_key(key)] = (b"{}", OLD)
        orphans = {key for key in objects.held if key[-1] in "02468"}
        assert await swept(objects, world) == orphans

    @pytest.mark.parametrize("key", THEIRS)
    async def test_what_may_still_get_an_owner_is_not_swept_however_old_it_is(
        self, objects: FakeObjects, world: FakeWorld, key: str
    ) -> None:
        """After an outage, what arrived before it was acknowledged and is not read yet."""
        objects.held[key] = (b"x", OLD)
        world.unread = True
        with pytest.raises(Unavailable):
            await sweep(deps_of(objects, world))
        assert set(objects.held) == {key}

    async def test_without_the_catalog_nothing_is_swept(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held |= dict.fromkeys(THEIRS, (b"x", OLD))
        world.away = True
        with pytest.raises(Unavailable):
            await sweep(deps_of(objects, world))
        assert set(objects.held) == set(THEIRS)


class TestWhatIsKeptBeside:
    async def test_it_goes_when_its_object_is_gone_and_it_is_old(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        for key in THEIRS:
            for beside in (registration_key(key), description_key(key)):
                objects.held[beside] = (b"{}", OLD)
        young = registration_key("audio/young")
        objects.held[young] = (b"{}", NOW)
        await sweep(deps_of(objects, world))
        assert set(objects.held) == {young}

    @pytest.mark.parametrize("state", ["expected", "stored", "damaged", "discarded"])
    async def test_it_stays_while_the_catalog_knows_the_object(
        self, objects: FakeObjects, world: FakeWorld, state: str
    ) -> None:
        for key in THEIRS:
            objects.held[registration_key(key)] = (b"{}", OLD)
            world.own(key, state)
        assert await swept(objects, world) == set()


class TestSessions:
    async def test_only_old_sessions_that_nobody_expects_are_ended(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        for key, age in (("a", 2), ("b", 2), ("c", 0)):
            objects.now = NOW - timedelta(hours=age)
            await objects.start_session(key, "x/y")
        world.own("b", "expected")
        await sweep(deps_of(objects, world))
        assert {one.key for one in objects.sessions.values()} == {"b", "c"}


class TestFinding:
    async def test_objects_of_every_door_are_found_and_ours_are_not(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        for key in THEIRS:
            objects.held[key] = (b"x", OLD)
            objects.held[description_key(key)] = (b"{}", OLD)
        objects.held["health/probe"] = (b"x", OLD)
        found: list[str] = []
        after = ""
        while True:
            asked = ListFoundObjects(after=after, limit=2)
            page = (await list_found(asked, deps_of(objects, world))).objects
            if not page:
                break
            found += [one.key for one in page]
            after = found[-1]
        assert tuple(found) == tuple(sorted(THEIRS))

    async def test_a_store_of_nothing_but_ours_is_empty(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        for number in range(500):
            objects.held[registration_key(f"audio/{number}")] = (b"{}", NOW)
        assert (await list_found(ListFoundObjects(), deps_of(objects, world))).objects == ()
