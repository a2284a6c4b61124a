"""What tests on a running stack share: waiting, and looking into every corner of it."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import nats
import psycopg
from nats.aio.client import Client as Connection
from psycopg.rows import dict_row
from pydantic import JsonValue, TypeAdapter

from sluice_devkit.environments import SERVICES, base_environment
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from sluice_runtime.objects import ObjectStore

T = TypeVar("T")

Row = dict[str, Any]
Json = dict[str, JsonValue]

PATIENCE = 120.0
"""Seconds within which anything healthy settles, also on a busy machine."""
REDELIVERY = 300.0
"""As `PATIENCE`, when what was in flight comes again only after the ack wait of 30 s, or when all
that nobody waits for is to be done, too."""
_POLL_SECONDS = 0.1
_LINES: TypeAdapter[Json] = TypeAdapter(Json)


async def eventually(condition: Callable[[], Awaitable[T]], seconds: float = PATIENCE) -> T:
    """The first true value of `condition`, asked again and again.

    A failed assertion means: not yet. The last one is what is reported at the deadline.
    """
    deadline = time.monotonic() + seconds
    while True:
        failure = AssertionError(f"not within {seconds:g} s: {condition!r}")
        try:
            if value := await condition():
                return value
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure
        await asyncio.sleep(_POLL_SECONDS)


def http_client(stack: Stack) -> httpx.AsyncClient:
    """The public API with the development key; patient, as joining large parts takes a while."""
    timeout = httpx.Timeout(90.0, connect=5.0)
    return plain_client(base_url=stack.url, headers={"X-API-Key": stack.key}, timeout=timeout)


def object_store(stack: Stack) -> ObjectStore:
    """The bucket, seen with the credentials of storage."""
    access = stack.s3
    return ObjectStore(
        access.url,
        access_key=access.access_key,
        secret_key=access.secret_key,
        bucket=access.bucket,
        region="us-east-1",
    )


@asynccontextmanager
async def bus(
    stack: Stack, user: str, errors: list[str] | None = None
) -> AsyncIterator[Connection]:
    """A connection as one of the NATS users; `errors` collects what the server complains of."""

    async def complain(error: Exception) -> None:
        if errors is not None:
            errors.append(str(error))

    connection = await nats.connect(
        stack.nats_url,
        user=user,
        password=stack.nats_users[user],
        inbox_prefix=f"_INBOX_{user}".encode(),
        error_cb=complain,
        connect_timeout=10,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def rows(stack: Stack, query: str, *values: Any, database: str = "catalog") -> list[Row]:
    """What a query finds, on a connection of its own."""
    url = stack.database_url(database)
    connection = await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True)
    async with connection:
        cursor = await connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


async def count(stack: Stack, table: str, database: str = "catalog") -> int:
    found = await rows(stack, f"select count(*) as n from {table}", database=database)
    return int(found[0]["n"])


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    output: str
    errors: str

    def lines(self) -> list[Json]:
        """The output of a command that prints JSON lines."""
        return [_LINES.validate_json(line) for line in self.output.splitlines()]


async def _run(command: Iterable[str], environment: Mapping[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**base_environment(), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, output.decode(), errors.decode())


async def sluice(stack: Stack, *arguments: str) -> Ended:
    """The `sluice` command, run by an operator."""
    program = str(Path(sys.executable).with_name("sluice"))
    environment = {
        "SLUICE_NATS_URL": stack.nats_url,
        "SLUICE_NATS_PASSWORD": stack.nats_users["operator"],
    }
    return await _run((program, *arguments), environment)


async def provision_topology(stack: Stack) -> Ended:
    """`python -m sluice_runtime.topology`, as a deployment runs it."""
    environment = {
        "SLUICE_NATS_URL": stack.nats_url,
        "SLUICE_NATS_USER": "topology",
        "SLUICE_NATS_PASSWORD": stack.nats_users["topology"],
    }
    ended = await _run((sys.executable, "-P", "-m", "sluice_runtime.topology"), environment)
    assert ended.code == 0, ended.errors
    return ended


class Supervisor:
    """Starts services again that ended by themselves, as whatever runs them would."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._down: set[str] = set()
        # What is being restarted is down for a moment, and nobody else's to start.
        self._restarting = asyncio.Lock()
        self.restarts: Counter[str] = Counter()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Supervisor"]:
        watch = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def _watch(self) -> None:
        while True:
            for name in SERVICES:
                async with self._restarting:
                    if name not in self._down and name not in self._stack.pids:
                        self.restarts[name] += 1
                        await self._stack.start(name)
            await asyncio.sleep(0.5)

    async def restart(self, name: str) -> None:
        """Stop a member in good order and start it again."""
        async with self._restarting:
            await self._stack.restart(name)

    async def kill(self, name: str) -> None:
        """SIGKILL a member and leave it down."""
        self._down.add(name)
        await self._stack.kill(name)

    async def bring_back(self, name: str) -> None:
        await self._stack.start(name)
        self._down.discard(name)
        await self._stack.wait_ready(name, PATIENCE)


def note(text: str) -> None:
    """A figure worth keeping, on the terminal with `pytest -s` or in `SLUICE_TEST_NOTES`."""
    print(text)
    if path := os.environ.get("SLUICE_TEST_NOTES"):
        with Path(path).open("a") as file:
            file.write(text + "\n")
