"""`sluice agent` on a network that breaks and a machine that loses power: every chunk arrives once,
and nothing is deleted that has not arrived."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from sluice_devkit.environments import base_environment
from sluice_devkit.fault_proxy import FINE, FaultProxy, Faults

from .api import PATIENCE_SECONDS, Account, eventually, noise, sha256
from .recorders import START, Recorder, administrator, device_body, recorder, starts
from .test_client import ALL_DONE, REFUSED, program

CHUNKS = 30
BACKLOG = 10
KILLS = 50
# Small enough for many attempts in a short test; a real recorder has minutes.
HASTE = (
    *("--settle", "0.1", "--poll", "0.05"),
    *("--timeout", "1", "--max-wait", "0.3", "--json"),
)
# Bounds of the random waits that choose a moment; whether the test holds depends on none of them.
KNOCK_SECONDS = 1.5
LIFE_SECONDS = 0.25
WEATHER_SECONDS = 0.3
WEATHER = (
    FINE,
    FINE,
    Faults(cut_after_bytes=(1, 70_000)),
    Faults(cut_after_bytes=(1, 2_000), latency_seconds=(0.0, 0.02)),
    Faults(stall=True),
    Faults(refuse=True),
    Faults(latency_seconds=(0.0, 0.05), bytes_per_second=400_000),
)


@pytest_asyncio.fixture(loop_scope="session")
async def device(caller: Account) -> AsyncIterator[Recorder]:
    """A recorder of the tenant of `caller`."""
    body = device_body()
    async with administrator(caller) as admin:
        added = await admin.post("/api/v1/admin/devices", json=body)
    assert added.status_code == 201, added.text
    async with recorder(caller.stack, body) as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "chunks"
    path.mkdir()
    return path


@asynccontextmanager
async def agent(
    device: Recorder, folder: Path, base_url: str, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running agent that is told no more than who it is; killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(program("sluice"), "agent", str(folder), "--device-id", device.device_id),
        *("--base-url", base_url, *HASTE, *arguments),
        env=base_environment() | {"SLUICE_DEVICE_TOKEN": device.token},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def finish(device: Recorder, folder: Path, base_url: str) -> tuple[int | None, str]:
    """Let an agent do all there is to do; its exit code, and what it complained of."""
    async with agent(device, folder, base_url, "--once") as process:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            _, errors = await process.communicate()
        return process.returncode, errors.decode()


async def chunks_of(
    device: Recorder, http: httpx.AsyncClient | None = None
) -> list[dict[str, Any]]:
    """What the server holds of a device, seen without any proxy in between."""
    params = {"device_id": device.device_id, "limit": "200"}
    answer = await (http or device.http).get("/api/v1/chunks", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


class Recording:
    """Writes chunks as recorders do, and knows what must never get lost."""

    def __init__(self, device: Recorder, folder: Path) -> None:
        self._device = device
        self._folder = folder
        self._starts = iter(starts(CHUNKS, first=datetime.now(UTC) - timedelta(hours=1)))
        self._proven: set[str] = set()
        self.digests: dict[str, str] = {}
        """File name to SHA-256 of every finished chunk."""

    def write(self, chance: random.Random) -> None:
        """One more chunk; every third has no time in its name."""
        start = next(self._starts)
        number = len(self.digests)
        data = noise(chance.randint(20_000, 60_000), seed=number)
        name = f"chunk_{start:%Y%m%dT%H%M%S}Z_{start + timedelta(seconds=10):%Y%m%dT%H%M%S}Z.ogg"
        if number % 3 == 0:
            name = f"call-{number}.opus"
        draft = self._folder / f"{name}.part"
        draft.write_bytes(data)
        draft.rename(self._folder / name)
        self.digests[name] = sha256(data)

    async def check(self) -> None:
        """Whatever is gone from the folder is on the server."""
        gone = {name for name in self.digests if not (self._folder / name).exists()}
        if unproven := gone - self._proven:
            held = {chunk["sha256"] for chunk in await chunks_of(self._device)}
            lost = {name for name in unproven if self.digests[name] not in held}
            assert not lost, f"deleted without having arrived: {lost}"
            self._proven |= unproven

    async def watch(self) -> None:
        """Check all the time."""
        while True:
            await self.check()
            await asyncio.sleep(0.02)


async def change_weather(proxy: FaultProxy, chance: random.Random) -> None:
    """Break and mend the network, over and over."""
    while True:
        await proxy.become(chance.choice(WEATHER))
        await asyncio.sleep(chance.uniform(0.05, WEATHER_SECONDS))
        if chance.random() < 0.2:
            proxy.reset_all()


@asynccontextmanager
async def meanwhile(*works: Callable[[], Any]) -> AsyncIterator[None]:
    """Run these beside the block; a failure of one ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for work in works]
        yield
        for task in tasks:
            task.cancel()


