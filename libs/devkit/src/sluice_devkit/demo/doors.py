"""The other doors: a recorder, a sales team, an app, and whoever sends to the store directly."""

import hashlib
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from sluice_devkit.assets import DemoCall, speech
from sluice_devkit.credentials import ADMINISTRATOR_KEY
from sluice_devkit.demo.screen import DemoFailedError, Stage, until
from sluice_devkit.http import plain_client
from sluice_devkit.servers import binary

_CHUNKS = 3
_SECONDS = 2.0
_WORKER = Path(__file__).parents[5] / "examples" / "transcription_worker.py"


@asynccontextmanager
async def _http(stage: Stage, key: str | None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {} if key is None else {"X-API-Key": key}
    async with plain_client(
        base_url=stage.stack.url, headers=headers, timeout=30.0, follow_redirects=False
    ) as http:
        yield http


def _json(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise DemoFailedError(f"{answer.request.url.path} answered {answer.status_code}")
    found: dict[str, Any] = answer.json()
    return found


def _same(given: bytes, got: bytes, what: str) -> None:
    if hashlib.sha256(given).digest() != hashlib.sha256(got).digest():
        raise DemoFailedError(f"{what} did not come back as it was sent")


async def play_chunks(stage: Stage) -> None:
    """A device is added, and its agent empties a folder of chunks."""
    stage.screen.title("chunks: a recorder's folder, emptied by sluice agent")
    folder = stage.folder / "recorder"
    folder.mkdir()
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    for number in range(_CHUNKS):
        start = first + timedelta(seconds=_SECONDS * number)
        end = start + timedelta(seconds=_SECONDS)
        name = f"chunk_{start:%Y%m%dT%H%M%S}Z_{end:%Y%m%dT%H%M%S}Z.wav"
        (folder / name).write_bytes(speech(_SECONDS, seed=number))
    names = ("device_id", "point_id", "register_id")
    device = {name: str(uuid4()) for name in names} | {"token_plain": secrets.token_hex(16)}
    async with _http(stage, ADMINISTRATOR_KEY) as admin:
        _json(await admin.post("/api/v1/admin/devices", json=device), 201)
    await stage.run(
        "agent",
        *(binary("sluice"), "agent", str(folder), "--device-id", device["device_id"]),
        *("--base-url", stage.stack.url, "--once", "--settle", "0"),
        environment={"SLUICE_DEVICE_TOKEN": device["token_plain"]},
    )
    if left := [path.name for path in folder.iterdir() if not path.name.startswith(".")]:
        raise DemoFailedError(f"the agent left {left}")
    async with _http(stage, stage.stack.key) as http:
        where = {"device_id": device["device_id"]}
        found = _json(await http.get("/api/v1/chunks", params=where), 200)["items"]
        gaps = _json(await http.get("/api/v1/chunks/gaps", params=where), 200)["items"]
    if len(found) != _CHUNKS or gaps:
        raise DemoFailedError(f"{len(found)} chunks and {len(gaps)} gaps were found")
    print(f"{len(found)} chunks are on the server without a gap, and gone from the folder:")
    for chunk in found:
        print(f"  {chunk['chunk_id']}  {chunk['status']}  {chunk['file_path']}")


async def play_calls(stage: Stage, call: DemoCall) -> None:
    """A call is uploaded by form, and a worker outside Sluice transcribes it."""
    stage.screen.title("calls: a form upload, and a worker that takes the task from NATS")
    data = call.audio.read_bytes()
    async with _http(stage, stage.stack.key) as http:
        uploaded = _json(
            await http.post(
                "/api/v1/calls/upload",
                data={
                    "company_name": "Acme Corp",
                    "contact_email": "john@acme.com",
                    "call_type": "demo",
                },
                files={"file": (call.audio.name, data, "audio/wav")},
            ),
            201,
        )
        path = f"/api/v1/calls/{uploaded['call_id']}"
        worker = stage.client(
            "worker",
            *(sys.executable, str(_WORKER)),
            environment={
                "SLUICE_NATS_URL": stage.stack.nats_url,
                "SLUICE_NATS_PASSWORD": stage.stack.nats_users["worker"],
            },
        )
        worker.start()
        try:

            async def completed() -> bool:
                return bool(_json(await http.get(path), 200)["status"] == "completed")

            await until(completed, "no worker completed the call")

            async def measured() -> bool:
                audio = _json(await http.get(path), 200)["audio"]
                return audio["duration_seconds"] is not None

            await until(measured, "nobody read how long the call is")
        finally:
            worker.kill()
        history = _json(await http.get(f"{path}/history"), 200)["items"]
        seconds = _json(await http.get(path), 200)["audio"]["duration_seconds"]
        played = await http.get(f"{path}/audio", params={"proxy": "1"})
    _same(data, played.content, "the call")
    road = " -> ".join(step["to"] for step in history)
    print(f"call {uploaded['call_id']}, {seconds:.1f} s long: {road}")


async def play_renders(stage: Stage, call: DemoCall) -> None:
    """An app uploads audio, attaches it to a message, and anybody with the link hears it."""
    stage.screen.title("renders: audio of an app, attached to a message, played by its link")
    data = call.audio.read_bytes()
    token = {"token": stage.stack.key}
    async with _http(stage, None) as http:
        message = _json(
            await http.post(
                "/api/v1/messages",
                json=token
                | {"parent_thread": "demo", "user_id": "ada", "snapshot": {"tempo": 120}},
            ),
            200,
        )
        render = _json(
            await http.post(
                "/api/v1/upload/audio",
                data=token | {"format": "wav"},
                files={"file": (call.audio.name, data, "audio/wav")},
            ),
            200,
        )
        path = f"/api/v1/messages/{message['id']}"
        _json(await http.post(f"{path}/renders", json=token | {"render": render}), 200)
        played = await http.get(render["url"], params={"proxy": "1"})
        _same(data, played.content, "the render")
        gone = _json(await http.delete(path, params=token), 200)
        silent = await http.get(render["url"])
    if silent.status_code != httpx.codes.NOT_FOUND:
        raise DemoFailedError("the link of a deleted render still leads somewhere")
    print(f"message {message['id']} carried render {render['id']}, {render['size_bytes']} bytes;")
    print(f"  deleted with {gone['renders_deleted']} render, and its link leads nowhere")


async def play_direct(stage: Stage) -> None:
    """A folder is sent to the object store directly, in parallel, and read back."""
    stage.screen.title("direct uploads: a folder sent to the object store by sluice upload")
    folder = stage.folder / "folder"
    folder.mkdir()
    for number in range(_CHUNKS):
        (folder / f"take{number}.wav").write_bytes(speech(_SECONDS, seed=10 + number))
    await stage.run(
        "upload",
        *(binary("sluice"), "upload", str(folder), "--jobs", "2"),
        *("--ledger", str(stage.folder / "uploads.sqlite3")),
    )
    files = sorted(folder.iterdir())
    objects = await _come_back(stage, files)
    for object_id in objects.values():
        await _registered(stage, object_id)
    print(f"{len(files)} files went to the store directly; every one came back byte for byte:")
    for file in files:
        print(f"  {objects[file.name]}  {file.name}  {file.stat().st_size} bytes")


async def _come_back(stage: Stage, files: Sequence[Path]) -> dict[str, str]:
    """File name to object, once each object is known to hold the bytes of its file."""
    lines = [line for line in stage.screen.said("upload") if line.startswith("uploaded ")]
    objects = {Path(words).name: name for words, name in (line.rsplit(" ", 1) for line in lines)}
    if sorted(objects) != [file.name for file in files]:
        raise DemoFailedError(f"sent were {sorted(objects)}")
    async with _http(stage, stage.stack.key) as http:
        for file in files:
            path = f"/api/v1/objects/{objects[file.name]}/content"
            got = await http.get(path, params={"proxy": "1"})
            _same(file.read_bytes(), got.content, file.name)
    return objects


async def _registered(stage: Stage, object_id: str) -> None:
    """Wait until the watcher was told; an upload and its object differ in their prefix alone."""
    upload_id = object_id.replace("obj_", "upl_", 1)

    async def told() -> bool:
        return stage.screen.shows("watch", upload_id, "registered")

    await until(told, f"no news that {upload_id} was registered")
