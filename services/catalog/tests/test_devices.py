"""Recorders: made known once, let in and out, and known by their token."""

from datetime import timedelta

import pytest

from sluice_catalog.usecases.devices import add_device, change_device, list_devices
from sluice_catalog.usecases.keys import resolve_key
from sluice_contracts.questions import (
    ChangeDevice,
    DeviceIdentity,
    DeviceView,
    Idempotency,
    ListDevices,
    Principal,
    ResolveKey,
)
from sluice_runtime.errors import Conflict, NotFound, Rejected, Unavailable

from .chunk_news import add_device_question as asked
from .chunk_news import device_id
from .fakes import FakeWorld

ONCE = Idempotency(key="12345678", fingerprint="0" * 64)
KEY = Principal(tenant="dev", subject="me", scopes=frozenset({"admin"}))


def change(n: int = 1, token: str | None = None, **more: bool | str | None) -> ChangeDevice:
    digest = token and token * 64
    return ChangeDevice.model_validate(
        {"tenant": "dev", "device_id": device_id(n), "token_sha256": digest, **more}
    )


async def owner(world: FakeWorld, token: str) -> Principal | None:
    try:
        return await resolve_key(ResolveKey(token_sha256=token * 64), world.deps())
    except NotFound:
        return None


class TestAdding:
    async def test_a_device_may_upload_at_once_and_gateways_hear_of_it(self) -> None:
        world = FakeWorld()
        added = await add_device(asked(), world.deps())
        assert added.is_enabled
        assert added.created_at == world.now
        assert added.last_seen_at is None
        assert world.told
        assert await owner(world, "a")

    async def test_its_token_is_not_in_the_answer(self) -> None:
        added = await add_device(asked(), FakeWorld().deps())
        assert "a" * 64 not in added.model_dump_json()

    @pytest.mark.parametrize(
        ("n", "token"), [(1, "b"), (2, "a"), (1, "a")], ids=["device", "token", "both"]
    )
    async def test_what_is_known_already_is_a_conflict_and_stays(self, n: int, token: str) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        before, told = world.tables, world.told
        for tenant in ("dev", "other"):
            with pytest.raises(Conflict) as caught:
                await add_device(asked(n, token, tenant=tenant), world.deps())
            assert caught.value.code == "device-exists"
        assert (world.tables, world.told) == (before, told)

    async def test_an_api_key_cannot_become_a_device(self) -> None:
        world = FakeWorld()
        world.tables.keys["a" * 64] = KEY
        with pytest.raises(Conflict):
            await add_device(asked(), world.deps())
        assert await owner(world, "a") == KEY

    async def test_a_repeated_request_gets_the_first_answer_whatever_happened_since(self) -> None:
        world = FakeWorld()
        first = await add_device(asked(idempotency=ONCE), world.deps())
        await change_device(change(is_enabled=False), world.deps())
        world.now += timedelta(hours=1)
        assert await add_device(asked(idempotency=ONCE), world.deps()) == first
        other = ONCE.model_copy(update={"fingerprint": "1" * 64})
        with pytest.raises(Rejected):
            await add_device(asked(2, "b", idempotency=other), world.deps())

    async def test_with_the_database_away_nobody_hears_of_anything(self) -> None:
        world = FakeWorld(away=True)
        with pytest.raises(Unavailable):
            await add_device(asked(), world.deps())
        assert not world.told


class TestChanging:
    async def test_a_device_is_let_out_and_in_again(self) -> None:
        world = FakeWorld()
        added = await add_device(asked(), world.deps())
        for is_enabled in (False, False, True):
            told = world.told
            changed = await change_device(change(is_enabled=is_enabled), world.deps())
            assert changed == added.model_copy(update={"is_enabled": is_enabled})
            assert world.told > told

    async def test_a_new_token_takes_the_place_of_the_old_one(self) -> None:
        world = FakeWorld()
        added = await add_device(asked(), world.deps())
        assert await change_device(change(token="b"), world.deps()) == added
        assert await owner(world, "a") is None
        assert await owner(world, "b")
        assert await change_device(change(token="b"), world.deps()) == added, "its own token"

    async def test_both_are_changed_together(self) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        await change_device(change(token="b", is_enabled=False), world.deps())
        found = await owner(world, "b")
        assert found is not None
        assert not found.scopes

    @pytest.mark.parametrize("taken", ["device", "key"])
    async def test_the_token_of_somebody_else_is_a_conflict_and_nothing_changes(
        self, taken: str
    ) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        if taken == "device":
            await add_device(asked(2, "b"), world.deps())
        else:
            world.tables.keys["b" * 64] = KEY
        before = world.tables
        with pytest.raises(Conflict) as caught:
            await change_device(change(token="b", is_enabled=False), world.deps())
        assert caught.value.code == "device-exists"
        assert world.tables == before

    async def test_what_is_not_named_stays_as_it_is(self) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        await change_device(change(is_enabled=False), world.deps())
        before = world.tables
        for nothing in (change(), change(is_enabled=None)):
            assert not (await change_device(nothing, world.deps())).is_enabled
        assert world.tables == before

    @pytest.mark.parametrize("asked_for", [change(9), change(1, tenant="other")])
    async def test_a_device_of_nobody_or_of_others_is_not_there(
        self, asked_for: ChangeDevice
    ) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        with pytest.raises(NotFound) as caught:
            await change_device(asked_for, world.deps())
        assert caught.value.code == "device-not-found"


class TestTokens:
    async def test_a_device_may_send_its_chunks_and_look_at_them_and_nothing_else(self) -> None:
        world = FakeWorld()
        added = await add_device(asked(), world.deps())
        found = await owner(world, "a")
        assert found is not None
        assert (found.tenant, found.subject) == ("dev", f"device:{device_id()}")
        assert found.scopes == {"chunks:read"}
        assert found.device == DeviceIdentity(**added.model_dump(exclude={"created_at"}))

    async def test_a_disabled_device_is_known_and_may_nothing(self) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        await change_device(change(is_enabled=False), world.deps())
        found = await owner(world, "a")
        assert found is not None
        assert found.scopes == frozenset()
        assert found.device is not None
        assert not found.device.is_enabled

    async def test_a_key_comes_before_a_device(self) -> None:
        world = FakeWorld()
        await add_device(asked(), world.deps())
        world.tables.keys["a" * 64] = KEY
        assert await owner(world, "a") == KEY


async def test_devices_are_listed_page_by_page() -> None:
    world = FakeWorld()
    for n in range(1, 6):
        await add_device(asked(n, f"{n}"), world.deps())
        world.now += timedelta(seconds=n % 2)
    await add_device(asked(9, "9", tenant="other"), world.deps())
    seen: list[DeviceView] = []
    after = None
    while True:
        page = await list_devices(ListDevices(tenant="dev", limit=2, after=after), world.deps())
        assert len(page.devices) <= 2
        seen += page.devices
        after = page.next
        if after is None:
            break
    assert [one.device_id.int for one in seen] == [5, 4, 3, 2, 1]
