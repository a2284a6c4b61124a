"""Clients of the doors that behave: they repeat what may be repeated, and remember what they were
promised."""

import asyncio
import hashlib
import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.uploading import Ledger, insist

from .calls import FIELDS
from .calls import UPLOAD as CALLS
from .direct import OBJECTS, UPLOADS
from .recorders import START, Recorder
from .renders import UPLOAD as RENDERS
from .renders import message_body

CHUNKS = "/api/v1/chunks"
MESSAGES = "/api/v1/messages"
# What the store was never sent, or lost when it was killed: it has to be sent again.
_TO_BE_SENT = ("not-uploaded", "upload-incomplete", "part-missing", "part-mismatch")
# A render that was answered with 202 appears when the catalog has caught up.
_NOT_YET = ("render-not-found",)
# An attempt to complete that seemed to fail had gone through.
_ENDED = ("upload-ended",)
_PAUSE_SECONDS = 0.5
# How often a signed URL may fail before another one is asked for.
_ATTEMPTS = 5


@dataclass(frozen=True)
class Promise:
    """One file that was acknowledged."""

    door: str
    id: str
    upload_id: str
    size_bytes: int
    sha256: str

    @property
    def place(self) -> str:
        """Where its bytes can be had."""
        if self.door == "upload":
            return f"{OBJECTS}/obj_{self.id.removeprefix('upl_')}/content"
        return f"/api/v1/{self.door}s/{self.id}/audio"


def promise(door: str, identity: str, body: bytes) -> Promise:
    upload_id = identity if door == "upload" else f"upl_{uuid.UUID(identity).hex}"
    return Promise(door, identity, upload_id, len(body), hashlib.sha256(body).hexdigest())


class ChunkSender:
    """A recorder that sends one chunk after the other, and some of them twice."""

    def __init__(self, device: Recorder, ledger: Ledger[Promise], first: int) -> None:
        self._device = device
        self._ledger = ledger
        self._number = first

    async def keep(self, body: bytes) -> None:
        self._number += 1
        start = START + timedelta(seconds=10 * self._number)
        twice = self._number % 3 == 0
        ids = await asyncio.gather(*(self._send(body, start) for _ in range(1 + twice)))
        assert len(set(ids)) == 1, "the same chunk must stay the same chunk"
        self._ledger.kept.append(promise("chunk", ids[0], body))

    async def _send(self, body: bytes, start: datetime) -> str:
        answer = await insist(
            self._device.http,
            self._ledger,
            "POST",
            CHUNKS,
            data=self._device.fields(start),
            files={"chunk_file": ("chunk.ogg", body, "audio/ogg")},
        )
        return str(answer.json()["chunk_id"])


class CallSender:
    """A sales team's client: one key for each call, however often it has to be sent."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger[Promise]) -> None:
        self._http = http
        self._ledger = ledger

    async def keep(self, body: bytes) -> None:
        answer = await insist(
            self._http,
            self._ledger,
            "POST",
            CALLS,
            data=FIELDS,
            files={"file": ("call.mp3", body, "audio/mpeg")},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        self._ledger.kept.append(promise("call", answer.json()["call_id"], body))


class RenderSender:
    """An app that keeps each render in a message of its own."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger[Promise]) -> None:
        self._http = http
        self._ledger = ledger

    async def keep(self, body: bytes) -> None:
        answer = await insist(
            self._http,
            self._ledger,
            "POST",
            RENDERS,
            data={"format": "mp3"},
            files={"file": ("take.mp3", body, "audio/mpeg")},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        render_id = answer.json()["id"]
        key = {"Idempotency-Key": uuid.uuid4().hex}
        told = message_body(renders=[{"id": render_id}])
        while True:
            answer = await insist(
                self._http,
                self._ledger,
                "POST",
                MESSAGES,
                also=_NOT_YET,
                json=told,
                headers=key,
            )
            if answer.is_success:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        self._ledger.kept.append(promise("render", render_id, body))


class DirectSender:
    """A client that sends its bytes to the store itself, all of them anew when some got lost."""

    def __init__(
        self, http: httpx.AsyncClient, anybody: httpx.AsyncClient, ledger: Ledger[Promise]
    ) -> None:
        self._http = http
        self._anybody = anybody
        self._ledger = ledger

    async def keep(self, body: bytes, *, in_parts: bool) -> None:
        asked = {"filename": "talk.bin", "content_type": "application/octet-stream"}
        answer = await insist(
            self._http,
            self._ledger,
            "POST",
            UPLOADS,
            json=asked if in_parts else asked | {"size_bytes": len(body)},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        begun = answer.json()
        where = f"{UPLOADS}/{begun['upload_id']}"
        urls = begun.get("multipart") or begun
        digest = hashlib.sha256(body).hexdigest()
        numbers = [part["number"] for part in urls.get("parts", [])]
        sent = await self._send(urls, body)
        while True:
            if sent is not None:
                named = {"parts": sent} if sent else {}
                answer = await insist(
                    self._http,
                    self._ledger,
                    "POST",
                    f"{where}/complete",
                    also=_TO_BE_SENT,
                    json={"sha256": digest, **named},
                )
                if answer.is_success:
                    break
            fresh = await insist(
                self._http,
                self._ledger,
                "POST",
                f"{where}/parts",
                also=_ENDED,
                json={"numbers": numbers},
            )
            sent = await self._send(fresh.json(), body) if fresh.is_success else []
        self._ledger.kept.append(promise("upload", begun["upload_id"], body))

    async def _send(self, urls: Any, body: bytes) -> list[dict[str, Any]] | None:
        """Send a body as it is asked for; what is needed to complete, None if the store refused."""
        if "put" in urls:
            tag = await self._put(urls["put"]["url"], body, urls["put"]["headers"])
            return None if tag is None else []
        size = urls["part_size"]
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        chosen = [part for part in urls["parts"] if part["number"] <= len(pieces)]
        sends = (self._put(part["url"], pieces[part["number"] - 1]) for part in chosen)
        tags = await asyncio.gather(*sends)
        if None in tags:
            return None
        return [
            {"number": part["number"], "etag": tag} for part, tag in zip(chosen, tags, strict=True)
        ]

    async def _put(
        self, url: str, body: bytes, headers: dict[str, str] | None = None
    ) -> str | None:
        """The store's tag; None when this URL is of no use."""
        for _ in range(_ATTEMPTS):
            try:
                answer = await self._anybody.put(url, content=body, headers=headers)
            except httpx.TransportError as error:
                self._ledger.answers[f"store {type(error).__name__}"] += 1
            else:
                self._ledger.answers[f"store {answer.status_code}"] += 1
                if answer.is_success:
                    return answer.headers["etag"]
                if answer.status_code < 500:
                    return None
            await asyncio.sleep(_PAUSE_SECONDS)
        return None


def large(chance: random.Random, part_size: int) -> bytes:
    """A body of two parts."""
    return chance.randbytes(part_size + chance.randint(1, 200_000))


def as_mp3(body: bytes) -> bytes:
    """The same, beginning as sound does."""
    return b"\xff\xfb\x90\x64" + body
