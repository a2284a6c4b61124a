"""`sluice reconcile` on what came through any door but the first: lost rows come back."""

from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack
from tests.checks import check_store, dead_letters, drained, read_history
from tests.e2e.crowd import DOORS, Crowd, crowd_of
from tests.e2e.door_checks import (
    ROADS,
    check_objects,
    check_played,
    check_reconciled,
    statuses,
    task_subjects,
    tasks,
)
from tests.e2e.senders import Promise
from tests.stream import headers_of, read_facts, read_state
from tests.support import sluice
from tests.uploading import Ledger

PART_SIZE = 8 * 1024**2
SOME_FAILED = 1
# The road of what came back. The message a render was attached to is not written down beside it.
AGAIN = {**ROADS, "render": ["uploaded"], "upload": ["created", "stored", "registered"]}
TABLES = ("chunks", "calls", "renders", "direct_uploads", "objects")
EVERYTHING = (*TABLES, "messages", "status_history", "inbox", "idempotency", "reservations")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowd(own: Stack) -> AsyncIterator[Crowd]:
    async with crowd_of(own, PART_SIZE) as everybody:
        yield everybody


@pytest.fixture(scope="module")
def ledger() -> Ledger[Promise]:
    """All that was promised in this module."""
    return Ledger()


async def execute(stack: Stack, *queries: tuple[str, Sequence[object]]) -> None:
    connection = await psycopg.AsyncConnection.connect(stack.database_url("catalog"))
    async with connection:
        for query, values in queries:
            await connection.execute(query, values)


async def forget(stack: Stack, lost: list[Promise], *, history: bool) -> None:
    """The catalog loses all it knows of these, as a backup from before them would."""
    uploads = [one.upload_id for one in lost]
    heard = [
        headers_of(fact)["ce-id"]
        for upload_id in uploads
        for fact in await read_facts(stack, ending=upload_id)
    ]
    forgotten: list[tuple[str, Sequence[object]]] = [
        (f"delete from {table} where upload_id = any(%s)", [uploads]) for table in TABLES
    ]
    forgotten.append(("delete from inbox where event_id = any(%s)", [heard]))
    if history:
        names = [one.id for one in lost]
        forgotten.append(("delete from status_history where id = any(%s)", [names]))
    await execute(stack, *forgotten)


@pytest.mark.parametrize("history", [False, True], ids=["with their history", "but their history"])
async def test_rows_of_every_door_come_back(
    own: Stack, crowd: Crowd, ledger: Ledger[Promise], history: bool
) -> None:
    kept = len(ledger.kept)
    await crowd.keep_one_each(ledger, seed=2 * history)
    await crowd.keep_one_each(ledger, seed=2 * history + 1)
    lost = ledger.kept[kept : kept + len(DOORS)]
    await drained(own)
    await forget(own, lost, history=history)
    before = await read_state(own)
    ended = await sluice(own, "reconcile", "--older-than", "0", "--json")
    assert ended.code == SOME_FAILED, ended.output + ended.errors
    assert ended.lines()[-1]["differences"] == {"lost-row": len(lost)}
    await drained(own)
    assert await read_state(own) == before, "nothing was to be repaired yet"

    ended = await sluice(own, "reconcile", "--apply", "--older-than", "0", "--json")
    assert ended.code == 0, ended.output + ended.errors
    await check_all(own, crowd, ledger.kept)
    if not history:
        await check_born_again(own, lost)
    waiting, again = await tasks(own), task_subjects(lost)
    for subject in task_subjects(ledger.kept[kept:]):
        # What was lost may have been worked on or not; nobody knows, so it is asked for again.
        assert waiting[subject] == (2 if subject in again else 1), subject


async def check_born_again(stack: Stack, lost: list[Promise]) -> None:
    """Their history goes on where it ended."""
    history = sorted(await read_history(stack), key=lambda step: step[2])
    for one in lost:
        taken = [step for step in history if step[1] == one.id]
        assert [step[2] for step in taken] == list(range(1, len(taken) + 1))
        assert [step[4] for step in taken] == [*ROADS[one.door], *AGAIN[one.door]]


async def test_a_catalog_that_lost_everything_is_rebuilt_from_the_store(
    own: Stack, crowd: Crowd, ledger: Ledger[Promise]
) -> None:
    await crowd.keep_one_each(ledger, seed=10)
    await drained(own)
    await execute(own, (f"truncate {', '.join(EVERYTHING)}", []))
    ended = await sluice(own, "reconcile", "--apply", "--older-than", "0", "--json")
    assert ended.code == 0, ended.output + ended.errors
    assert ended.lines()[-1]["differences"] == {"lost-row": len(ledger.kept)}
    await check_all(own, crowd, ledger.kept)


async def check_all(stack: Stack, crowd: Crowd, kept: list[Promise]) -> None:
    """Everything is there once, in the store and in the catalog."""
    await drained(stack)
    there = sorted((door, identity) for door, identity, _ in await statuses(stack))
    assert there == sorted((one.door, one.id) for one in kept)
    await check_objects(stack, kept)
    await check_played(crowd.http, kept)
    await check_store(stack)
    await check_reconciled(stack)
    assert await dead_letters(stack) == 0
