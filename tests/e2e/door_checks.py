"""What must hold in the end of what came through any door but the first."""

import hashlib
from collections import Counter
from collections.abc import Iterable

import httpx

from sluice_contracts.topology import TASKS
from sluice_devkit.stack import Stack
from tests.checks import check_chains, read_history
from tests.support import REDELIVERY, bus, count, eventually, rows, sluice

from .senders import Promise

# The road everything takes that nobody works on.
ROADS = {
    "chunk": ["UPLOADED", "QUEUED"],
    "call": ["uploaded"],
    "render": ["uploaded", "attached"],
    "upload": ["created", "uploading", "stored", "registered"],
}
_TABLES = {
    "chunk": ("chunks", "chunk_id"),
    "call": ("calls", "call_id"),
    "render": ("renders", "render_id"),
    "upload": ("direct_uploads", "upload_id"),
}


async def statuses(stack: Stack) -> list[tuple[str, str, str]]:
    """Door, id and status of everything the catalog has."""
    found = []
    for door, (table, identity) in _TABLES.items():
        query = f"select {identity}::text as id, status from {table}"
        found += [(door, row["id"], row["status"]) for row in await rows(stack, query)]
    return found


def _wanted(kept: Iterable[Promise]) -> list[tuple[str, str, str]]:
    return [(one.door, one.id, ROADS[one.door][-1]) for one in kept]


async def settled(stack: Stack, kept: Iterable[Promise]) -> None:
    """Wait until all of these are as far as they get without a worker."""

    async def all_settled() -> bool:
        missing = Counter(_wanted(kept)) - Counter(await statuses(stack))
        assert not missing, f"{missing.total()} missing: {list(missing)[:3]}"
        return True

    await eventually(all_settled, REDELIVERY)


async def check_rows(stack: Stack, kept: list[Promise]) -> None:
    """Each promise has exactly its rows, and nothing else does."""
    assert Counter(await statuses(stack)) == Counter(_wanted(kept))
    await check_objects(stack, kept)
    carriers = {row["message_id"] for row in await rows(stack, "select message_id from renders")}
    assert len(carriers) == await count(stack, "messages")
    assert len(carriers) == sum(one.door == "render" for one in kept)
    chains = check_chains(sorted(await read_history(stack), key=lambda step: step[2]))
    assert chains == {(one.door, one.id): ROADS[one.door] for one in kept}


async def check_objects(stack: Stack, kept: Iterable[Promise]) -> None:
    """The catalog owns the object of each promise, with its digest, and no other."""
    query = "select upload_id, size_bytes, sha256, state from objects"
    found = [tuple(row.values()) for row in await rows(stack, query)]
    wanted = [(one.upload_id, one.size_bytes, one.sha256, "stored") for one in kept]
    assert sorted(found) == sorted(wanted)


async def tasks(stack: Stack) -> dict[str, int]:
    """How many tasks wait, by their subject."""
    async with bus(stack, "topology") as connection:
        jetstream = connection.jetstream(timeout=10)
        info = await jetstream.stream_info(TASKS.name, subjects_filter=">")
    return info.state.subjects or {}


def task_subjects(kept: Iterable[Promise]) -> set[str]:
    """The tasks that follow from these promises."""
    kinds = {"chunk": "chunk", "call": "transcription"}
    return {
        f"sluice.task.v1.{kinds[one.door]}.normal.{one.id}" for one in kept if one.door in kinds
    }


async def check_tasks(stack: Stack, kept: Iterable[Promise]) -> None:
    """One task for each chunk and each call, and no other: nobody works on them here."""
    assert await tasks(stack) == dict.fromkeys(task_subjects(kept), 1)


async def check_played(http: httpx.AsyncClient, kept: Iterable[Promise]) -> None:
    """What is played is what was sent."""
    for one in kept:
        played = await http.get(one.place, params={"proxy": 1})
        assert played.status_code == 200, played.text
        assert hashlib.sha256(played.content).hexdigest() == one.sha256, one


async def check_reconciled(stack: Stack) -> None:
    """Reconciliation finds nothing to repair."""
    ended = await sluice(stack, "reconcile", "--apply", "--older-than", "0", "--json")
    assert ended.code == 0, ended.output + ended.errors
    assert ended.lines()[-1]["differences"] == {}, ended.output
