"""What must hold in the end: every promise kept, once, and everybody told."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable

import httpx

from sluice_contracts.api import PublicEvent
from sluice_contracts.topology import CONSUMERS, DEAD_LETTERS, EVENTS
from sluice_devkit.stack import Stack
from sluice_storage.domain import REGISTRATIONS, is_ours, registration_key
from tests.support import REDELIVERY, bus, count, eventually, object_store, rows
from tests.uploading import Kept, read_log

# What is left for workers outside Sluice is read by nobody here.
OURS = tuple(one for one in CONSUMERS if one.service != "worker")


async def completed(stack: Stack, kept: Iterable[Kept], seconds: float = REDELIVERY) -> None:
    """Wait until these recordings have ended well."""
    wanted = {one.recording_id for one in kept}

    async def all_completed() -> bool:
        query = "select recording_id, status from recordings"
        present = {row["recording_id"]: row["status"] for row in await rows(stack, query)}
        missing = Counter(present.get(one, "absent") for one in wanted)
        assert set(missing) <= {"completed"}, dict(missing)
        return True

    await eventually(all_completed, seconds)


Step = tuple[str, str, int, str | None, str, str | None, str]


def step_of(event: PublicEvent) -> Step:
    told = event.data
    return (
        str(told.kind),
        told.id,
        told.sequence,
        told.previous,
        told.status,
        told.reason,
        told.actor,
    )


async def read_history(stack: Stack) -> list[Step]:
    """Every status change the catalog committed, in the order of its table."""
    query = "select kind, id, sequence, previous, status, reason, actor from status_history"
    found = await rows(stack, f"{query} order by position")
    return [tuple(row.values()) for row in found]


def check_chains(steps: Iterable[Step]) -> dict[tuple[str, str], list[str]]:
    """The statuses of each thing, which must follow each other from its birth without a gap.

    What reconciliation brought back was born again, behind what was known of it.
    """
    things: dict[tuple[str, str], list[Step]] = defaultdict(list)
    for step in steps:
        things[step[0], step[1]].append(step)
    for thing, taken in things.items():
        assert [step[2] for step in taken] == list(range(1, len(taken) + 1)), (thing, taken)
        status: str | None = None
        for step in taken:
            is_born_again = step[3] is None and step[6] == "reconcile"
            assert step[3] == status or is_born_again, (thing, taken)
            status = step[4]
    return {thing: [step[4] for step in taken] for thing, taken in things.items()}


async def check_log(stack: Stack, http: httpx.AsyncClient) -> list[PublicEvent]:
    """Wait until the log holds what the catalog committed; check that it is exactly that."""

    async def caught_up() -> bool:
        history, log = await read_history(stack), await read_log(http)
        missing = Counter(history) - Counter(map(step_of, log))
        assert not missing, f"{missing.total()} changes are not in the log: {list(missing)[:3]}"
        return True

    await eventually(caught_up)
    history, log = await read_history(stack), await read_log(http)
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))
    assert len({event.id for event in log}) == len(log)
    assert Counter(map(step_of, log)) == Counter(history)
    # Grouped by thing, in the order of the log: what came too early or too late shows up here.
    assert check_chains(map(step_of, log)) == check_chains(sorted(history, key=lambda one: one[2]))
    return log


async def dead_letters(stack: Stack) -> int:
    """How many messages lie aside."""
    async with bus(stack, "topology") as connection:
        return (await connection.jetstream().stream_info(DEAD_LETTERS.name)).state.messages


async def drained(stack: Stack, seconds: float = REDELIVERY) -> None:
    """Wait until every consumer of ours has read and acknowledged all there is, and the log too."""
    async with bus(stack, "topology") as connection:
        stream = connection.jetstream(timeout=10)

        async def nothing_left() -> bool:
            for one in OURS:
                info = await stream.consumer_info(one.stream.name, one.name)
                assert not info.num_pending, f"{one.name} has {info.num_pending} to read"
                assert not info.num_ack_pending, f"{one.name} has {info.num_ack_pending} in hand"
            assert await count(stack, "outbox") == 0
            subject = "sluice.v1.*.*.status_changed.*"
            newest = await stream.get_last_msg(EVENTS.name, subject)
            query = "select position from cursors"
            cursor = await rows(stack, query, database="notifier")
            assert cursor[0]["position"] >= (newest.seq or 0), "the log is behind"
            return True

        await eventually(nothing_left, seconds)


async def check_bytes(stack: Stack, http: httpx.AsyncClient, kept: Iterable[Kept]) -> None:
    """Each recording plays, and lies in the store, with the digest it was sent with."""
    query = """select recording_id, key, size_bytes, sha256, client_item_id, data
        from recordings join objects using (upload_id)"""
    known = {row["recording_id"]: row for row in await rows(stack, query)}
    store = object_store(stack)
    try:
        for one in kept:
            row = known[one.recording_id]
            assert (row["size_bytes"], row["sha256"]) == (one.size_bytes, one.sha256)
            assert (row["client_item_id"], row["data"]) == (one.client_item_id, one.data)
            assert one.blob_ref.endswith(f"/{row['key']}")
            assert await store.digest(row["key"]) == (one.size_bytes, one.sha256)
            played = await http.get(f"/media/{one.recording_id}", params={"proxy": 1})
            assert played.status_code == 200, played.text
            assert hashlib.sha256(played.content).hexdigest() == one.sha256
    finally:
        await store.close()


async def check_store(stack: Stack) -> None:
    """Every object has its row and its registration, every row its object; no session is open."""
    store = object_store(stack)

    async def tidy() -> bool:
        keys = {one.key for one in await store.page("", "", 100_000)}
        found = {key for key in keys if not is_ours(key)}
        told = {key for key in keys if key.startswith(REGISTRATIONS)}
        stored = await rows(stack, "select key from objects where state = 'stored'")
        owned = {row["key"] for row in stored}
        assert owned - found == set(), "rows without an object"
        assert found - owned == set(), "objects without a row"
        noted = {registration_key(key) for key in owned}
        assert noted - told == set(), "objects without a registration"
        assert told - noted == set(), "registrations without an object"
        assert await store.open_sessions() == []
        return True

    try:
        await eventually(tidy)
    finally:
        await store.close()
