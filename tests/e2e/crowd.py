"""Clients of every door but the first, all at once."""

import random
from asyncio import Event, TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from sluice_devkit.credentials import ADMINISTRATOR_KEY
from sluice_devkit.http import plain_client
from sluice_devkit.stack import Stack
from tests.support import PATIENCE, http_client
from tests.uploading import Ledger, some_bytes

from .recorders import Recorder, device_body, recorder
from .senders import CallSender, ChunkSender, DirectSender, Promise, RenderSender, as_mp3, large

DOORS = ("chunk", "call", "render", "upload")
# Each sender has so many moments of its own to begin chunks at.
_MOMENTS = 10_000


@dataclass(frozen=True)
class Crowd:
    """Everybody who sends to a stack; bodies of more than `part_size` bytes go in parts."""

    stack: Stack
    http: httpx.AsyncClient
    anybody: httpx.AsyncClient
    device: Recorder
    part_size: int

    async def keep_one_each(self, ledger: Ledger[Promise], seed: int) -> None:
        """A small file through each door."""
        for number, door in enumerate(DOORS):
            sender = Sender(self, ledger, seed, number)
            await sender.keep(door)

    @asynccontextmanager
    async def sending(self, ledger: Ledger[Promise], seed: int) -> AsyncIterator[None]:
        """Everybody sends at once, until the block ends and each finished its last."""
        stop = Event()

        async def send_small(number: int, door: str) -> None:
            sender = Sender(self, ledger, seed, number)
            while not stop.is_set():
                await sender.keep(door)

        async def send_large() -> None:
            sender, turn = Sender(self, ledger, seed, len(DOORS)), seed
            while not stop.is_set():
                await sender.keep(DOORS[turn % len(DOORS)], is_large=True)
                turn += 1

        async with TaskGroup() as group:
            group.create_task(send_large())
            for number, door in enumerate(DOORS):
                group.create_task(send_small(number, door))
            try:
                yield
            finally:
                stop.set()


class Sender:
    """One of them, who knows the way through every door."""

    def __init__(self, crowd: Crowd, ledger: Ledger[Promise], seed: int, number: int) -> None:
        self._part_size = crowd.part_size
        self._chance = random.Random(f"{seed}/{number}")
        first = _MOMENTS * (10 * seed + number)
        self._chunks = ChunkSender(crowd.device, ledger, first)
        self._calls = CallSender(crowd.http, ledger)
        self._renders = RenderSender(crowd.http, ledger)
        self._direct = DirectSender(crowd.http, crowd.anybody, ledger)

    async def keep(self, door: str, *, is_large: bool = False) -> None:
        """Returns when the file is promised."""
        chance = self._chance
        body = large(chance, self._part_size) if is_large else some_bytes(chance)
        match door:
            case "chunk":
                await self._chunks.keep(body)
            case "call":
                await self._calls.keep(as_mp3(body))
            case "render":
                await self._renders.keep(as_mp3(body))
            case _:
                await self._direct.keep(body, in_parts=is_large)


@asynccontextmanager
async def crowd_of(stack: Stack, part_size: int) -> AsyncIterator[Crowd]:
    """The crowd, with a recorder that was just added."""
    async with (
        http_client(stack) as http,
        plain_client(timeout=PATIENCE) as anybody,
    ):
        body = device_body()
        headers = {"X-API-Key": ADMINISTRATOR_KEY}
        added = await http.post("/api/v1/admin/devices", json=body, headers=headers)
        assert added.status_code == 201, added.text
        async with recorder(stack, body) as device:
            yield Crowd(stack, http, anybody, device, part_size)
