"""What the tests of the calls door send, and a look at all that is left of it."""

import io
import random
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from sluice_devkit.stack import Stack
from tests.support import object_store

from .api import Account, added, catalog, eventually, noise

UPLOAD = "/api/v1/calls/upload"
FIELDS = {"company_name": "Acme Corp", "contact_email": "john@acme.com", "call_type": "demo"}


def mp3(size: int = 2000, seed: int = 1) -> bytes:
    """A frame of MPEG 1, layer III, 128 kbit/s, 44.1 kHz, and more that looks like sound."""
    return (b"\xff\xfb\x90\x64" + noise(size, seed))[:size]


def flac(size: int = 2000, seed: int = 2) -> bytes:
    return (b"fLaC\x00\x00\x00\x22" + noise(size, seed))[:size]


def m4a(size: int = 2000, seed: int = 3) -> bytes:
    return (b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00M4A mp42isom" + noise(size, seed))[:size]


def wav(seconds: float = 0.5, rate: int = 8000) -> bytes:
    """A file that is sound through and through."""
    chance, file = random.Random(rate), io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(chance.randbytes(2 * int(seconds * rate)))
    return file.getvalue()


def form(boundary: str, *parts: tuple[str, str | None, bytes]) -> bytes:
    """A form with exactly these parts: name, file name if it is a file, and content."""
    body = b""
    for name, filename, content in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def fields_of(**changes: Any) -> dict[str, str]:
    """The fields of a form that is right, but for `changes`; None leaves one out."""
    return {name: value for name, value in (FIELDS | changes).items() if value is not None}


async def send(
    caller: Account, data: bytes, filename: str = "call.mp3", **changes: Any
) -> httpx.Response:
    """Upload one call."""
    file = (filename, data, "application/octet-stream")
    return await caller.http.post(UPLOAD, data=fields_of(**changes), files={"file": file})


async def send_behind(
    caller: Account, data: bytes, filename: str = "call.mp3", **changes: Any
) -> httpx.Response:
    """As `send`, with all fields behind the file."""
    fields = [(name, None, value.encode()) for name, value in fields_of(**changes).items()]
    return await caller.http.post(
        UPLOAD,
        content=form("late", ("file", filename, data), *fields),
        headers={"Content-Type": "multipart/form-data; boundary=late"},
    )


async def uploaded(caller: Account, data: bytes, filename: str = "call.mp3", **changes: Any) -> str:
    """The id of a call that is registered."""
    answer = await send(caller, data, filename, **changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["call_id"])


async def shown(caller: Account, call_id: str) -> dict[str, Any]:
    answer = await caller.http.get(f"/api/v1/calls/{call_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def history(caller: Account, call_id: str) -> list[str]:
    """The statuses of a call, in the order it had them."""
    answer = await caller.http.get(f"/api/v1/calls/{call_id}/history")
    assert answer.status_code == 200, answer.text
    return [step["to"] for step in answer.json()["items"]]


async def kept(stack: Stack) -> tuple[frozenset[str], frozenset[str]]:
    """Keys of all objects that are calls or lie beside them, and of open multipart uploads."""
    store = object_store(stack)
    try:
        found = [
            one.key
            for prefix in ("20", "registrations/20")
            for one in await store.page(prefix, "", 100_000)
        ]
        # Those of other doors may be open, and stay so.
        sessions = [one.key for one in await store.open_sessions() if one.key.startswith("20")]
    finally:
        await store.close()
    return frozenset(found), frozenset(sessions)


@asynccontextmanager
async def nothing_left(caller: Account) -> AsyncIterator[None]:
    """What happens inside leaves no row, no object and no open upload of a caller behind."""
    before = await kept(caller.stack)
    yield

    def is_as_before(after: tuple[frozenset[str], frozenset[str]]) -> bool:
        return after[1] == before[1] and not before[0] - after[0] and not added(before[0], after[0])

    await eventually(lambda: kept(caller.stack), is_as_before)
    for table in ("calls", "objects"):
        query = f"select count(*) from {table} where tenant = %s"
        assert await catalog(caller.stack, query, caller.tenant) == [(0,)]


async def wait_for_session(stack: Stack) -> None:
    """Return when somebody is sending parts."""
    await eventually(lambda: kept(stack), lambda found: bool(found[1]))
