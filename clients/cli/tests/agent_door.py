"""The chunks door as recorders know it, on a real HTTP server, and an agent that knocks at it."""

import hashlib
import os
import uuid
import wave
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sluice_cli.agent.ledger import Ledger
from sluice_cli.agent.loop import Agent
from sluice_cli.agent.report import Report
from sluice_cli.agent.server import Server
from sluice_cli.agent.settings import Defaults, Place, Settings
from sluice_cli.agent.stopping import Stopping
from sluice_cli.writers import is_being_written

from .web import Answer, Asked, Site, as_json, problem

DEVICE, POINT, REGISTER = (UUID(int=number) for number in (1, 2, 3))
TOKEN = "device-token-12345"
NAMES = [f"20260128T1{minute}0000Z.ogg" for minute in range(6)]
NAME = "chunk_20260128T100000Z_20260128T100100Z.ogg"

# Some file systems of containers give none; an agent settles for longer there.
needs_leases = pytest.mark.skipif(
    is_being_written(Path(__file__)) is None, reason="nobody can tell who writes to a file here"
)

Decide = Callable[[Asked], Answer | None]


@dataclass
class Door:
    """Keeps what it is sent, each chunk once. `before` may answer in its place."""

    site: Site
    chunks: dict[UUID, bytes] = field(default_factory=dict)
    fields: list[dict[str, str]] = field(default_factory=list)
    """Of each upload, repeats included."""
    before: Decide = lambda _asked: None

    def open(self) -> "Door":
        self.site.decide = self.decide
        return self

    def decide(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "unauthorized")
        if len(asked.body) < int(asked.headers.get("content-length", "0")):
            return Answer(hang_up=True)
        if (answer := self.before(asked)) is not None:
            return answer
        if asked.path == "/api/v1/devices/me":
            ids = {"device_id": DEVICE, "point_id": POINT, "register_id": REGISTER}
            return as_json({name: str(one) for name, one in ids.items()} | {"is_enabled": True})
        if asked.method == "POST" and asked.path == "/api/v1/chunks":
            chunk_id = self.take(asked)
            known = {"chunk_id": str(chunk_id), "stored_path": f"audio/{chunk_id}.ogg"}
            return as_json({"status": "ok", "queued": True} | known)
        return self.view(UUID(asked.path.rpartition("/")[2]))

    def take(self, asked: Asked) -> UUID:
        """Keep the bytes of an upload under the id that follows from device, start and digest."""
        said, data = read_form(asked)
        self.fields.append(said)
        assert UUID(said["device_id"]) == DEVICE
        assert datetime.fromisoformat(said["start_ts"]) < datetime.fromisoformat(said["end_ts"])
        digest = hashlib.sha256(data).hexdigest()
        chunk_id = uuid.uuid5(DEVICE, said["start_ts"] + digest)
        self.chunks[chunk_id] = data
        return chunk_id

    def view(self, chunk_id: UUID) -> Answer:
        if chunk_id not in self.chunks:
            return problem(404, "chunk-not-found")
        data = self.chunks[chunk_id]
        return as_json({"chunk_id": str(chunk_id), "sha256": hashlib.sha256(data).hexdigest()})

    @property
    def contents(self) -> list[bytes]:
        return sorted(self.chunks.values())


def read_form(asked: Asked) -> tuple[dict[str, str], bytes]:
    """The fields of a form, in a way of our own, and the file, which has to be the last part."""
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + asked.body).get_payload()
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert names[-1] == "chunk_file"
    boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
    file = asked.body.split(b"--" + boundary)[-2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    said = {name: str(part.get_payload()) for name, part in zip(names, parts, strict=True)}
    said.pop("chunk_file")
    return said, file


def settings(site: Site, folder: Path, **changes: Any) -> Settings:
    """An agent that is in a hurry and ends when all is done."""
    given: dict[str, Any] = {
        "folder": folder,
        "ledger": folder / ".ledger",
        "base_url": site.url,
        "device_id": DEVICE,
        "token": TOKEN,
        "place": Place(POINT, REGISTER),
        "defaults": Defaults(),
        "settle_seconds": 0.02,
        "untold_seconds": 0.05,
        "poll_seconds": 0.01,
        "silence_seconds": 10.0,
        "longest_wait_seconds": 0.02,
        "patience_seconds": 20.0,
        "once": True,
    }
    return Settings(**given | changes)


def work(told: Settings, stop: Stopping | None = None) -> int:
    """The exit code of an agent that ran in this thread."""
    report = Report(as_json=told.as_json)
    server = Server(told.base_url, told.token, told.silence_seconds)
    with closing(Ledger(told.ledger, report.notice)) as ledger:
        return Agent(told, ledger, server, report, stop or Stopping()).run()


def chunk(folder: Path, name: str = NAME, data: bytes = b"sound") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def wav(path: Path, seconds: float, rate: int = 16_000, channels: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(int(seconds * rate) * channels * 2))
    return path


def written_at(path: Path, moment: datetime) -> Path:
    """Change when a file was last written."""
    os.utime(path, (moment.timestamp(),) * 2)
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def uploads(site: Site) -> int:
    return sum(asked.method == "POST" for asked in site.asked)


def first(count: int, *answers: Answer) -> Callable[[Asked], Answer | None]:
    """These answers in turn to the first uploads; after `count` the door answers itself."""
    given = 0

    def before(asked: Asked) -> Answer | None:
        nonlocal given
        if asked.method != "POST" or given == count:
            return None
        given += 1
        return answers[(given - 1) % len(answers)]

    return before
