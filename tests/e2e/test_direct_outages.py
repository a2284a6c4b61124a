"""Direct uploads while members of the stack are away: nothing that was promised is lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
import pytest_asyncio

from sluice_devkit.stack import Stack
from sluice_storage.domain import incoming_key
from tests.support import object_store, sluice

from .api import MIB, Account, Footprint, account, catalog, eventually, noise, problem, sha256
from .direct import (
    OBJECTS,
    PART,
    UPLOADS,
    begin,
    complete,
    in_store,
    key_of,
    send,
    send_parts,
    state,
    stored,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shaken(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack to break, that sweeps all the time whatever no upload can still be beginning."""
    sweeping = {"SLUICE_ORPHAN_AGE_SECONDS": "5", "SLUICE_SWEEP_INTERVAL_SECONDS": "0.2"}
    folder = tmp_path_factory.mktemp("shaken")
    async with Stack(folder, settings={"storage": sweeping}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(shaken: Stack) -> AsyncIterator[Account]:
    async with account(shaken) as one:
        yield one


@asynccontextmanager
async def no_new_objects(stack: Stack) -> AsyncIterator[None]:
    """The catalog cannot commit the row of an object while this lasts."""
    connection = await psycopg.AsyncConnection.connect(stack.database_url("catalog"))
    async with connection:
        await connection.execute("lock table objects in exclusive mode")
        yield
        await connection.rollback()


class TestOutages:
    async def test_a_catalog_that_is_away_can_be_asked_again(self, client: Account) -> None:
        data = noise(1000, seed=90)
        begun = await begin(client, size_bytes=len(data))
        await send(begun["put"]["url"], data)
        await client.stack.kill("catalog")
        problem(await complete(client, begun), 503, "catalog-unavailable")
        await client.stack.start("catalog")
        await client.stack.wait_ready("catalog")
        answer = await complete(client, begun, sha256=sha256(data))
        assert answer.status_code == 200, answer.text

    async def test_what_was_accepted_is_registered_later(self, client: Account) -> None:
        data = noise(PART + 10, seed=91)
        begun = await begin(client)
        await send_parts(begun, data)
        async with no_new_objects(client.stack):
            answer = await complete(client, begun, sha256=sha256(data))
            assert answer.status_code == 202, answer.text
            assert answer.json()["completing"]
            assert answer.headers["location"] == f"{UPLOADS}/{begun['upload_id']}"
            parts = f"{UPLOADS}/{begun['upload_id']}/parts"
            busy = await eventually(
                lambda: client.http.post(parts, json={"numbers": [1]}),
                lambda answer: answer.status_code != 503,
            )
            problem(busy, 409, "upload-completing")
            await client.stack.kill("catalog")
        await client.stack.start("catalog")
        await client.stack.wait_ready("catalog")
        await eventually(lambda: state(client, begun), lambda now: now["status"] == "registered")
        assert (await complete(client, begun)).json()["sha256"] == sha256(data)
        played = await client.http.get(f"{OBJECTS}/{begun['object_id']}/content?proxy=1")
        assert played.content == data

    async def test_a_storage_that_dies_while_it_reads_goes_on_later(self, client: Account) -> None:
        data = noise(64 * MIB, seed=92)
        begun = await begin(client, size_bytes=len(data))
        await send(begun["put"]["url"], data)
        completing = asyncio.create_task(complete(client, begun, sha256=sha256(data)))
        await eventually(lambda: state(client, begun), lambda now: now["status"] == "uploading")
        await client.stack.kill("storage")
        await client.stack.start("storage")
        answer = await completing
        assert answer.status_code in (200, 202, 503), answer.text

        async def again() -> httpx.Response:
            return await complete(client, begun, sha256=sha256(data))

        await eventually(again, lambda answer: answer.status_code == 200)

    async def test_open_uploads_are_not_swept(self, client: Account) -> None:
        data = noise(PART + 10, seed=93)
        begun = await begin(client)
        sent = await send_parts(begun, data)
        whole = await begin(client, size_bytes=5)
        await send(whole["put"]["url"], b"12345")
        store = object_store(client.stack)
        # Whatever nobody owns is gone after the next sweep: by then it has met ours, too.
        for _ in range(2):
            await store.start_session("tenants/nobody/uploads/x", "audio/wav")
            await store.write("tenants/nobody/uploads/y", b"y", "audio/wav")

            async def nobody_left() -> bool:
                kept = await store.open_sessions()
                gone = await store.stat("tenants/nobody/uploads/y") is None
                return gone and not [one for one in kept if "nobody" in one.key]

            await eventually(nobody_left, bool)
        await store.close()
        assert (await complete(client, begun, parts=sent)).status_code == 200
        assert (await complete(client, whole)).status_code == 200

    async def test_rows_the_catalog_lost_are_brought_back(self, client: Account) -> None:
        presigned = await client.presign("a.wav")
        alone = await stored(client, noise(200, seed=94), metadata={"n": [1]})
        member = await stored(client, noise(200, seed=95), batch_id=presigned["batch_id"])

        def is_noted(left: Footprint) -> bool:
            return len([key for key in left.objects if key.startswith("registrations/")]) == 2

        await eventually(client.footprint, is_noted)
        for table in ("direct_uploads", "objects", "uploads", "batches"):
            await catalog(
                client.stack,
                f"delete from {table} where tenant = %s",
                client.tenant,
            )
        problem(await client.http.get(f"{UPLOADS}/{alone['upload_id']}"), 404)
        ended = await sluice(client.stack, "reconcile", "--apply", "--older-than", "0")
        assert "lost-row" in ended.output, ended.errors
        for one in (alone, member):
            now = await eventually(
                lambda one=one: client.http.get(f"{UPLOADS}/{one['upload_id']}"),
                lambda answer: answer.status_code == 200,
            )
            found = now.json()
            assert found["status"] == "registered"
            for name in ("sha256", "size_bytes", "metadata", "filename"):
                assert found[name] == one[name]
        assert (await client.batch(presigned["batch_id"]))["status"] == "open"

    async def test_other_bytes_in_the_store_are_noticed(self, client: Account) -> None:
        done = await stored(client, noise(200, seed=96))
        store = object_store(client.stack)
        await store.write(await key_of(client, done), noise(300, seed=97), "audio/wav")
        await store.close()
        ended = await sluice(client.stack, "reconcile", "--older-than", "0", "--json")
        found = [json.dumps(line) for line in ended.lines()]
        (told,) = [line for line in found if done["upload_id"] in line]
        assert "size-mismatch" in told

    async def test_what_is_put_after_the_end_is_swept(self, client: Account) -> None:
        """No store can refuse it while the signature lasts."""
        data = noise(200, seed=98)
        done = await stored(client, data, sha256=sha256(data))
        incoming = incoming_key(await key_of(client, done))
        assert not await in_store(client.stack, incoming)
        await send(done["put"]["url"], noise(200, seed=99))
        await eventually(lambda: in_store(client.stack, incoming), lambda is_there: not is_there)
        played = await client.http.get(f"{OBJECTS}/{done['object_id']}/content?proxy=1")
        assert played.content == data
