"""Messages: kept with all their renders or not at all, listed as answers can carry them."""

from datetime import timedelta
from typing import Any

import pytest

from sluice_catalog.usecases.messages import (
    add_message,
    attach_render,
    delete_message,
    get_message,
    list_messages,
)
from sluice_contracts.facts import ObjectDiscarded
from sluice_contracts.questions import (
    AddMessage,
    AttachRender,
    DeleteMessage,
    GetMessage,
    Idempotency,
    ListMessages,
    MessageDeleted,
    MessageView,
)
from sluice_runtime.errors import Conflict, NotFound, Rejected

from .fakes import NOW, FakeWorld
from .render_news import hear, key_of, render_id, stored, with_renders

KEY = Idempotency(key="header:message-1", fingerprint="a" * 64)
MIB = 1024**2


def message_id(n: int = 1) -> str:
    return f"msg_{n:08}"


def asked(n: int = 1, *renders: int, **more: Any) -> AddMessage:
    return AddMessage(
        **{
            "tenant": "dev",
            "actor": "key:app",
            "message_id": message_id(n),
            "parent_thread": "thread",
            "user_id": "ada",
            "snapshot": {"n": n},
            "renders": tuple(render_id(one) for one in renders),
            **more,
        }
    )


async def with_message(world: FakeWorld, n: int = 1, *renders: int, **more: Any) -> MessageView:
    return await add_message(asked(n, *renders, **more), world.deps())


async def attach(world: FakeWorld, render: int = 1, to: int = 1, tenant: str = "dev") -> None:
    question = AttachRender(
        tenant=tenant, actor="key:app", message_id=message_id(to), render_id=render_id(render)
    )
    await attach_render(question, world.deps())


async def delete(world: FakeWorld, n: int = 1, tenant: str = "dev") -> MessageDeleted:
    question = DeleteMessage(tenant=tenant, actor="key:app", message_id=message_id(n))
    return await delete_message(question, world.deps())


async def get(world: FakeWorld, n: int = 1, **more: Any) -> MessageView:
    question = GetMessage(**{"tenant": "dev", "message_id": message_id(n), **more})
    return await get_message(question, world.deps())


def carried(view: MessageView) -> list[int]:
    return [one.render_id.int for one in view.renders]


class TestAdding:
    async def test_a_message_is_answered_as_it_is_read_afterwards(self) -> None:
        world = await with_renders(1)
        said = await with_message(world, 1, 1, snapshot_metadata={"title": "take"})
        assert (said.timestamp, said.created_at, said.snapshot) == (NOW, NOW, {"n": 1})
        assert await get(world) == said
        bare = await get(world, with_snapshot=False)
        assert bare == said.model_copy(update={"snapshot": None})

    async def test_it_carries_its_renders_in_the_order_it_names_them(self) -> None:
        world = await with_renders(1, 2, 3)
        said = await with_message(world, 1, 3, 1, 3, 2, 1)
        assert carried(said) == [3, 1, 2]
        for n in (1, 2, 3):
            assert world.steps(str(render_id(n))) == ["uploaded", "attached"]

    @pytest.mark.parametrize("tenant", ["dev", "other"])
    async def test_one_render_that_is_not_there_keeps_all_of_it_from_happening(
        self, tenant: str
    ) -> None:
        world = await with_renders(1)
        if tenant == "other":
            await hear(world, stored(2, tenant=tenant))
        with pytest.raises(NotFound) as caught:
            await with_message(world, 1, 1, 2)
        assert caught.value.code == "render-not-found"
        assert not world.tables.messages
        assert world.tables.renders[render_id()].message_id is None
        assert world.steps(str(render_id())) == ["uploaded"]

    async def test_a_render_that_another_message_carries_is_refused(self) -> None:
        world = await with_renders(1, 2)
        await with_message(world, 1, 1)
        with pytest.raises(Conflict) as caught:
            await with_message(world, 2, 2, 1)
        assert caught.value.code == "render-attached"
        assert world.tables.messages.keys() == {message_id()}
        assert world.tables.renders[render_id(2)].message_id is None


class TestRepeats:
    async def test_a_repeat_gets_the_first_answer_under_another_id(self) -> None:
        world = await with_renders(1, 2)
        first = await with_message(world, 1, 1, idempotency=KEY)
        await attach(world, 2)
        world.now += timedelta(minutes=1)
        again = await with_message(world, 2, 1, snapshot={"n": 1}, idempotency=KEY)
        assert again == first
        assert world.tables.messages.keys() == {message_id()}

    async def test_a_repeat_gets_the_first_answer_when_all_of_it_was_deleted_since(self) -> None:
        world = await with_renders(1)
        first = await with_message(world, 1, 1, idempotency=KEY)
        await delete(world)
        assert await with_message(world, 2, 1, snapshot={"n": 1}, idempotency=KEY) == first
        assert not world.tables.messages

    async def test_nothing_of_a_snapshot_outlives_its_message(self) -> None:
        world = FakeWorld()
        secret: dict[str, Any] = {"lyrics": "a secret"}
        await with_message(world, snapshot=secret, snapshot_metadata=secret, idempotency=KEY)
        await delete(world)
        assert world.tables.replays
        assert "a secret" not in repr(world.tables)

    async def test_an_answer_that_was_kept_whole_is_still_one(self) -> None:
        world = FakeWorld()
        first = await with_message(world, idempotency=KEY)
        ((place, (fingerprint, _, at)),) = world.tables.replays.items()
        world.tables.replays[place] = (fingerprint, first.model_dump(mode="json"), at)
        assert await with_message(world, idempotency=KEY) == first

    async def test_another_request_with_the_same_key_is_refused(self) -> None:
        world = FakeWorld()
        await with_message(world, idempotency=KEY)
        other = KEY.model_copy(update={"fingerprint": "b" * 64})
        with pytest.raises(Rejected) as caught:
            await with_message(world, 2, idempotency=other)
        assert caught.value.code == "idempotency-key-reused"

    async def test_a_request_that_failed_leaves_its_key_free(self) -> None:
        world = FakeWorld()
        with pytest.raises(NotFound):
            await with_message(world, 1, 1, idempotency=KEY)
        assert not world.tables.replays
        await hear(world, stored(1))
        assert carried(await with_message(world, 2, 1, idempotency=KEY)) == [1]


