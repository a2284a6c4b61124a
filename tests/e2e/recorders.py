"""Recorders for the tests of the chunks door, and what they send."""

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack

from .api import PATIENCE_SECONDS, Account, keys, make_key

START = datetime(2026, 11, 3, 9, 30, 0, 250_000, tzinfo=UTC)


@dataclass(frozen=True)
class Recorder:
    """One device with its token, at its place."""

    http: httpx.AsyncClient
    device_id: str
    point_id: str
    register_id: str
    token: str

    def fields(
        self, start: datetime = START, seconds: float = 10.0, **changes: Any
    ) -> dict[str, Any]:
        """The fields of a form that is right, but for `changes`; None leaves one out."""
        fields = {
            "point_id": self.point_id,
            "register_id": self.register_id,
            "device_id": self.device_id,
            "start_ts": start.isoformat(),
            "end_ts": (start + timedelta(seconds=seconds)).isoformat(),
            "codec": "opus",
            "sample_rate": "48000",
            "channels": "1",
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    async def send(
        self,
        data: bytes,
        start: datetime = START,
        seconds: float = 10.0,
        headers: dict[str, str] | None = None,
        **changes: Any,
    ) -> httpx.Response:
        """Upload one chunk."""
        return await self.http.post(
            "/api/v1/chunks",
            data=self.fields(start, seconds, **changes),
            files={"chunk_file": ("chunk.ogg", data, "audio/ogg")},
            headers=headers,
        )

    async def uploaded(self, data: bytes, start: datetime = START, seconds: float = 10.0) -> str:
        """The id of a chunk that is registered."""
        answer = await self.send(data, start, seconds)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["chunk_id"])


@asynccontextmanager
async def administrator(caller: Account) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may add devices to the tenant of `caller`."""
    key = await make_key(caller.stack, caller.tenant, ("admin",))
    async with plain_client(
        base_url=caller.stack.url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=PATIENCE_SECONDS,
    ) as http:
        yield http


def device_body() -> dict[str, str]:
    names = ("device_id", "point_id", "register_id")
    token = f"device-{uuid.uuid4().hex}"
    keys.add(token)
    return {name: str(uuid.uuid4()) for name in names} | {"token_plain": token}


@asynccontextmanager
async def recorder(stack: Stack, body: dict[str, str]) -> AsyncIterator[Recorder]:
    """The device that was added with `body`."""
    async with plain_client(
        base_url=stack.url,
        headers={"Authorization": f"Bearer {body['token_plain']}"},
        timeout=PATIENCE_SECONDS,
    ) as http:
        yield Recorder(
            http, body["device_id"], body["point_id"], body["register_id"], body["token_plain"]
        )


def elsewhere(one: Recorder, http: httpx.AsyncClient) -> Recorder:
    """The same recorder, speaking through another client."""
    return replace(one, http=http)


def starts(count: int, seconds: float = 10.0, first: datetime = START) -> Iterable[datetime]:
    """When `count` chunks begin that follow each other."""
    return (first + timedelta(seconds=seconds * number) for number in range(count))
