"""What workers report: a legal move counts, any other changes nothing."""

from enum import StrEnum
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from sluice_catalog.domain import IllegalTransition
from sluice_catalog.usecases.status import report_status
from sluice_contracts.facts import StatusChanged
from sluice_contracts.questions import ReportStatus
from sluice_contracts.statuses import CallStatus, ChunkStatus, Kind, RecordingStatus, is_legal
from sluice_runtime.errors import NotFound, Rejected

from .chunk_news import chunk_id, with_chunks
from .fakes import FakeWorld

CHUNK = str(chunk_id())


async def report(world: FakeWorld, *statuses: str, **more: Any) -> None:
    for status in statuses:
        asked = ReportStatus(
            **{"tenant": "dev", "kind": Kind.CHUNK, "id": CHUNK, "actor": "worker", **more},
            status=status,
        )
        await report_status(asked, world.deps())


async def chunk_in(status: ChunkStatus) -> FakeWorld:
    ways = {
        ChunkStatus.QUEUED: (),
        ChunkStatus.PROCESSING: ("PROCESSING",),
        ChunkStatus.DONE: ("PROCESSING", "DONE"),
        ChunkStatus.ERROR: ("ERROR",),
    }
    world = await with_chunks(1)
    await report(world, *ways[status])
    return world


async def test_a_chunk_is_worked_through_step_by_step() -> None:
    world = await with_chunks(1)
    await report(world, "PROCESSING", "PROCESSING", "DONE", "DONE")
    assert world.steps(CHUNK) == ["UPLOADED", "QUEUED", "PROCESSING", "DONE"]
    assert world.tables.chunks[chunk_id()].status is ChunkStatus.DONE
    assert len(world.tasks()) == 1


async def test_who_reported_and_why_is_told_to_subscribers() -> None:
    world = await with_chunks(1)
    wakes = world.wakes
    await report(world, "ERROR", reason="too loud")
    told = world.facts(StatusChanged)[-1]
    assert (told.actor, told.reason, told.batch_id) == ("worker", "too loud", None)
    assert (told.previous, told.status, told.sequence) == ("QUEUED", "ERROR", 3)
    assert world.wakes > wakes


@pytest.mark.parametrize(
    ("current", "target"),
    list(product([one for one in ChunkStatus if one != "UPLOADED"], ChunkStatus)),
)
async def test_a_chunk_moves_as_its_table_says_and_an_illegal_move_changes_nothing(
    current: ChunkStatus, target: ChunkStatus
) -> None:
    world = await chunk_in(current)
    before = world.tables
    if is_legal(Kind.CHUNK, current, target):
        await report(world, target)
        assert world.tables.chunks[chunk_id()].status is target
        return
    with pytest.raises(IllegalTransition):
        await report(world, target)
    assert world.tables == before


async def test_a_chunk_that_is_queued_again_gets_a_new_task() -> None:
    world = await with_chunks(1)
    for _ in range(2):
        await report(world, "ERROR", "ERROR", "QUEUED", "QUEUED")
    first, second, third = world.tasks()
    assert first == second == third, "the same work, said anew"
    assert {one.tenant for one in world.tables.tasks} == {"dev"}
    assert world.steps(CHUNK)[2:] == ["ERROR", "QUEUED"] * 2


@pytest.mark.parametrize("status", ["done", "Done", "queued", "FINISHED", "completed", "x"])
async def test_a_status_there_is_not_is_refused(status: str) -> None:
    world = await with_chunks(1)
    before = world.tables
    with pytest.raises(Rejected) as caught:
        await report(world, status)
    assert caught.value.code == "unknown-status"
    assert world.tables == before


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [(Kind.RECORDING, RecordingStatus), (Kind.CHUNK, ChunkStatus), (Kind.CALL, CallStatus)],
)
async def test_who_reports_an_unknown_status_is_told_those_there_are(
    kind: Kind, statuses: type[StrEnum]
) -> None:
    with pytest.raises(Rejected) as caught:
        await report(await with_chunks(1), "lost", kind=kind)
    assert str(caught.value).endswith(f"it can be {', '.join(statuses)}.")


@pytest.mark.parametrize(
    "named",
    [
        {"id": str(UUID(int=9))},
        {"id": "nonsense"},
        {"id": "rec_00000001"},
        {"tenant": "other"},
        {"kind": Kind.RECORDING, "status": "processing"},
    ],
)
async def test_what_is_not_there_cannot_move(named: dict[str, Any]) -> None:
    world = await with_chunks(1)
    before = world.tables
    with pytest.raises(NotFound):
        await report(world, named.pop("status", "DONE"), **named)
    assert world.tables == before