class TestAttaching:
    async def test_doing_it_twice_changes_nothing(self) -> None:
        world = await with_renders(1)
        await with_message(world)
        for _ in range(2):
            await attach(world)
        assert carried(await get(world)) == [1]
        assert world.steps(str(render_id())) == ["uploaded", "attached"]

    async def test_strangers_attach_nothing_and_nothing_to_others(self) -> None:
        world = await with_renders(1)
        await hear(world, stored(2, tenant="other"))
        await with_message(world)
        for render, to, tenant in ((1, 1, "other"), (2, 1, "other"), (2, 1, "dev"), (1, 9, "dev")):
            with pytest.raises(NotFound):
                await attach(world, render, to, tenant)
        assert carried(await get(world)) == []

    async def test_a_message_carries_a_hundred_renders_and_no_more(self) -> None:
        world = await with_renders(*range(1, 102))
        await with_message(world, 1, *range(1, 101))
        with pytest.raises(Conflict) as caught:
            await attach(world, 101)
        assert caught.value.code == "too-many-renders"
        await attach(world, 100)
        assert world.tables.renders[render_id(101)].message_id is None


class TestDeleting:
    async def test_a_message_takes_its_renders_and_their_bytes_along(self) -> None:
        world = await with_renders(1, 2, 3)
        await with_message(world, 1, 1, 2)
        await with_message(world, 2, 3)
        assert (await delete(world)).renders_deleted == 2
        assert world.tables.renders.keys() == {render_id(3)}
        assert world.tables.messages.keys() == {message_id(2)}
        for n in (1, 2):
            assert world.steps(str(render_id(n))) == ["uploaded", "attached", "deleted"]
        assert {one.key for one in world.facts(ObjectDiscarded)} == {key_of(1), key_of(2)}
        with pytest.raises(NotFound):
            await delete(world)
        with pytest.raises(NotFound):
            await attach(world, 3)

    async def test_strangers_delete_nothing(self) -> None:
        world = await with_renders(1)
        await with_message(world, 1, 1)
        with pytest.raises(NotFound):
            await delete(world, tenant="other")
        with pytest.raises(NotFound):
            await get(world, tenant="other")
        assert carried(await get(world)) == [1]


class TestListing:
    @pytest.mark.parametrize("order", ["asc", "desc"])
    async def test_pages_end_where_the_messages_do(self, order: str) -> None:
        world = FakeWorld()
        for n in range(1, 6):
            await with_message(world, n, timestamp=NOW + timedelta(seconds=n))
        await with_message(world, 6, tenant="other")
        question = ListMessages(tenant="dev", order=order, limit=2)  # type: ignore[arg-type]
        assert await pages(world, question) == (
            [[1, 2], [3, 4], [5]] if order == "asc" else [[5, 4], [3, 2], [1]]
        )

    async def test_a_page_that_is_just_full_is_the_last(self) -> None:
        world = FakeWorld()
        for n in (1, 2):
            await with_message(world, n)
        assert await pages(world, ListMessages(tenant="dev", limit=2)) == [[1, 2]]
        assert await pages(world, ListMessages(tenant="nobody", limit=2)) == [[]]

    async def test_large_snapshots_make_short_pages_and_nobody_is_left_out(self) -> None:
        world = FakeWorld()
        sizes = {1: 900_000, 2: 900_000, 3: 900_000, 4: 5 * MIB, 5: 10, 6: 10}
        for n, size in sizes.items():
            await with_message(world, n, snapshot={"a": "x" * size})
        question = ListMessages(tenant="dev", limit=200)
        assert await pages(world, question) == [[1, 2], [3], [4], [5, 6]]
        bare = question.model_copy(update={"with_snapshot": False})
        assert await pages(world, bare) == [[1, 2, 3, 4, 5, 6]]

    async def test_each_message_is_listed_with_its_own_renders(self) -> None:
        world = await with_renders()
        names = dict.fromkeys(range(1, 9), "ä" * 255)
        await hear(world, *(stored(n, filename=name) for n, name in names.items()))
        for n in range(1, 5):
            await with_message(world, n, 2 * n - 1, 2 * n)
        page = await list_messages(ListMessages(tenant="dev", limit=3), world.deps())
        assert [carried(one) for one in page.messages] == [[1, 2], [3, 4], [5, 6]]
        assert page.next is not None
        assert page.next.id == message_id(3)


async def pages(world: FakeWorld, question: ListMessages) -> list[list[int]]:
    """The numbers of the messages on each page, to the last."""
    found: list[list[int]] = []
    while True:
        page = await list_messages(question, world.deps())
        found.append([int(one.message_id.removeprefix("msg_")) for one in page.messages])
        if page.next is None:
            return found
        question = question.model_copy(update={"after": page.next})
