"""Each member of the stack is killed in turn while clients upload: nothing they were promised is
lost, nothing happens twice, and everybody who listens hears every status change once, in order."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack
from tests.checks import (
    check_bytes,
    check_chains,
    check_log,
    check_store,
    completed,
    dead_letters,
    drained,
    read_history,
)
from tests.support import Supervisor, count, http_client, note, rows, sluice
from tests.uploading import Client, Kept, Ledger, Subscriber, any_bytes

MEMBERS = ("gateway", "storage", "catalog", "notifier", "nats", "postgres", "objects")

PART_SIZE = 5 * 1024**2
UPLOADERS = 5
# How much has to happen, promises and failures counted alike, before a member is killed, while
# it is away, and after it is back. Counted, not timed: a slow machine only takes longer.
BEFORE, DURING, AFTER = 12, 15, 12

SETTINGS = {
    "storage": {
        "SLUICE_PART_SIZE_BYTES": str(PART_SIZE),
        "SLUICE_SINGLE_PUT_BYTES": str(PART_SIZE),
        # The sweep runs all the time, and leaves things alone for only a moment: it must never
        # take anything that still has or gets an owner.
        "SLUICE_ORPHAN_AGE_SECONDS": "1",
        "SLUICE_SWEEP_INTERVAL_SECONDS": "2",
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack to break, which nobody else uses."""
    async with Stack(tmp_path_factory.mktemp("outages"), settings=SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http(outages: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(outages) as client:
        yield client


@pytest.fixture(scope="module")
def books() -> list[Ledger[Kept]]:
    """What was promised in all tests of this module: a later outage must not harm it either."""
    return []


@asynccontextmanager
async def uploading(
    http: httpx.AsyncClient, ledger: Ledger[Kept], seed: str
) -> AsyncIterator[None]:
    """Uploads from several clients at once, until the block ends and each finished its last."""
    stop = asyncio.Event()

    async def upload(number: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        client = Client(http, ledger)
        while not stop.is_set():
            if number == 0:
                await client.keep(chance.randbytes(PART_SIZE + chance.randint(1, 200_000)))
            else:
                await client.keep(any_bytes(chance), any_bytes(chance))

    async with asyncio.TaskGroup() as group:
        for number in range(UPLOADERS):
            group.create_task(upload(number))
        try:
            yield
        finally:
            stop.set()


@pytest.mark.parametrize("member", MEMBERS)
async def test_nothing_is_lost_or_doubled_when_a_member_is_killed(
    outages: Stack, http: httpx.AsyncClient, books: list[Ledger[Kept]], member: str
) -> None:
    ledger = Ledger[Kept]()
    books.append(ledger)
    began = time.monotonic()
    async with (
        Supervisor(outages).watching() as supervisor,
        Subscriber(http).reading() as subscriber,
    ):
        async with uploading(http, ledger, member):
            await ledger.promised(BEFORE)
            await supervisor.kill(member)
            await ledger.happened(DURING)
            returned = time.monotonic()
            await supervisor.bring_back(member)
            ready = time.monotonic()
            await ledger.promised(1)
            first = time.monotonic()
            await ledger.promised(AFTER)
        await completed(outages, ledger.kept)
        settled = time.monotonic()
        await drained(outages)
        log = await check_log(outages, http)
        await subscriber.check(log)
    note(
        f"{member}: {len(ledger.kept)} recordings; ready after {ready - returned:.1f} s, first "
        f"promise after {first - returned:.1f} s, all completed after {settled - returned:.1f} s; "
        f"{time.monotonic() - began:.1f} s in all; SSE connections {subscriber.connections}; "
        f"restarted {dict(supervisor.restarts)}; answers {dict(ledger.answers)}"
    )
    await check_bytes(outages, http, ledger.kept)
    await check_rows(outages, books)
    await check_store(outages)
    await check_reconciled(outages)
    assert await dead_letters(outages) == 0


async def check_rows(stack: Stack, books: list[Ledger[Kept]]) -> None:
    """Each promise has exactly its rows, and nothing else does."""
    kept = [one for ledger in books for one in ledger.kept]
    found = await rows(stack, "select recording_id, batch_id, status from recordings")
    wanted = sorted((one.recording_id, one.batch_id, "completed") for one in kept)
    assert sorted(tuple(row.values()) for row in found) == wanted
    assert await count(stack, "uploads") == len(kept)
    assert await count(stack, "objects") == len(kept)
    assert await count(stack, "batches") == sum(ledger.presigned for ledger in books)
    unfinished = await rows(stack, "select * from uploads where status <> 'registered'")
    assert unfinished == []
    chains = check_chains(sorted(await read_history(stack), key=lambda step: step[2]))
    roads = {
        "upload": ["created", "uploading", "stored", "registered"],
        "recording": ["queued", "processing", "completed"],
    }
    for (kind, identity), statuses in chains.items():
        if kind in roads:
            assert statuses == roads[kind], identity
        else:
            assert (statuses[0], statuses[-1]) == ("open", "completed"), identity


async def check_reconciled(stack: Stack) -> None:
    """Reconciliation finds nothing to repair."""
    ended = await sluice(stack, "reconcile", "--apply", "--older-than", "0", "--json")
    assert ended.code == 0, ended.output + ended.errors
    assert ended.lines()[-1]["differences"] == {}, ended.output
