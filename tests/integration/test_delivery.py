"""Messages that come twice, late or early, and readers that die in between."""

import json
import random
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import psycopg
import pytest

from sluice_contracts.api import PresignAnswer
from sluice_contracts.facts import (
    ObjectCheckStarted,
    ObjectStored,
    ObjectVerified,
    RecordingRegistered,
    UploadReceived,
)
from sluice_contracts.topology import (
    CATALOG_OBJECTS,
    EVENTS,
    STORAGE_CHECKS,
    STORAGE_DELETIONS,
    STORAGE_UPLOADS,
    Consumer,
)
from sluice_devkit.environments import SERVICES
from sluice_devkit.stack import Stack
from sluice_runtime.facts import derived_id
from sluice_storage.domain import registration_key
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
from tests.stream import (
    BODIES,
    check_works,
    copied_headers,
    headers_of,
    keep,
    last_sequence,
    read_facts,
    read_state,
    repeat,
    said_by,
    say,
    wait_for_fact,
)
from tests.support import (
    PATIENCE,
    Supervisor,
    bus,
    eventually,
    note,
    object_store,
    provision_topology,
    rows,
)
from tests.uploading import Client, some_bytes


async def upload_of(stack: Stack, recording_id: str) -> str:
    query = "select upload_id from recordings where recording_id = %s"
    return str((await rows(stack, query, recording_id))[0]["upload_id"])


async def start(stack: Stack, *names: str) -> None:
    for name in names:
        await stack.start(name)
    for name in names:
        await stack.wait_ready(name, PATIENCE)


@asynccontextmanager
async def undeleted(stack: Stack) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """The relay publishes, but its deletes wait as long as the block lasts.

    What is given lets the one pass that waits, and holds the next. A delete that waits at the end
    is undone, as that of a relay whose machine died.
    """
    url = stack.database_url("catalog")
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        await connection.execute("select pg_advisory_lock(4711)")
        await connection.execute(
            """create or replace function hold() returns trigger
            language plpgsql set lock_timeout = 0 as
            'begin perform pg_advisory_xact_lock_shared(4711); return old; end'"""
        )
        await connection.execute(
            "create trigger hold before delete on outbox for each row execute function hold()"
        )
        try:
            yield partial(
                connection.execute, "select pg_advisory_unlock(4711), pg_advisory_lock(4711)"
            )
        finally:
            await connection.execute(
                """select pg_terminate_backend(pid) from pg_locks
                where locktype = 'advisory' and objid = 4711 and not granted"""
            )
            await connection.execute("select pg_advisory_unlock(4711)")
            await connection.execute("drop trigger hold on outbox")


