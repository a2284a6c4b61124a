"""`sluice-dev demo`: the real clients against a stack of its own, and a check of the outcome."""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from pydantic import TypeAdapter

from sluice_contracts.api import BatchAnswer, ShownBatch, ShownRecording
from sluice_contracts.statuses import BatchStatus, RecordingStatus
from sluice_devkit.assets import DemoCall, write_demo_calls
from sluice_devkit.environments import base_environment
from sluice_devkit.processes import ChildProcess, Program
from sluice_devkit.servers import binary
from sluice_devkit.stack import Stack
from sluice_devkit.terminal import Printer, wants_colour

_CLIENT_SECONDS = 120.0
_SETTLED_SECONDS = 30.0
_POLL_SECONDS = 0.2
_SHOWN_BATCHES = TypeAdapter(tuple[ShownBatch, ...])


class DemoFailedError(RuntimeError):
    """Something came out otherwise than the demonstration promises."""


class Screen:
    """Prints what the clients write, and remembers who wrote it."""

    def __init__(self) -> None:
        self._print = Printer(sys.stdout, colour=wants_colour(sys.stdout, os.environ))
        self._lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self._lines.append((name, line))
        self._print(name, line)

    def shows(self, name: str, *words: str) -> bool:
        """Whether one line of that client had all the words."""
        return any(
            wrote == name and all(word in line for word in words)
            for wrote, line in list(self._lines)
        )


async def demo() -> int:
    """Run it; returns the exit code, 1 when anything is not as it should be."""
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as name:
        folder = Path(name)
        calls = write_demo_calls(folder)
        started = time.monotonic()
        async with Stack(folder / "data") as stack:
            print(f"ready {stack.url} after {time.monotonic() - started:.1f} s", flush=True)
            try:
                await _play(stack, folder, calls)
            except DemoFailedError as error:
                print(f"the demonstration failed: {error}", file=sys.stderr)
                return 1
    return 0


async def _play(stack: Stack, folder: Path, calls: Sequence[DemoCall]) -> None:
    screen = Screen()
    # From the beginning of the log, so that it does not matter who is ready first.
    watch = _command(stack, folder, screen, "watch", binary("sluice"), "watch", "--after", "0")
    watch.start()
    try:
        first, second, third = calls
        await _upload(stack, folder, screen, [first, second])
        batch = (await _shown(stack))[0]
        await _upload(stack, folder, screen, [third], "--batch-id", batch.batch_id)
        await _settled(stack, batch.batch_id)
        recordings = await _verified(stack, calls)
        await _all_watched(screen, recordings)
    finally:
        await asyncio.to_thread(watch.stop)
    _summarise(batch.batch_id, recordings)


def _command(stack: Stack, folder: Path, screen: Screen, name: str, *command: str) -> ChildProcess:
    """A client, told in its environment where the stack is."""
    where = {
        "SLUICE_BASE_URL": stack.url,
        "SLUICE_API_KEY": stack.key,
        "PYTHONUNBUFFERED": "1",
    }
    program = Program(
        name=name,
        command=command,
        environment=base_environment() | where,
        log=folder / f"{name}.log",
    )
    return ChildProcess(program, screen)


async def _upload(
    stack: Stack, folder: Path, screen: Screen, calls: Sequence[DemoCall], *more: str
) -> None:
    command = [
        *(binary("sluice-client"), "--operation", "demo"),
        *("--base-url", stack.url, "--api-key", stack.key, *more),
        *("--files", *(str(call.audio) for call in calls)),
        *("--meta", *(str(call.metadata) for call in calls)),
    ]
    client = _command(stack, folder, screen, "client", *command)
    client.start()
    try:
        code = await asyncio.to_thread(client.wait, _CLIENT_SECONDS)
    except TimeoutError as error:
        raise DemoFailedError(str(error)) from error
    finally:
        client.kill()
    if code != 0:
        raise DemoFailedError(client.describe_end())


async def _get(stack: Stack, path: str) -> bytes:
    """The body of an answer, after redirects.

    The key goes into the query, as a browser does it: a header would follow to the object store.
    """
    async with httpx.AsyncClient(follow_redirects=True, timeout=30.0) as http:
        answer = await http.get(f"{stack.url}{path}", params={"key": stack.key})
    if answer.status_code != httpx.codes.OK:
        raise DemoFailedError(f"GET {path} answered {answer.status_code}")
    return answer.content


async def _shown(stack: Stack) -> tuple[ShownBatch, ...]:
    """Every batch with its recordings, the newest first."""
    return _SHOWN_BATCHES.validate_json(await _get(stack, "/jsonui"))


async def _settled(stack: Stack, batch_id: str) -> None:
    """Wait until the batch is completed."""
    headers = {"X-API-Key": stack.key}
    deadline = time.monotonic() + _SETTLED_SECONDS
    async with httpx.AsyncClient(base_url=stack.url, headers=headers) as http:
        while True:
            answer = await http.get(f"/batches/{batch_id}")
            if answer.status_code != httpx.codes.OK:
                raise DemoFailedError(f"GET /batches/{batch_id} answered {answer.status_code}")
            status = BatchAnswer.model_validate_json(answer.content).status
            if status == BatchStatus.COMPLETED:
                return
            if status == BatchStatus.FAILED or time.monotonic() > deadline:
                raise DemoFailedError(f"batch {batch_id} is {status}, not completed")
            await asyncio.sleep(_POLL_SECONDS)


async def _verified(stack: Stack, calls: Sequence[DemoCall]) -> list[ShownRecording]:
    """The recordings of the newest batch, once each gives back the bytes of its file."""
    recordings = sorted((await _shown(stack))[0].recordings, key=lambda one: one.filename)
    names = [recording.filename for recording in recordings]
    if names != [call.audio.name for call in calls]:
        raise DemoFailedError(f"the batch holds {names}")
    for recording, call in zip(recordings, calls, strict=True):
        given = hashlib.sha256(call.audio.read_bytes()).hexdigest()
        content = await _get(stack, f"/media/{recording.recording_id}")
        if hashlib.sha256(content).hexdigest() != given:
            raise DemoFailedError(f"{recording.recording_id} is not {call.audio.name} any more")
    return recordings


async def _all_watched(screen: Screen, recordings: Sequence[ShownRecording]) -> None:
    """Wait until the watcher was told of the last change of each recording."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    for recording in recordings:
        while not screen.shows("watch", recording.recording_id, RecordingStatus.COMPLETED):
            if time.monotonic() > deadline:
                raise DemoFailedError(f"no news that {recording.recording_id} was completed")
            await asyncio.sleep(_POLL_SECONDS)


def _summarise(batch_id: str, recordings: Sequence[ShownRecording]) -> None:
    print(f"\nbatch {batch_id} is completed; every recording came back byte for byte:")
    for recording in recordings:
        print(f"  {recording.recording_id}  {recording.filename}  {recording.size_bytes} bytes")
