"""`sluice upload` as its users run it: interrupted in every way, and resumed."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from sluice_devkit.environments import base_environment
from sluice_devkit.fixtures import patient_stack
from sluice_devkit.ports import HOST, free_ports
from sluice_devkit.stack import Stack

from .api import MIB, Account, account, catalog, eventually, noise, sha256

PART = 8 * MIB
SIZE = 66 * MIB
PARTS = 9
# With two parts in flight at least two have arrived by then.
HALF_WAY = 4.5 * PART
LARGE = noise(SIZE, seed=90)
_SECONDS = 90
_PIECE = 64 * 1024
ALL_DONE, SOME_FAILED, USAGE, REFUSED, NETWORK, INTEGRITY = range(6)


class Road:
    """The way from a client to the store: it lets through what it is told to, then nothing."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.store: str | None = None
        self._left: float = float("inf")
        self._moved = asyncio.Event()

    def close_after(self, size: float) -> None:
        self._left = size
        self._moved.set()

    def open(self) -> None:
        self.close_after(float("inf"))

    @property
    def is_closed(self) -> bool:
        return self._left <= 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as both ends are there."""
        parts = urlsplit(self.store or "")
        with suppress(OSError):
            there, onward = await asyncio.open_connection(parts.hostname, parts.port)
            ways = (
                asyncio.create_task(self._copy(reader, onward, counted=True)),
                asyncio.create_task(self._copy(there, writer, counted=False)),
            )
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            onward.transport.abort()
        writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                if counted:
                    while self.is_closed:
                        self._moved.clear()
                        await self._moved.wait()
                    self._left -= len(piece)
                writer.write(piece)
                await writer.drain()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def road() -> AsyncIterator[Road]:
    one = Road()
    server = await asyncio.start_server(one.carry, HOST, one.port)
    async with server:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def far(road: Road, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose store has another address outside than inside."""
    settings = {"storage": {"SLUICE_S3_PUBLIC_URL": f"http://{HOST}:{road.port}"}}
    async with patient_stack(tmp_path_factory.mktemp("far"), settings=settings) as running:
        road.store = running.s3.url
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def sender(far: Stack, road: Road) -> AsyncIterator[Account]:
    road.open()
    async with account(far) as one:
        yield one
    road.open()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


@dataclass(frozen=True)
class Done:
    code: int
    results: list[dict[str, Any]]
    err: str


