"""Batches that no message between services could hold are read part by part."""

from datetime import timedelta
from typing import Any

import pytest

from sluice_catalog.usecases.batches import (
    delete_batch,
    get_batch,
    list_batches,
    list_recordings,
    show_batches,
    show_recordings,
)
from sluice_catalog.usecases.uploads import plan_uploads
from sluice_contracts.questions import (
    BatchState,
    BatchView,
    DeleteBatch,
    GetBatch,
    ListBatches,
    ListRecordings,
    Page,
    PlanUploads,
    ShowBatches,
    ShowRecordings,
)
from sluice_runtime.errors import NotFound

from .fakes import NOW, FakeWorld
from .fakes.uploads import FakeRecordings
from .recording_news import BATCH, ME, hear, item, plan, planned, register, stored, uploaded

NUMBERS = (1, 2, 3, 4, 5)
PARTS = pytest.mark.parametrize(
    ("most_recordings", "most_bytes"),
    [(2, 2**20), (5000, 200), (1, 1)],
    ids=["few", "short", "one"],
)


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch, most_recordings: int, most_bytes: int) -> None:
    bound(monkeypatch, most_recordings, most_bytes)


def bound(monkeypatch: pytest.MonkeyPatch, most_recordings: int, most_bytes: int = 2**20) -> None:
    for most in ("_MOST_STATES", "_MOST_VIEWS"):
        monkeypatch.setattr(f"sluice_catalog.usecases.batches.{most}", most_recordings)
    monkeypatch.setattr("sluice_catalog.usecases.batches._MOST_BYTES", most_bytes)


async def full() -> FakeWorld:
    """A batch of five, registered two at a time, in an order of its own."""
    world = await uploaded(*NUMBERS)
    for some in ((4, 2), (5, 1), (3,)):
        await register(world, *map(item, some))
        world.now += timedelta(seconds=1)
    return world


IN_ORDER = "24153"


def numbers(recordings: Any) -> str:
    return "".join(one.recording_id[-1] for one in recordings)


async def rest_of(batch: BatchState | BatchView, world: FakeWorld) -> str:
    """What comes behind the first part; each part is asked for by itself."""
    seen, after = "", batch.next
    while after is not None:
        asked = {"tenant": "dev", "batch_id": batch.batch_id, "after": after}
        if isinstance(batch, BatchState):
            states = await list_recordings(ListRecordings(**asked), world.deps())
            part, after = numbers(states.items), states.next
        else:
            views = await show_recordings(ShowRecordings(**asked), world.deps())
            part, after = numbers(views.recordings), views.next
        assert part
        seen += part
    return seen


async def state_of(world: FakeWorld, *, in_parts: bool = True) -> BatchState:
    question = GetBatch(tenant="dev", batch_id=BATCH, in_parts=in_parts)
    return await get_batch(question, world.deps())


async def view_of(world: FakeWorld, *, in_parts: bool = True) -> BatchView:
    question = ShowBatches(tenant="dev", limit=1, in_parts=in_parts)
    (view,) = (await show_batches(question, world.deps())).batches
    return view


