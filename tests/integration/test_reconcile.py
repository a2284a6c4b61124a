"""`sluice reconcile` on a real stack: it finds what is lost or left over, and repairs it."""

import io
from collections.abc import Iterable

import httpx
import psycopg
import pytest
from minio import Minio

from sluice_devkit.stack import Stack
from tests.checks import (
    check_bytes,
    check_chains,
    check_store,
    completed,
    dead_letters,
    drained,
    read_history,
)
from tests.stream import check_works, headers_of, keep, read_facts, read_state
from tests.support import Json, eventually, object_store, rows, sluice
from tests.uploading import Client, Kept, read_log

SOME_FAILED = 1


async def reconcile(stack: Stack, *arguments: str, code: int) -> tuple[list[Json], Json]:
    """The findings and the summary."""
    ended = await sluice(stack, "reconcile", "--json", *arguments)
    assert ended.code == code, ended.output + ended.errors
    *findings, summary = ended.lines()
    return findings, summary


def kinds(findings: Iterable[Json]) -> list[tuple[object, object, object]]:
    found = []
    for finding in findings:
        difference = finding["difference"]
        assert isinstance(difference, dict)
        found.append((difference["kind"], difference["key"], finding["outcome"]))
    return sorted(found, key=str)


async def row_of(stack: Stack, one: Kept) -> dict[str, str]:
    query = "select upload_id, key from recordings join objects using (upload_id)"
    [row] = await rows(stack, f"{query} where recording_id = %s", one.recording_id)
    return row


async def forget(stack: Stack, one: Kept, *, history: bool) -> None:
    """The catalog loses all it knows of one recording, as a backup from before it would."""
    row = await row_of(stack, one)
    heard = [headers_of(fact)["ce-id"] for fact in await read_facts(stack, ending=row["upload_id"])]
    connection = await psycopg.AsyncConnection.connect(stack.database_url("catalog"))
    async with connection:
        for table in ("recordings", "uploads", "batches"):
            await connection.execute(f"delete from {table} where batch_id = %s", [one.batch_id])
        await connection.execute("delete from objects where key = %s", [row["key"]])
        await connection.execute("delete from inbox where event_id = any(%s)", [heard])
        if history:
            query = "delete from status_history where batch_id = %s"
            await connection.execute(query, [one.batch_id])


@pytest.mark.parametrize("history", [True, False], ids=["with their history", "but their history"])
async def test_rows_the_catalog_lost_come_back_with_all_that_was_said(
    own: Stack, http: httpx.AsyncClient, uploader: Client, history: bool
) -> None:
    lost, left = await keep(uploader, 2)
    await completed(own, [lost, left])
    await drained(own)
    row = await row_of(own, lost)
    await forget(own, lost, history=history)
    assert (await http.get(f"/media/{lost.recording_id}")).status_code == 404
    before = await read_state(own)

    findings, summary = await reconcile(own, "--older-than", "0", code=SOME_FAILED)
    assert kinds(findings) == [("lost-row", row["key"], "found")]
    assert (summary["repaired"], summary["remaining"]) == (0, 1)
    await drained(own)
    assert await read_state(own) == before

    findings, summary = await reconcile(own, "--older-than", "0", "--apply", code=0)
    assert kinds(findings) == [("lost-row", row["key"], "repaired")]
    await completed(own, [lost, left])
    await drained(own)
    await check_bytes(own, http, [lost, left])
    answer = await http.get(f"/batches/{lost.batch_id}")
    assert answer.json()["status"] == "completed"
    await reconcile(own, "--older-than", "0", code=0)
    check_chains(sorted(await read_history(own), key=lambda step: step[2]))
    log = await read_log(http)
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))
    assert log[-1].data.batch_id == lost.batch_id
    assert await dead_letters(own) == 0


async def test_a_catalog_that_lost_everything_is_rebuilt_from_the_store(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    kept = await keep(uploader, 5)
    await completed(own, kept)
    await drained(own)
    connection = await psycopg.AsyncConnection.connect(own.database_url("catalog"))
    async with connection:
        await connection.execute(
            "truncate batches, uploads, objects, recordings, status_history, inbox, idempotency"
        )
    findings, _ = await reconcile(own, "--apply", "--older-than", "0", code=0)
    assert len(findings) >= len(kept)
    await completed(own, kept)
    await drained(own)
    await check_bytes(own, http, kept)
    await check_store(own)
    await reconcile(own, "--older-than", "0", code=0)
    await check_works(own, uploader)


async def test_an_object_nobody_acknowledged_is_removed_only_when_asked_and_old_enough(
    own: Stack, uploader: Client
) -> None:
    await check_works(own, uploader)
    key = "tenants/dev/recordings/2026/01/01/rec_0000000000/stray.wav"
    access = own.s3
    store = Minio(
        access.url.removeprefix("http://"),
        access.access_key,
        access.secret_key,
        secure=False,
        region="us-east-1",
    )
    store.put_object(access.bucket, key, io.BytesIO(b"stray"), 5)
    seen = object_store(own)

    findings, _ = await reconcile(own, code=0)
    assert findings == [], "it may belong to an upload under way"
    findings, _ = await reconcile(own, "--apply", "--older-than", "1h", code=0)
    assert findings == []
    findings, _ = await reconcile(own, "--older-than", "0", code=SOME_FAILED)
    assert kinds(findings) == [("orphan", key, "found")]
    assert await seen.stat(key) is not None
    findings, _ = await reconcile(own, "--apply", "--older-than", "0", code=0)
    assert kinds(findings) == [("orphan", key, "repaired")]
    assert await seen.stat(key) is None
    await seen.close()
    await check_store(own)


async def test_a_row_without_its_object_is_found_and_its_recording_fails(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    lost, left = await keep(uploader, 2)
    await completed(own, [lost, left])
    await drained(own)
    row = await row_of(own, lost)
    store = object_store(own)
    await store.delete(row["key"])
    await store.close()
    played = await http.get(f"/media/{lost.recording_id}?proxy=1")
    assert (played.status_code, played.json()["code"]) == (404, "object-missing")
    findings, _ = await reconcile(own, "--older-than", "0", code=SOME_FAILED)
    assert kinds(findings) == [("missing-object", row["key"], "found")]
    await reconcile(own, "--apply", "--older-than", "0", code=0)

    async def told() -> bool:
        [row] = await rows(own, "select state from objects where upload_id = %s", upload_id)
        return bool(row["state"] == "damaged")

    upload_id = row["upload_id"]
    await eventually(told)
    await reconcile(own, "--older-than", "0", code=0)
    await check_bytes(own, http, [left])
