"""The first door: recordings, by `sluice-client`."""

import hashlib
from collections.abc import Sequence

import httpx
from pydantic import TypeAdapter

from sluice_contracts.api import BatchAnswer, ShownBatch, ShownRecording
from sluice_contracts.statuses import BatchStatus, RecordingStatus
from sluice_devkit.assets import DemoCall
from sluice_devkit.demo.screen import DemoFailedError, Screen, Stage, until
from sluice_devkit.http import plain_client
from sluice_devkit.servers import binary
from sluice_devkit.stack import Stack

_SHOWN_BATCHES = TypeAdapter(tuple[ShownBatch, ...])


async def play_recordings(stage: Stage, calls: Sequence[DemoCall]) -> None:
    """Three recordings in one batch, seen on their way and played back."""
    stage.screen.title("recordings: presign, PUT, register, by sluice-client")
    first, second, third = calls
    await _upload(stage, [first, second])
    batch = (await _shown(stage.stack))[0]
    await _upload(stage, [third], "--batch-id", batch.batch_id)
    await _settled(stage.stack, batch.batch_id)
    recordings = await _verified(stage.stack, calls)
    for recording in recordings:
        await _watched(stage.screen, recording)
    print(f"batch {batch.batch_id} is completed; every recording came back byte for byte:")
    for recording in recordings:
        print(f"  {recording.recording_id}  {recording.filename}  {recording.size_bytes} bytes")


async def _upload(stage: Stage, calls: Sequence[DemoCall], *more: str) -> None:
    await stage.run(
        "client",
        *(binary("sluice-client"), "--operation", "demo"),
        *("--base-url", stage.stack.url, "--api-key", stage.stack.key, *more),
        *("--files", *(str(call.audio) for call in calls)),
        *("--meta", *(str(call.metadata) for call in calls)),
    )


async def _get(stack: Stack, path: str) -> bytes:
    """The body of an answer, after redirects.

    The key goes into the query, as a browser does it: a header would follow to the object store.
    """
    async with plain_client(follow_redirects=True, timeout=30.0) as http:
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
    async with plain_client(base_url=stack.url, headers=headers) as http:

        async def completed() -> bool:
            answer = await http.get(f"/batches/{batch_id}")
            if answer.status_code != httpx.codes.OK:
                raise DemoFailedError(f"GET /batches/{batch_id} answered {answer.status_code}")
            status = BatchAnswer.model_validate_json(answer.content).status
            if status == BatchStatus.FAILED:
                raise DemoFailedError(f"batch {batch_id} failed")
            return status == BatchStatus.COMPLETED

        await until(completed, f"batch {batch_id} is not completed")


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


async def _watched(screen: Screen, recording: ShownRecording) -> None:
    """Wait until the watcher was told of the last change of a recording."""

    async def told() -> bool:
        return screen.shows("watch", recording.recording_id, RecordingStatus.COMPLETED)

    await until(told, f"no news that {recording.recording_id} was completed")
