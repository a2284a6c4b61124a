"""Each member of the stack is killed in turn while clients send through every door but the first:
nothing they were promised is lost, nothing happens twice, and everybody hears of it once."""

import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack
from tests.checks import check_log, check_store, dead_letters, drained
from tests.support import Supervisor, note
from tests.uploading import Ledger, Subscriber

from .crowd import Crowd, crowd_of
from .door_checks import check_played, check_reconciled, check_rows, check_tasks, settled
from .senders import Promise

MEMBERS = ("gateway", "storage", "catalog", "notifier", "nats", "postgres", "objects", "inspector")

PART_SIZE = 5 * 1024**2
# How much has to happen, promises and failures counted alike, before a member is killed, while
# it is away, and after it is back. Counted, not timed: a slow machine only takes longer.
BEFORE, DURING, AFTER = 12, 15, 12

SETTINGS = {
    "storage": {
        "SLUICE_PART_SIZE_BYTES": str(PART_SIZE),
        "SLUICE_SINGLE_PUT_BYTES": str(PART_SIZE),
        # Longer than a gateway may take to announce what it has sent to the store.
        "SLUICE_ORPHAN_AGE_SECONDS": "40",
        "SLUICE_SWEEP_INTERVAL_SECONDS": "1",
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    """A stack to break, which nobody else uses, and all its clients."""
    async with (
        Stack(tmp_path_factory.mktemp("doors"), settings=SETTINGS) as running,
        crowd_of(running, PART_SIZE) as everybody,
    ):
        yield everybody


@pytest.fixture(scope="module")
def books() -> list[Ledger[Promise]]:
    """What was promised in all tests of this module: a later outage must not harm it either."""
    return []


@pytest.mark.parametrize("member", MEMBERS)
async def test_no_door_loses_or_doubles_anything_when_a_member_is_killed(
    crowd: Crowd, books: list[Ledger[Promise]], member: str
) -> None:
    ledger, stack, http = Ledger[Promise](), crowd.stack, crowd.http
    books.append(ledger)
    began = time.monotonic()
    async with (
        Supervisor(stack).watching() as supervisor,
        Subscriber(http).reading() as subscriber,
    ):
        async with crowd.sending(ledger, len(books)):
            await ledger.promised(BEFORE)
            await supervisor.kill(member)
            await ledger.happened(DURING)
            returned = time.monotonic()
            await supervisor.bring_back(member)
            ready = time.monotonic()
            await ledger.promised(1)
            first = time.monotonic()
            await ledger.promised(AFTER)
        ended = time.monotonic()
        await settled(stack, ledger.kept)
        every = time.monotonic()
        await drained(stack)
        log = await check_log(stack, http)
        await subscriber.check(log)
    told = Counter(one.door for one in ledger.kept)
    note(
        f"{member}: {dict(told)}; ready after {ready - returned:.1f} s, first promise after "
        f"{first - returned:.1f} s, last after {ended - returned:.1f} s, all settled after "
        f"{every - returned:.1f} s, drained after {time.monotonic() - returned:.1f} s; "
        f"{time.monotonic() - began:.1f} s in all; SSE connections {subscriber.connections}; "
        f"restarted {dict(supervisor.restarts)}; answers {dict(ledger.answers)}"
    )
    kept = [one for book in books for one in book.kept]
    await check_rows(stack, kept)
    await check_tasks(stack, kept)
    await check_played(http, ledger.kept)
    await check_store(stack)
    await check_reconciled(stack)
    assert await dead_letters(stack) == 0