async def test_a_relay_that_dies_between_publishing_and_deleting_is_heard_once(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    before = await last_sequence(own)
    async with undeleted(own):
        presigned = await uploader.presign()
        said = await wait_for_fact(own, f".batch.status_changed.{presigned.batch_id}", after=before)
        await own.kill("catalog")
    left = await rows(own, "select event_id from outbox")
    assert headers_of(said)["ce-id"] in {row["event_id"] for row in left}
    await start(own, "catalog")
    body = some_bytes(BODIES)
    await uploader.send(presigned.items[0].upload_url, body)
    await completed(own, await uploader.register(presigned, body))
    await drained(own)
    await check_log(own, http)
    assert await dead_letters(own) == 0


async def test_facts_that_leave_as_one_are_heard_once_although_the_relay_dies(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    before = await last_sequence(own)
    async with undeleted(own) as let_one_pass:
        first = await uploader.presign()
        await wait_for_fact(own, f".batch.status_changed.{first.batch_id}", after=before)
        presigned = [await uploader.presign(10) for _ in range(3)]
        await let_one_pass()
        said = await wait_for_fact(
            own, f".batch.status_changed.{presigned[-1].batch_id}", after=before
        )
        batch = headers_of(said)["nats-batch-id"]
        facts = await read_facts(own, after=before)
        together = [one for one in facts if headers_of(one).get("nats-batch-id") == batch]
        assert len(together) >= 30
        await own.kill("catalog")
    left = {row["event_id"] for row in await rows(own, "select event_id from outbox")}
    assert {headers_of(one)["ce-id"] for one in together} <= left
    await start(own, "catalog")
    await drained(own)
    await check_log(own, http)
    ids = [headers_of(fact)["ce-id"] for fact in await read_facts(own, after=before)]
    assert len(set(ids)) == len(ids)
    assert await dead_letters(own) == 0


@pytest.mark.parametrize("inside", [True, False], ids=["inside the window", "after the window"])
async def test_outbox_rows_that_come_back_have_no_second_effect(
    own: Stack, uploader: Client, inside: bool
) -> None:
    kept = await keep(uploader, 3)
    await completed(own, kept)
    await drained(own)
    before = await read_state(own)
    said = [
        fact for fact in await read_facts(own) if headers_of(fact)["ce-source"].endswith("catalog")
    ]
    connection = await psycopg.AsyncConnection.connect(own.database_url("catalog"))
    async with connection:
        for fact in said:
            headers, event_id = copied_headers(fact), headers_of(fact)["ce-id"]
            if inside:
                headers["Nats-Msg-Id"] = event_id
            await connection.execute(
                """insert into outbox (event_id, aggregate_id, subject, headers, payload)
                values (%s, %s, %s, %s, %s)""",
                (
                    event_id,
                    headers_of(fact)["ce-subject"],
                    fact.subject,
                    json.dumps(headers),
                    (fact.data or b"").decode(),
                ),
            )
    stored = await last_sequence(own)
    await drained(own)
    assert await read_state(own) == before
    assert await dead_letters(own) == 0
    note(
        f"outbox rows back {'inside' if inside else 'after'} the window: {len(said)}, "
        f"stored again: {await last_sequence(own) - stored}"
    )


async def test_facts_repeated_in_any_order_have_no_second_effect(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    kept = await keep(uploader, 4)
    await completed(own, kept)
    await drained(own)
    before = await read_state(own)
    copies = await read_facts(own) * 2
    random.Random("order").shuffle(copies)
    number = await repeat(own, copies)
    await drained(own)
    assert await read_state(own) == before
    await check_bytes(own, http, kept)
    await check_store(own)
    assert await dead_letters(own) == 0
    note(f"facts again, twice and shuffled: {number}, all absorbed")


async def test_a_fact_and_its_copies_in_one_batch_count_once(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    """Each reader is away while its facts are said three times, and finds them all at once."""
    presigned, body = await uploader.presign(), some_bytes(BODIES)
    await uploader.fail(presigned.items[0].upload_url)
    await drained(own)
    start_of_it = await last_sequence(own)
    await own.stop("notifier")

    upload_id = await only_upload(own, presigned)
    await own.stop("storage")
    assert await uploader.send(presigned.items[0].upload_url, body) == 202
    received = await wait_for_fact(own, f".upload.received.{upload_id}")
    await repeat(own, [received] * 2)

    await own.stop("catalog")
    await start(own, "storage")
    stored = await wait_for_fact(own, f".object.stored.{upload_id}")
    await repeat(own, [stored] * 2)
    await start(own, "catalog")

    async def is_registered() -> bool:
        query = "select status from uploads where batch_id = %s"
        [row] = await rows(own, query, presigned.batch_id)
        return bool(row["status"] == "registered")

    await eventually(is_registered)
    await own.stop("storage")
    [one] = await uploader.register(presigned, body)
    registered = await wait_for_fact(own, f".recording.registered.{one.recording_id}")
    await repeat(own, [registered] * 2)

    await own.stop("catalog")
    await start(own, "storage")
    verified = await wait_for_fact(own, f".object.verified.{upload_id}")
    began = await wait_for_fact(own, f".object.check_started.{upload_id}")
    await repeat(own, [verified, began] * 2)
    await start(own, "catalog")
    await completed(own, [one])

    statuses = await read_facts(own, after=start_of_it, containing=".status_changed.")
    assert len(statuses) >= 3 + 3
    await repeat(own, [*reversed(statuses), *statuses])
    await start(own, "notifier")
    await drained(own)
    await check_log(own, http)
    await check_bytes(own, http, [one])
    assert await dead_letters(own) == 0


async def test_a_small_body_is_registered_while_storage_is_away(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    """The store itself said that it holds what was sent; the registration follows."""
    presigned, body = await uploader.presign(), some_bytes(BODIES)
    await own.stop("storage")
    assert await uploader.send(presigned.items[0].upload_url, body) == 201
    await start(own, "storage")
    [one] = await uploader.register(presigned, body)
    await completed(own, [one])
    await drained(own)
    await check_bytes(own, http, [one])
    await check_store(own)


async def only_upload(stack: Stack, presigned: PresignAnswer) -> str:
    query = "select upload_id from uploads where batch_id = %s"
    [row] = await rows(stack, query, presigned.batch_id)
    return str(row["upload_id"])


async def test_a_proof_that_overtakes_its_beginning_completes_the_recording(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    presigned, body = await uploader.presign(), some_bytes(BODIES)
    await uploader.send(presigned.items[0].upload_url, body)
    await own.stop("storage")
    [one] = await uploader.register(presigned, body)
    fact = await wait_for_fact(own, f".recording.registered.{one.recording_id}")
    registered = RecordingRegistered.model_validate_json(fact.data or b"")
    about = {"tenant": registered.tenant, "upload_id": registered.upload_id}
    event_id, now = headers_of(fact)["ce-id"], datetime.now(UTC)
    verified = ObjectVerified(**about, sha256=one.sha256, verified_at=now)
    began = ObjectCheckStarted(**about, started_at=now)
    await say(own, said_by(verified, derived_id(event_id, "verified"), "storage"))
    await completed(own, [one])
    await say(own, said_by(began, derived_id(event_id, "check_started"), "storage"))
    await start(own, "storage")
    await drained(own)
    chains = check_chains(sorted(await read_history(own), key=lambda step: step[2]))
    assert chains["recording", one.recording_id] == ["queued", "processing", "completed"]
    await check_log(own, http)


async def test_late_news_of_a_failed_attempt_does_not_harm_what_a_later_one_stored(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    [one] = await keep(uploader)
    await completed(own, [one])
    await drained(own)
    upload_id = await upload_of(own, one.recording_id)
    [fact] = await read_facts(own, ending=f".upload.received.{upload_id}")
    received = UploadReceived.model_validate_json(fact.data or b"")
    other = received.bytes.model_copy(update={"size_bytes": 1, "sha256": "0" * 64})
    earlier = received.received_at - timedelta(minutes=1)
    attempt = {"claim_id": "clm_earlier", "received_at": earlier, "reply_to": None}
    late = received.model_copy(update={"bytes": other, **attempt})
    before, store = await read_state(own), object_store(own)
    beside = await store.read(registration_key(received.bytes.key))
    await say(own, said_by(late, str(uuid.uuid4()), "gateway"))
    await wait_for_fact(own, f".object.rejected.{upload_id}")
    await drained(own)
    assert await read_state(own) == before
    assert await store.read(registration_key(received.bytes.key)) == beside
    await store.close()
    await check_bytes(own, http, [one])


async def test_two_stored_attempts_of_one_upload_are_one_recording(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    """The first attempt was answered with 503 and went through all the same."""
    presigned, body = await uploader.presign(), some_bytes(BODIES)
    await uploader.fail(presigned.items[0].upload_url)
    await drained(own)
    await own.stop("storage")
    upload_id = await only_upload(own, presigned)
    assert await uploader.send(presigned.items[0].upload_url, body) == 202
    fact = await wait_for_fact(own, f".upload.received.{upload_id}")
    received = UploadReceived.model_validate_json(fact.data or b"")
    await say(own, *(said_by(received, str(uuid.uuid4()), "gateway") for _ in range(3)))
    await start(own, "storage")
    [one] = await uploader.register(presigned, body)
    await completed(own, [one])
    await drained(own)
    stored = await read_facts(own, ending=f".object.stored.{upload_id}")
    assert len({headers_of(one)["ce-id"] for one in stored}) == 4
    assert len({ObjectStored.model_validate_json(one.data or b"").bytes for one in stored}) == 1
    chains = check_chains(sorted(await read_history(own), key=lambda step: step[2]))
    assert chains["upload", upload_id] == ["created", "uploading", "stored", "registered"]
    await check_log(own, http)


async def test_a_killed_notifier_goes_on_where_the_log_ends(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    for _ in range(3):
        await keep(uploader)
        await own.kill("notifier")
        kept = await keep(uploader)
        await start(own, "notifier")
        await completed(own, kept)
    await check_log(own, http)


@pytest.mark.parametrize(
    "consumer",
    [CATALOG_OBJECTS, STORAGE_UPLOADS, STORAGE_CHECKS, STORAGE_DELETIONS],
    ids=lambda consumer: consumer.name,
)
async def test_a_service_without_its_consumer_is_not_ready_and_a_new_one_repeats_nothing(
    own: Stack, http: httpx.AsyncClient, uploader: Client, consumer: Consumer
) -> None:
    await check_works(own, uploader)
    await drained(own)
    before = await read_state(own)
    async with bus(own, "topology") as connection:
        await connection.jetstream(timeout=10).delete_consumer(EVENTS.name, consumer.name)

    async def noticed() -> bool:
        if consumer.service not in own.pids:
            return True
        try:
            answer = await http.get(f"{own.service_url(consumer.service)}/readyz")
        except httpx.TransportError:
            return False
        return answer.status_code == 503

    await eventually(noticed)
    async with Supervisor(own).watching() as supervisor:
        await provision_topology(own)
        await eventually(lambda: is_ready(own, http, consumer.service))
        # The new consumer delivers the whole stream again.
        await drained(own)
        assert await read_state(own) == before
        await check_works(own, uploader)
        await check_log(own, http)
        note(f"{consumer.name} made anew; restarts {dict(supervisor.restarts)}")
    assert await dead_letters(own) == 0


async def is_ready(stack: Stack, http: httpx.AsyncClient, service: str) -> bool:
    try:
        return (await http.get(f"{stack.service_url(service)}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_bus_that_lost_everything_does_not_tear_the_log(
    own: Stack, http: httpx.AsyncClient, uploader: Client
) -> None:
    await check_works(own, uploader)
    await drained(own)
    log = await check_log(own, http)
    await own.stop("nats")
    shutil.rmtree(own.data / "nats" / "store")
    async with Supervisor(own).watching() as supervisor:
        await own.start("nats")
        await own.wait_ready("nats", PATIENCE)
        await provision_topology(own)
        for service in SERVICES:
            await supervisor.restart(service)
        assert await last_sequence(own) == 0
        kept = await keep(uploader, 3)
        await completed(own, kept)
        await drained(own)
        longer = await check_log(own, http)
        note(f"bus wiped; restarts {dict(supervisor.restarts)}")
    assert longer[: len(log)] == log
    assert len(longer) > len(log)
    await check_bytes(own, http, kept)
