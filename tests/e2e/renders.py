"""What the tests of the renders door send."""

import io
import wave
from typing import Any

import httpx

from .api import Account, noise

UPLOAD = "/api/v1/upload/audio"


def mp3(size: int = 2000, seed: int = 1) -> bytes:
    """A frame of MPEG 1, layer III, and more that looks like sound."""
    return (b"\xff\xfb\x90\x64" + noise(size, seed))[:size]


def wav(frames: int = 4000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(2 * frames))
    return file.getvalue()


async def send(
    caller: Account,
    data: bytes,
    filename: str = "take.mp3",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    """Upload one render, with the key in a header."""
    return await caller.http.post(
        UPLOAD,
        data={name: str(value) for name, value in fields.items()},
        files={"file": (filename, data, "audio/mpeg")},
        headers=headers,
    )


async def uploaded(caller: Account, data: bytes, **fields: Any) -> dict[str, Any]:
    """A render that is registered."""
    answer = await send(caller, data, **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def message_body(**changes: Any) -> dict[str, Any]:
    return {
        "parent_thread": "thread-1",
        "user_id": "ada",
        "snapshot": {"tempo": 120, "muted": None, "layers": [{"name": "kick"}]},
        **changes,
    }


async def message(caller: Account, **changes: Any) -> dict[str, Any]:
    """A message that was kept."""
    answer = await caller.http.post("/api/v1/messages", json=message_body(**changes))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
