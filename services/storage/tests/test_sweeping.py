"""The sweep: what nobody owns goes when it is old, whatever door it came through."""

from datetime import datetime, timedelta

import pytest

from sluice_contracts.questions import ListFoundObjects, RemoveObject
from sluice_runtime.errors import Conflict, Unavailable
from sluice_storage.domain import MIB, description_key, incoming_key, registration_key
from sluice_storage.places import GivenOut
from sluice_storage.ports import Limits
from sluice_storage.usecases.upkeep import list_found, remove_object, sweep

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

    async def test_what_was_put_is_swept_unless_its_upload_is_open(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        cases: dict[str, tuple[datetime, str | None]] = {
            "unknown": (OLD, None),
            "young": (NOW, None),
            "open": (OLD, "expected"),
            "put again": (OLD, "stored"),
            "ended": (OLD, "discarded"),
        }
        for name, (age, state) in cases.items():
            objects.held[incoming_key(name)] = (b"x", age)
            if state:
                world.own(name, state)
        gone = {incoming_key(name) for name in ("unknown", "put again", "ended")}
        assert await swept(objects, world) == gone

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

    @pytest.mark.parametrize("parked", [[{THEIRS[0]}, set()], [set(), {THEIRS[0]}]])
    async def test_bytes_whose_news_was_set_aside_are_left_for_who_sends_it_again(
        self, objects: FakeObjects, world: FakeWorld, parked: list[set[str]]
    ) -> None:
        """It may be set aside, or sent again, while the sweep looks."""
        objects.held |= dict.fromkeys(THEIRS, (b"x", OLD))
        world.parked = parked
        assert await swept(objects, world) == set(THEIRS[1:])

    async def test_without_the_catalog_nothing_is_swept(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held |= dict.fromkeys(THEIRS, (b"x", OLD))
        world.away = True
        with pytest.raises(Unavailable):
            await sweep(deps_of(objects, world))
        assert set(objects.held) == set(THEIRS)


class TestWhereSendersAndTheSweepMeet:
    KEY = THEIRS[1]

    async def test_a_place_that_was_just_given_out_is_left_alone(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        """A chunk that is sent again overwrites the orphan it left behind."""
        objects.held |= {self.KEY: (b"x", OLD), "audio/other": (b"x", OLD)}
        deps = deps_of(objects, world)
        deps.places.give_out(self.KEY)
        await sweep(deps)
        assert set(objects.held) == {self.KEY}

    async def test_nobody_is_given_a_place_that_is_being_swept(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held[self.KEY] = (b"x", OLD)
        deps, delete, refused = deps_of(objects, world), objects.delete, []

        async def come_between(key: str) -> None:
            with pytest.raises(Unavailable) as caught:
                deps.places.give_out(key)
            refused.append(caught.value.code)
            await delete(key)

        objects.delete = come_between  # type: ignore[method-assign]
        await sweep(deps)
        assert (refused, set(objects.held)) == (["place-closed"], set())
        deps.places.give_out(self.KEY)

    async def test_an_operator_is_told_that_a_place_is_in_use(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        objects.held[self.KEY] = (b"x", OLD)
        deps = deps_of(objects, world)
        deps.places.give_out(self.KEY)
        with pytest.raises(Conflict):
            await remove_object(RemoveObject(key=self.KEY), deps)
        assert set(objects.held) == {self.KEY}

    async def test_a_refused_removal_closes_nothing(
        self, objects: FakeObjects, world: FakeWorld
    ) -> None:
        world.own(self.KEY, "stored")
        deps = deps_of(objects, world)
        with pytest.raises(Conflict):
            await remove_object(RemoveObject(key=self.KEY), deps)
        deps.places.give_out(self.KEY)


class TestPlaces:
    def test_a_place_is_remembered_for_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 100.0
        monkeypatch.setattr("sluice_storage.places.time.monotonic", lambda: now)
        places = GivenOut(timedelta(seconds=90))

        def is_free(key: str) -> bool:
            with places.closed(key) as is_closed:
                return is_closed

        places.give_out("a")
        places.give_out("b")
        now += 60
        places.give_out("a")
        now += 31
        assert (is_free("a"), is_free("b"), is_free("c")) == (False, True, True)
        now += 60
        assert is_free("a")

    def test_what_is_being_removed_is_removed_by_one(self) -> None:
        places = GivenOut(timedelta(seconds=90))
        with places.closed("a") as first, places.closed("a") as second:
            assert (first, second) == (True, False)

    @pytest.mark.parametrize(
        ("orphan_age", "vouch"), [(0, 0), (39, 0), (40, 10), (120, 30), (240, 60), (3600, 60)]
    )
    def test_what_a_sender_says_is_read_before_any_sweep(self, orphan_age: int, vouch: int) -> None:
        limits = Limits(MIB, MIB, timedelta(minutes=15), timedelta(seconds=orphan_age))
        assert limits.vouch_lifetime == timedelta(seconds=vouch)

    def test_a_removal_that_may_still_be_done_keeps_its_key_closed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr("sluice_storage.places.time.monotonic", lambda: now)
        places = GivenOut(timedelta(seconds=60))
        with pytest.raises(Unavailable), places.closed("a"):
            raise Unavailable("no answer")
        now += 119
        with pytest.raises(Unavailable):
            places.give_out("a")
        now += 2
        places.give_out("a")


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

    @pytest.mark.parametrize(("minutes", "is_kept"), [(59, True), (61, False)])
    async def test_one_is_as_old_as_the_last_part_that_was_sent_to_it(
        self, objects: FakeObjects, world: FakeWorld, minutes: int, is_kept: bool
    ) -> None:
        """A large form on a slow line takes hours, and has no owner before it has ended."""
        objects.now = NOW - timedelta(hours=3)
        session = await objects.start_session("a", "x/y")
        objects.parts[session] = {1: b"part"}
        objects.now = NOW - timedelta(minutes=minutes)
        await sweep(deps_of(objects, world))
        assert (session in objects.sessions) is is_kept


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
