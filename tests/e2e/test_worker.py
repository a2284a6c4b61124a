"""The example of a worker outside Sluice, run as its users run it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from sluice_contracts.topology import TASKS, WORKER_TRANSCRIPTIONS
from sluice_devkit.fixtures import patient_stack
from sluice_devkit.stack import Stack
from tests.support import bus

from .api import Account, account, eventually
from .calls import history, mp3, uploaded

PROGRAM = Path(__file__).parents[2] / "examples" / "transcription_worker.py"
ROAD = ["uploaded", "transcribing", "transcribed", "analyzing", "completed"]
# Of one that is in the middle of its work until the test is over.
FOR_EVER = 3600.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack nobody else leaves tasks in, where a task is given away again after 2 s."""
    async with patient_stack(tmp_path_factory.mktemp("workers")) as running:
        async with bus(running, "topology") as connection:
            jetstream = connection.jetstream()
            name = WORKER_TRANSCRIPTIONS.name
            config = (await jetstream.consumer_info(TASKS.name, name)).config
            await jetstream.add_consumer(TASKS.name, replace(config, ack_wait=2.0))
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def boss(own: Stack) -> AsyncIterator[Account]:
    async with account(own) as one:
        yield one


@asynccontextmanager
async def worker(stack: Stack, seconds: float = 0.0) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker whose stages take so long; killed outright in the end, as machines die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        env={
            "PATH": os.environ["PATH"],
            "SLUICE_NATS_URL": stack.nats_url,
            "SLUICE_NATS_PASSWORD": stack.nats_users["worker"],
            "WORK_SECONDS": str(seconds),
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def reached(caller: Account, call_id: str, status: str) -> None:
    """Return when a call has this status."""
    await eventually(lambda: history(caller, call_id), lambda found: found[-1] == status)


async def done(stack: Stack) -> None:
    """Return when no task is left, not even one in the hands of a worker."""

    async def left() -> int:
        async with bus(stack, "topology") as connection:
            return (await connection.jetstream().stream_info(TASKS.name)).state.messages

    await eventually(left, lambda found: found == 0)


async def test_a_worker_takes_calls_through_all_their_statuses(own: Stack, boss: Account) -> None:
    ids = [await uploaded(boss, mp3(seed=number)) for number in range(3)]
    async with worker(own):
        for call_id in ids:
            await reached(boss, call_id, "completed")
        await done(own)
    for call_id in ids:
        assert await history(boss, call_id) == ROAD
    answer = await boss.http.get(f"/api/v1/calls/{ids[0]}/history")
    steps = answer.json()["items"]
    assert [step["sequence"] for step in steps] == [1, 2, 3, 4, 5]
    assert all(step["actor"].startswith("worker:") for step in steps[1:])


async def test_a_call_is_completed_although_its_worker_was_killed(
    own: Stack, boss: Account
) -> None:
    call_id = await uploaded(boss, mp3())
    async with worker(own, FOR_EVER) as doomed:
        await reached(boss, call_id, "transcribing")
        doomed.kill()
    async with worker(own):
        await reached(boss, call_id, "completed")
        await done(own)
    assert await history(boss, call_id) == ROAD


async def test_two_workers_with_the_same_task_do_no_harm(own: Stack, boss: Account) -> None:
    call_id = await uploaded(boss, mp3())
    async with worker(own, FOR_EVER):
        await reached(boss, call_id, "transcribing")
        # The first one lives, and is too slow to say so: its task is given away.
        async with worker(own):
            await reached(boss, call_id, "completed")
            await done(own)
    assert await history(boss, call_id) == ROAD


async def test_a_call_that_failed_is_done_again_when_somebody_says_so(
    own: Stack, boss: Account
) -> None:
    call_id = await uploaded(boss, mp3())

    async def report(status: str) -> httpx.Response:
        body = {"kind": "call", "id": call_id, "status": status, "reason": "no sound"}
        return await boss.http.post("/api/v1/status", json=body)

    assert (await report("failed")).status_code == 200
    async with worker(own):
        # Whoever gets a task of a call that has ended finds nothing to do.
        await done(own)
        assert await history(boss, call_id) == ["uploaded", "failed"]
        assert (await report("uploaded")).status_code == 200
        await reached(boss, call_id, "completed")
    assert await history(boss, call_id) == ["uploaded", "failed", *ROAD]


async def test_a_task_whose_call_was_deleted_is_dropped(own: Stack, boss: Account) -> None:
    call_id = await uploaded(boss, mp3())
    assert (await boss.http.delete(f"/api/v1/calls/{call_id}")).status_code == 204
    async with worker(own):
        await done(own)


@pytest.mark.parametrize("body", [b"no JSON", b"{}"])
async def test_a_task_nobody_can_do_stops_no_other(own: Stack, boss: Account, body: bytes) -> None:
    subject = "sluice.task.v1.transcription.normal.junk"
    async with bus(own, "operator") as connection:
        await connection.jetstream().publish(subject, body, stream=TASKS.name)
    call_id = await uploaded(boss, mp3())
    async with worker(own) as one:
        await reached(boss, call_id, "completed")
        assert one.returncode is None
