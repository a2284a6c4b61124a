"""Callers that the doors that take forms turn away, before they have sent much."""

import itertools
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sluice_contracts.topology import AUTH_CHANGED
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import bus

from .api import ALL_SCOPES, MIB, Account, catalog, eventually, line, make_key, problem, sha256
from .calls import mp3
from .doors import (
    BOUNDARY,
    CONTENT_TYPE,
    DOORS,
    Door,
    form_of,
    length,
    open_door,
    part,
    refused,
    unharmed,
)
from .recorders import administrator

NOBODY = "X-API-Key: nobodys"
END = f"--{BOUNDARY}--\r\n".encode()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _unharmed(stack: Stack) -> AsyncIterator[None]:
    async with unharmed(stack):
        yield


@pytest_asyncio.fixture(loop_scope="session", params=DOORS)
async def door(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Door]:
    """Each door in turn."""
    async with open_door(stack, request.param) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def renders(stack: Stack) -> AsyncIterator[Door]:
    async with open_door(stack, "renders") as one:
        yield one


class TestAccess:
    async def test_a_stranger_gets_401_and_keeps_the_body(self, door: Door) -> None:
        # At the door of renders a token may still come in the body.
        silences = () if door.name == "renders" else ("X-Nothing: x",)
        async with door.nothing_left():
            for credential in (NOBODY, "Authorization: Bearer nobodys", *silences):
                for lines in ((), ("Expect: 100-continue",)):
                    async with line(door.stack) as one:
                        size = length(500 * MIB)
                        await one.say(door.head(size, *lines, credential=credential))
                        refused(await one.hear(), 401, "unauthorized")
            async with plain_client(base_url=door.stack.url) as anybody:
                headers = {"Content-Type": CONTENT_TYPE, "X-API-Key": "nobodys"}
                body = door.good(mp3(3 * MIB))
                answer = await anybody.post(door.path, content=body, headers=headers)
                refused(answer, 401, "unauthorized")

    async def test_the_body_is_asked_for_once_all_else_is_right(self, door: Door) -> None:
        body = door.good()
        for size, code in ((2**40, "body-too-large"), (len(body), None)):
            async with line(door.stack) as one:
                await one.say(door.head(length(size), "Expect: 100-continue"))
                if code:
                    refused(await one.hear(), 413, code)
                    continue
                assert (await one.hear()).status_code == 100
                await one.say(body)
                assert (await one.hear()).status_code == door.success

    async def test_who_may_not_is_told_before_the_body(self, door: Door) -> None:
        scopes = [one for one in (*ALL_SCOPES, "admin") if one != f"{door.name}:write"]
        credential = f"X-API-Key: {await make_key(door.stack, door.caller.tenant, scopes)}"
        async with door.nothing_left(), line(door.stack) as one:
            await one.say(door.head(length(500 * MIB), credential=credential))
            refused(await one.hear(), 403, "forbidden")

    async def test_a_render_of_nobody_is_refused_before_its_end(self, renders: Door) -> None:
        nobody = part("token", b"nobodys")
        body = form_of(*renders.field_parts(), renders.file(mp3(3 * MIB)))
        for before in (b"", form_of(nobody).removesuffix(END)):
            form = before + body
            async with renders.nothing_left(), line(renders.stack) as one:
                await one.say(renders.head(length(200 * MIB), credential="X-Nothing: x"))
                await one.say(form.removesuffix(END))
                refused(await one.hear(), 401, "unauthorized")

    @pytest.mark.parametrize("name", ["token", "key", "access_token", "api_key"])
    async def test_a_token_counts_in_no_address_and_no_field_that_is_not_documented(
        self, door: Door, name: str
    ) -> None:
        if (door.name, name) == ("renders", "token"):
            return
        token = door.credential.rpartition(" ")[2]
        async with door.nothing_left(), plain_client(base_url=door.stack.url) as anybody:
            form = form_of(part(name, token.encode()), *door.field_parts(), door.file(mp3()))
            headers = {"Content-Type": CONTENT_TYPE}
            for params in ({name: token}, {}):
                answer = await anybody.post(door.path, content=form, headers=headers, params=params)
                refused(answer, 401, "unauthorized")
            for path in door.places_of(str(uuid.uuid4())):
                answer = await anybody.get(path.partition("?")[0], params={name: token})
                refused(answer, 401, "unauthorized")

    async def test_what_belongs_to_another_tenant_is_not_there(
        self, door: Door, stranger: Account
    ) -> None:
        async with open_door(door.stack, door.name) as theirs:
            paths = theirs.places_of(await theirs.uploaded(mp3()))
            async with theirs.nothing_left():
                for path, http in itertools.product(paths, (door.http, stranger.http)):
                    refused(await http.get(path), 404, f"{door.kind}-not-found")
                if door.name == "chunks":
                    refused(await door.post(theirs.good()), 403, "foreign-device")

    async def test_an_idempotency_key_of_another_request_is_refused(self, door: Door) -> None:
        if door.name == "chunks":
            # Chunks have no such key: they are told apart by what they are.
            return
        key = {"Idempotency-Key": "one-key"}
        assert (await door.post(door.good(), headers=key)).status_code == door.success
        async with door.nothing_left():
            for body in (door.good(mp3(seed=9)), door.good(mp3(3 * MIB))):
                answer = await door.post(body, headers=key)
                refused(answer, 422, "idempotency-key-reused")

    async def test_an_upload_that_began_before_its_token_was_revoked_ends_well(
        self, door: Door
    ) -> None:
        body = door.good(mp3(3 * MIB))
        async with line(door.stack) as one:
            await one.say(door.head(length(body), "Expect: 100-continue"))
            assert (await one.hear()).status_code == 100
            await one.say(body[: 2 * MIB])
            await revoke(door)

            async def status() -> int:
                return (await door.post(door.good(mp3(seed=3)))).status_code

            await eventually(status, lambda found: found in (401, 403), seconds=2)
            async with door.nothing_left():
                problem(await door.post(body), await status())
            await one.say(body[2 * MIB :])
            answer = await one.hear()
            assert answer.status_code == door.success, answer.text


async def revoke(door: Door) -> None:
    """Take the right to upload from whoever uses a door."""
    if door.name == "chunks":
        path = f"/api/v1/admin/devices/{door.fields['device_id']}"
        async with administrator(door.caller) as admin:
            assert (await admin.patch(path, json={"is_enabled": False})).status_code == 200
        return
    query = "update keys set revoked_at = now() where token_sha256 = %s"
    await catalog(door.stack, query, sha256(door.caller.key.encode()))
    async with bus(door.stack, "catalog") as connection:
        await connection.publish(AUTH_CHANGED, b"")
        await connection.flush()