async def test_killed_fifty_times_on_a_broken_network_an_agent_loses_and_doubles_nothing(
    device: Recorder, folder: Path
) -> None:
    chance = random.Random(20261124)
    where = urlsplit(str(device.http.base_url))
    recording = Recording(device, folder)
    async with FaultProxy(str(where.hostname), where.port or 80, seed=1) as proxy:
        async with meanwhile(recording.watch, lambda: change_weather(proxy, chance)):
            for kill in range(KILLS):
                # A backlog at first, then new chunks until the end.
                while len(recording.digests) < BACKLOG + (CHUNKS - BACKLOG) * kill // (KILLS - 1):
                    recording.write(chance)
                async with agent(device, folder, proxy.url):
                    if chance.random() < 0.8:
                        # In some weathers nobody can.
                        with suppress(TimeoutError):
                            await asyncio.wait_for(proxy.next_connection(), KNOCK_SECONDS)
                    await asyncio.sleep(chance.uniform(0.0, LIFE_SECONDS))
                await recording.check()
        await proxy.become(FINE)
        assert len(recording.digests) == CHUNKS
        code, errors = await finish(device, folder, proxy.url)
    assert code == ALL_DONE, errors
    await recording.check()
    assert left_in(folder) == []
    assert proxy.resets

    chunks = await chunks_of(device)
    assert sorted(chunk["sha256"] for chunk in chunks) == sorted(recording.digests.values())
    for chunk in chunks:
        answer = await device.http.get(f"/api/v1/chunks/{chunk['chunk_id']}/audio?proxy=1")
        assert answer.status_code == 200, answer.text
        assert sha256(answer.content) == chunk["sha256"]


async def test_a_disabled_device_keeps_its_chunks_until_it_is_let_in_again(
    caller: Account, device: Recorder, folder: Path
) -> None:
    async def enable(allowed: bool) -> None:
        async with administrator(caller) as admin:
            where = f"/api/v1/admin/devices/{device.device_id}"
            answer = await admin.patch(where, json={"is_enabled": allowed})
            assert answer.status_code == 200, answer.text
        # Who may not upload is told so before the body is looked at; this one has none.
        await eventually(
            lambda: device.http.post("/api/v1/chunks"),
            lambda answer: (answer.status_code == 403) is not allowed,
        )

    await enable(False)
    data = noise(20_000, seed=100)
    path = folder / f"{START:%Y%m%dT%H%M%S}Z.ogg"
    path.write_bytes(data)
    code, errors = await finish(device, folder, caller.stack.url)
    assert (code, "device-disabled" in errors) == (REFUSED, True), errors
    assert left_in(folder) == [path.name]
    assert path.read_bytes() == data
    assert await chunks_of(device, caller.http) == []

    await enable(True)
    code, errors = await finish(device, folder, caller.stack.url)
    assert code == ALL_DONE, errors
    assert left_in(folder) == []
    assert [chunk["sha256"] for chunk in await chunks_of(device)] == [sha256(data)]
