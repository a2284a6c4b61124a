"""Batches as they are shown: whole, however many parts the catalog gives them in."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sluice_contracts.questions import (
    BatchState,
    BatchStates,
    BatchView,
    BatchViews,
    GetBatch,
    ListBatches,
    ListRecordings,
    Page,
    Principal,
    RecordingState,
    RecordingStates,
    RecordingView,
    RecordingViews,
    ShowBatches,
    ShowRecordings,
)
from sluice_contracts.statuses import BatchStatus, RecordingStatus
from sluice_gateway.routes import batches
from sluice_runtime.errors import Unavailable

from .edges import make_edge
from .fakes import NOW, FakeWorld

READER = Principal(tenant="dev", subject="me", scopes=frozenset({"recordings:read"}))
BATCH = "rb_00000001"
BEHIND = Page(created_at=NOW, id="rb_00000001")
MANY = 5


class OnePrincipal:
    """Everybody who shows a key is the same reader."""

    async def resolve(self, token: str) -> Principal | None:
        return READER


def state(n: int) -> RecordingState:
    return RecordingState(
        client_item_id=f'"[]" {n}', recording_id=f"rec_{n:08}", status=RecordingStatus.QUEUED
    )


def view(n: int) -> RecordingView:
    return RecordingView(
        recording_id=f"rec_{n:08}",
        batch_id=BATCH,
        client_item_id=f"item-{n}",
        status=RecordingStatus.QUEUED,
        metadata={"empty": [], "title": "Grüße"},
        filename="a.wav",
        size_bytes=1,
        content_type="audio/wav",
        sha256="a" * 64,
        bucket="media",
        key=f"tenants/dev/{n}",
        created_at=NOW,
    )


class Catalog:
    """Gives parts of `size` recordings to who asks for them, and fails at the part `fails_at`."""

    def __init__(self, size: int, *, knows_parts: bool = True, fails_at: int | None = None) -> None:
        self._size = size if knows_parts else MANY
        self._fails_at = fails_at
        self.world = FakeWorld(
            answers={
                GetBatch: self._get,
                ListBatches: self._list,
                ShowBatches: self._show,
                ListRecordings: self._more_states,
                ShowRecordings: self._more_views,
            }
        )

    def _part(self, kind: Callable[[int], Any], start: int) -> tuple[tuple[Any, ...], Page | None]:
        end = min(start + self._size, MANY)
        following = Page(created_at=NOW, id=str(end)) if end < MANY else None
        return tuple(kind(n) for n in range(start, end)), following

    async def _get(self, asked: GetBatch | ListBatches) -> BatchState:
        assert asked.in_parts
        items, following = self._part(state, 0)
        return BatchState(
            batch_id=BATCH, status=BatchStatus.PENDING, created_at=NOW, items=items, next=following
        )

    async def _list(self, asked: ListBatches) -> BatchStates:
        return BatchStates(batches=(await self._get(asked),), next=BEHIND)

    async def _show(self, asked: ShowBatches) -> BatchViews:
        assert asked.in_parts
        shown, following = self._part(view, 0)
        batch = BatchView(
            batch_id=BATCH,
            status=BatchStatus.PENDING,
            created_at=NOW,
            recordings=shown,
            next=following,
        )
        return BatchViews(batches=(batch,), next=BEHIND)

    def _behind(self, asked: ListRecordings | ShowRecordings) -> int:
        assert (asked.tenant, asked.batch_id) == ("dev", BATCH)
        start = int(asked.after.id)
        if self._fails_at == start // self._size:
            raise Unavailable("away")
        return start

    async def _more_states(self, asked: ListRecordings) -> RecordingStates:
        items, following = self._part(state, self._behind(asked))
        return RecordingStates(items=items, next=following)

    async def _more_views(self, asked: ShowRecordings) -> RecordingViews:
        shown, following = self._part(view, self._behind(asked))
        return RecordingViews(recordings=shown, next=following)

    async def show(self, path: str) -> httpx.Response:
        app = FastAPI()
        app.state.edge = make_edge(self.world, principals=OnePrincipal())
        app.include_router(batches.router)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://sluice"
        ) as http:
            return await http.get(path, headers={"X-API-Key": "mine"})


SHOWN = pytest.mark.parametrize("path", [f"/batches/{BATCH}", "/batches", "/jsonui"])


@SHOWN
@pytest.mark.parametrize("size", range(1, MANY))
async def test_in_however_many_parts_it_comes_the_answer_is_the_same(path: str, size: int) -> None:
    whole, parts = Catalog(MANY), Catalog(size)
    expected, shown = await whole.show(path), await parts.show(path)
    assert shown.status_code == expected.status_code == 200
    assert shown.json() == expected.json()
    for name in ("content-type", "link"):
        assert shown.headers.get(name) == expected.headers.get(name)
    assert expected.text.count("rec_") >= MANY
    assert len(parts.world.asked) == -(-MANY // size)


@SHOWN
@pytest.mark.parametrize("catalog", [Catalog(MANY), Catalog(1, knows_parts=False)])
async def test_an_ordinary_batch_takes_one_question(path: str, catalog: Catalog) -> None:
    """So does any that a catalog gives whole because it is older and knows no parts."""
    before = len(catalog.world.asked)
    assert (await catalog.show(path)).text.count("rec_") >= MANY
    assert len(catalog.world.asked) == before + 1


@SHOWN
async def test_an_answer_that_cannot_go_on_breaks_off(path: str) -> None:
    """Nobody is to take what came until then for the whole."""
    with pytest.raises(Unavailable):
        await Catalog(2, fails_at=2).show(path)
