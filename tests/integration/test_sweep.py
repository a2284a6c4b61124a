"""The sweep on a real stack, after an outage that lasted longer than its patience."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from sluice_contracts.facts import CallUpload, StoredBytes, UploadReceived
from sluice_contracts.topology import (
    DEAD_LETTERS,
    EVENTS,
    STORAGE_UPLOADS,
    dead_letter_subject,
)
from sluice_devkit.stack import Stack
from sluice_runtime.dead_letters import Origin, letter_headers
from tests.checks import check_store, dead_letters, drained
from tests.stream import said_by, say
from tests.support import bus, eventually, http_client, object_store, sluice

BODY = b"\xff\xfb\x90\x64" + bytes(2000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sweeping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack that sweeps all the time, and gives nothing any time to settle."""
    settings = {"SLUICE_ORPHAN_AGE_SECONDS": "0", "SLUICE_SWEEP_INTERVAL_SECONDS": "0.1"}
    folder = tmp_path_factory.mktemp("sweeping")
    async with Stack(folder, settings={"storage": settings}) as running:
        yield running


async def receive_call(stack: Stack, call_id: uuid.UUID) -> str:
    """Do what a gateway does before it answers 202; the key of the object."""
    key, now = f"2026/11/20/{call_id}.mp3", datetime.now(UTC)
    upload_id = f"upl_{call_id.hex}"
    store = object_store(stack)
    await store.write(key, BODY, "audio/mpeg")
    await store.close()
    fact = UploadReceived(
        tenant="dev",
        upload_id=upload_id,
        bytes=StoredBytes(
            bucket=stack.s3.bucket,
            key=key,
            size_bytes=len(BODY),
            sha256=hashlib.sha256(BODY).hexdigest(),
            content_type="audio/mpeg",
        ),
        registration=CallUpload(
            call_id=call_id,
            filename="call.mp3",
            format="mp3",
            company_name="Acme Corp",
            contact_email="john@acme.com",
            call_type="demo",
            created_at=now,
            created_by="development",
        ),
        claim_id="clm_00000001",
        received_at=now,
    )
    await say(stack, said_by(fact, f"{upload_id}:received", "gateway"))
    return key


async def is_left(stack: Stack, key: str) -> bool:
    """Whether a storage that comes back leaves an object alone: it has swept another."""
    orphan = f"2026/11/20/{uuid.uuid4()}.mp3"
    store = object_store(stack)
    await store.write(orphan, BODY, "audio/mpeg")
    await stack.start("storage")
    await stack.wait_ready("storage")

    async def swept() -> bool:
        return await store.stat(orphan) is None

    try:
        await eventually(swept)
        return await store.stat(key) is not None
    finally:
        await store.close()


async def test_what_a_killed_storage_had_in_hand_is_not_taken_for_an_orphan(
    sweeping: Stack,
) -> None:
    """It comes again only after the ack wait; until then nobody but the stream knows its owner."""
    await sweeping.kill("storage")
    call_id = uuid.uuid4()
    key = await receive_call(sweeping, call_id)
    async with bus(sweeping, "storage") as connection:
        jetstream = connection.jetstream()
        reader = await jetstream.pull_subscribe_bind(STORAGE_UPLOADS.name, EVENTS.name)
        assert len(await reader.fetch(1)) == 1
    assert await is_left(sweeping, key)
    await drained(sweeping)
    async with http_client(sweeping) as http:
        played = await http.get(f"/api/v1/calls/{call_id}/audio", params={"proxy": 1})
    assert played.status_code == 200, played.text
    assert played.content == BODY
    await check_store(sweeping)
    assert await dead_letters(sweeping) == 0


async def test_bytes_whose_news_was_set_aside_wait_for_who_sends_it_again(sweeping: Stack) -> None:
    """An upload that was answered with 202 is not lost because nobody could handle it at first."""
    await sweeping.stop("storage")
    call_id = uuid.uuid4()
    key = await receive_call(sweeping, call_id)
    aside = dead_letter_subject(EVENTS.name, STORAGE_UPLOADS.name)
    async with bus(sweeping, "storage") as connection:
        jetstream = connection.jetstream()
        reader = await jetstream.pull_subscribe_bind(STORAGE_UPLOADS.name, EVENTS.name)
        (news,) = await reader.fetch(1)
        origin = Origin(EVENTS.name, STORAGE_UPLOADS.name, news.metadata.sequence.stream, 8)
        headers = letter_headers(origin, news.subject, news.headers, "exhausted")
        await jetstream.publish(aside, news.data, stream=DEAD_LETTERS.name, headers=headers)
        await news.term()
    assert await is_left(sweeping, key)
    replayed = await sluice(sweeping, "dlq", "replay", "--all")
    assert replayed.code == 0, replayed.errors
    await drained(sweeping)
    async with http_client(sweeping) as http:
        played = await http.get(f"/api/v1/calls/{call_id}/audio", params={"proxy": 1})
    assert played.content == BODY
    assert await dead_letters(sweeping) == 0