class Running:
    """The command while it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ended(self) -> Done:
        out, err = await asyncio.wait_for(self.process.communicate(), _SECONDS)
        results = [json.loads(line) for line in out.decode().splitlines()]
        return Done(self.process.returncode or 0, results, err.decode())


@asynccontextmanager
async def running(sender: Account, *arguments: object, **variables: str) -> AsyncIterator[Running]:
    """`sluice upload`, told who sends; its ledger lies where its home is."""
    program = str(Path(sys.executable).with_name("sluice"))
    home = sender.stack.data / f"home-{sender.tenant}"
    where = {"SLUICE_BASE_URL": sender.stack.url, "SLUICE_API_KEY": sender.key}
    process = await asyncio.create_subprocess_exec(
        *(program, "upload", "--json", *map(str, arguments)),
        env=base_environment() | {"HOME": str(home)} | where | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def upload(sender: Account, *arguments: object, **variables: str) -> Done:
    async with running(sender, *arguments, **variables) as one:
        return await one.ended()


async def parts_there(sender: Account) -> list[int]:
    """The numbers of the parts of the one upload of a tenant."""
    query = "select upload_id from direct_uploads where tenant = %s"
    found = await catalog(sender.stack, query, sender.tenant)
    if not found:
        return []
    answer = await sender.http.get(f"/api/v1/uploads/{found[0][0]}")
    return [one["number"] for one in answer.json()["parts"]]


async def stuck(sender: Account, road: Road) -> Sequence[int]:
    """The parts that are there when the road has let through all it does."""

    async def look() -> list[int]:
        return await parts_there(sender) if road.is_closed else []

    return await eventually(look, lambda found: len(found) >= 2)


async def content(sender: Account, done: dict[str, Any]) -> bytes:
    answer = await sender.http.get(f"/api/v1/objects/{done['object_id']}/content?proxy=1")
    assert answer.status_code == 200, answer.text
    return answer.content


class TestFolders:
    async def test_all_that_is_in_them_is_sent_once(self, sender: Account, tmp_path: Path) -> None:
        deep = tmp_path / "folder" / "deep"
        deep.mkdir(parents=True)
        bodies = {f"{number} ü.wav": noise(1000 * number, seed=number) for number in range(1, 8)}
        for name, body in bodies.items():
            (deep / name).write_bytes(body)
        (deep / ".hidden").write_bytes(b"x")
        done = await upload(sender, tmp_path / "folder")
        assert done.code == ALL_DONE, done.err
        sent = {Path(one["file"]).name: one for one in done.results}
        assert {one["status"] for one in done.results} == {"uploaded"}
        assert {name: one["sha256"] for name, one in sent.items()} == {
            name: sha256(body) for name, body in bodies.items()
        }
        assert await content(sender, sent["3 ü.wav"]) == bodies["3 ü.wav"]
        again = await upload(sender, tmp_path / "folder")
        assert again.code == ALL_DONE
        assert {one["status"] for one in again.results} == {"present"}
        assert {one["upload_id"] for one in again.results} == {
            one["upload_id"] for one in done.results
        }

    async def test_a_file_that_changed_is_another_upload(
        self, sender: Account, tmp_path: Path
    ) -> None:
        file = tmp_path / "a.wav"
        file.write_bytes(b"first")
        first = await upload(sender, file)
        file.write_bytes(b"second")
        second = await upload(sender, file)
        assert second.results[0]["status"] == "uploaded"
        assert second.results[0]["upload_id"] != first.results[0]["upload_id"]
        assert await content(sender, first.results[0]) == b"first"

    async def test_what_the_server_no_longer_has_is_sent_again(
        self, sender: Account, tmp_path: Path
    ) -> None:
        file = tmp_path / "a.wav"
        file.write_bytes(b"gone")
        first = await upload(sender, file)
        path = f"/api/v1/uploads/{first.results[0]['upload_id']}"
        assert (await sender.http.delete(path)).status_code == 204
        again = await upload(sender, file)
        assert again.results[0]["status"] == "uploaded"
        assert await content(sender, again.results[0]) == b"gone"

    async def test_files_can_join_a_batch(self, sender: Account, tmp_path: Path) -> None:
        presigned = await sender.presign("first.wav")
        file = tmp_path / "a.wav"
        file.write_bytes(noise(100, seed=2))
        done = await upload(sender, file, "--batch-id", presigned["batch_id"])
        assert done.code == ALL_DONE, done.err
        assert done.results[0]["blob_ref"].startswith("blob://s3/")


class TestInterruptions:
    async def test_a_killed_command_goes_on_with_what_is_missing(
        self, sender: Account, road: Road, large: Path
    ) -> None:
        road.close_after(HALF_WAY)
        async with running(sender, large, "--jobs", 2) as one:
            await stuck(sender, road)
            one.process.kill()
            await one.process.wait()
        road.open()
        there = await parts_there(sender)
        done = await upload(sender, large)
        assert done.code == ALL_DONE, done.err
        assert done.results[0]["status"] == "uploaded"
        assert 0 < done.results[0]["sent_bytes"] <= SIZE - len(there) * PART + PART
        assert sha256(await content(sender, done.results[0])) == sha256(LARGE)
        count = "select count(*) from direct_uploads where tenant = %s"
        assert (await catalog(sender.stack, count, sender.tenant))[0][0] == 1

    async def test_the_first_interrupt_finishes_the_parts_in_flight(
        self, sender: Account, road: Road, large: Path
    ) -> None:
        road.close_after(HALF_WAY)
        async with running(sender, large, "--jobs", 2) as one:
            before = await stuck(sender, road)
            one.process.send_signal(signal.SIGINT)
            assert one.process.stderr is not None
            await one.process.stderr.readuntil(b"in flight")
            road.open()
            done = await one.ended()
        assert done.code == SOME_FAILED
        assert done.results[0]["status"] == "unfinished"
        there = await parts_there(sender)
        assert len(before) < len(there) < PARTS
        done = await upload(sender, large)
        assert done.code == ALL_DONE, done.err
        assert done.results[0]["sent_bytes"] == SIZE - len(there) * PART

    async def test_the_second_interrupt_stops(
        self, sender: Account, road: Road, large: Path
    ) -> None:
        road.close_after(HALF_WAY)
        async with running(sender, large, "--jobs", 2) as one:
            await stuck(sender, road)
            one.process.send_signal(signal.SIGINT)
            assert one.process.stderr is not None
            await one.process.stderr.readuntil(b"in flight")
            one.process.send_signal(signal.SIGINT)
            done = await one.ended()
        assert done.code == 130

    async def test_a_store_that_forgot_the_parts_gets_them_again(
        self, sender: Account, road: Road, far: Stack, large: Path
    ) -> None:
        road.close_after(HALF_WAY)
        async with running(sender, large, "--jobs", 2) as one:
            await stuck(sender, road)
            await far.restart("objects")
            road.open()
            done = await one.ended()
        assert done.code == ALL_DONE, done.err
        assert sha256(await content(sender, done.results[0])) == sha256(LARGE)

    async def test_a_file_that_changes_meanwhile_is_not_kept(
        self, sender: Account, road: Road, large: Path
    ) -> None:
        road.close_after(HALF_WAY)
        async with running(sender, large, "--jobs", 2) as one:
            await stuck(sender, road)
            with large.open("ab") as file:
                file.write(b"more")
            road.open()
            done = await one.ended()
        assert done.code == INTEGRITY
        assert done.results[0]["code"] == "integrity"
        query = "select status from direct_uploads where tenant = %s"
        assert await catalog(sender.stack, query, sender.tenant) == [("cancelled",)]

    async def test_a_server_that_comes_back_is_waited_for(
        self, sender: Account, road: Road, far: Stack, large: Path
    ) -> None:
        road.close_after(HALF_WAY)
        async with running(sender, large, "--jobs", 2) as one:
            await stuck(sender, road)
            await far.kill("catalog")
            road.open()
            assert one.process.stderr is not None
            await one.process.stderr.readuntil(b"trying again")
            await far.start("catalog")
            done = await one.ended()
        assert done.code == ALL_DONE, done.err


class TestWatching:
    async def test_files_are_sent_once_they_are_finished(
        self, sender: Account, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        (folder / "early.wav").write_bytes(b"early")
        unfinished = folder / "late.wav.part"
        unfinished.write_bytes(b"la")
        async with running(sender, "--watch", folder, "--settle", "0.3") as one:
            assert one.process.stdout is not None
            first = json.loads(await one.process.stdout.readline())
            assert first["file"].endswith("early.wav")
            unfinished.write_bytes(b"late")
            unfinished.rename(folder / "late.wav")
            second = json.loads(await one.process.stdout.readline())
            assert (second["file"][-8:], second["size_bytes"]) == ("late.wav", 4)
            one.process.send_signal(signal.SIGINT)
            done = await one.ended()
        assert (done.code, done.results) == (ALL_DONE, [])


class TestRefusals:
    async def test_each_kind_of_failure_has_its_exit_code(
        self, sender: Account, tmp_path: Path
    ) -> None:
        file, empty = tmp_path / "a.wav", tmp_path / "empty.wav"
        file.write_bytes(b"a")
        empty.touch()
        nowhere = f"http://{HOST}:{free_ports(1)[0]}"
        assert (await upload(sender)).code == USAGE
        assert (await upload(sender, tmp_path / "nothing")).code == USAGE
        assert (await upload(sender, file, SLUICE_API_KEY="wrong")).code == REFUSED
        assert (await upload(sender, empty)).code == REFUSED
        assert (await upload(sender, file, "--base-url", nowhere, "--timeout", 0)).code == NETWORK
        both = await upload(sender, file, empty)
        assert both.code == SOME_FAILED
        assert {one["status"] for one in both.results} == {"uploaded", "failed"}
        assert sender.key not in both.err