@pytest.mark.usefixtures("bounds")
@PARTS
class TestParts:
    async def test_together_they_are_the_whole(self) -> None:
        world = await full()
        state, view = await state_of(world), await view_of(world)
        assert 0 < len(state.items) < len(NUMBERS)
        assert 0 < len(view.recordings) < len(NUMBERS)
        assert numbers(state.items) + await rest_of(state, world) == IN_ORDER
        assert numbers(view.recordings) + await rest_of(view, world) == IN_ORDER

    async def test_who_knows_no_parts_is_given_the_whole(self) -> None:
        world = await full()
        state, view = await state_of(world, in_parts=False), await view_of(world, in_parts=False)
        assert (numbers(state.items), state.next) == (IN_ORDER, None)
        assert (numbers(view.recordings), view.next) == (IN_ORDER, None)
        listed = await list_batches(ListBatches(tenant="dev", limit=5), world.deps())
        assert listed.batches == (state,)

    async def test_what_is_added_meanwhile_neither_hides_nor_repeats_anything(self) -> None:
        world = await full()
        state, view = await state_of(world), await view_of(world)
        await plan(world, 6, batch_id=BATCH)
        await hear(world, stored(6))
        await register(world, item(6))
        assert numbers(state.items) + await rest_of(state, world) == IN_ORDER + "6"
        assert numbers(view.recordings) + await rest_of(view, world) == IN_ORDER + "6"

    async def test_a_batch_that_goes_meanwhile_is_not_taken_for_a_short_one(self) -> None:
        world = await full()
        state, view = await state_of(world), await view_of(world)
        gone = DeleteBatch(tenant="dev", batch_id=BATCH, actor="me")
        await delete_batch(gone, world.deps())
        for batch in (state, view):
            with pytest.raises(NotFound) as caught:
                await rest_of(batch, world)
            assert caught.value.code == "batch-not-found"

    async def test_one_in_parts_is_alone_on_its_page_and_the_list_goes_on_behind_it(self) -> None:
        world = await full()
        for n, seconds in ((7, -60), (8, 60)):
            world.now = NOW + timedelta(seconds=seconds)
            question = PlanUploads(principal=ME, uploads=(planned(n),), lifetime_seconds=600)
            await plan_uploads(question, f"rb_{n:08}", world.deps())
        expected = [[("rb_00000008", False)], [(BATCH, True)], [("rb_00000007", False)]]
        assert await pages(list_batches, ListBatches, world) == expected
        assert await pages(show_batches, ShowBatches, world) == expected


async def pages(ask: Any, question: Any, world: FakeWorld) -> list[list[tuple[str, bool]]]:
    """The batches of each page, and whether they go on elsewhere."""
    found, after = [], None
    while True:
        asked = question(tenant="dev", limit=3, after=after, in_parts=True)
        page = await ask(asked, world.deps())
        found.append([(one.batch_id, one.next is not None) for one in page.batches])
        after = page.next
        if after is None:
            return found


async def test_an_ordinary_batch_is_whole_at_once() -> None:
    world = await full()
    state, view = await state_of(world), await view_of(world)
    assert (numbers(state.items), state.next) == (IN_ORDER, None)
    assert (numbers(view.recordings), view.next) == (IN_ORDER, None)


async def test_as_many_as_a_part_holds_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await full()
    bound(monkeypatch, len(NUMBERS))
    assert (await state_of(world)).next is None
    bound(monkeypatch, len(NUMBERS) - 1)
    assert (await state_of(world)).next is not None


async def test_the_parts_of_a_stranger_are_not_there() -> None:
    world = await full()
    asked = {"tenant": "other", "batch_id": BATCH, "after": Page(created_at=NOW, id="")}
    with pytest.raises(NotFound):
        await list_recordings(ListRecordings(**asked), world.deps())
    with pytest.raises(NotFound):
        await show_recordings(ShowRecordings(**asked), world.deps())


async def test_a_part_is_measured_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTF-8, where a letter has up to four."""
    world = await uploaded(1, 2)
    await register(world, *(item(n, data={"text": "🎵" * 100}) for n in (1, 2)))
    bound(monkeypatch, 5000, 1200)
    assert numbers((await view_of(world)).recordings) == "1"
    slim = await view_of(world, in_parts=False)
    assert [bool(one.metadata) for one in slim.recordings] == [True, False]


async def test_a_batch_that_goes_while_it_is_read_takes_no_list_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is known of its recordings by then is enough to say where a part ends."""
    world = await full()
    bound(monkeypatch, 2)
    read = FakeRecordings.states

    async def states(self: FakeRecordings, *args: Any, **more: Any) -> Any:
        found = await read(self, *args, **more)
        gone = DeleteBatch(tenant="dev", batch_id=BATCH, actor="me")
        await delete_batch(gone, world.deps())
        return found

    monkeypatch.setattr(FakeRecordings, "states", states)
    listed = await list_batches(ListBatches(tenant="dev", limit=5, in_parts=True), world.deps())
    assert [numbers(one.items) for one in listed.batches] == [IN_ORDER[:2]]
