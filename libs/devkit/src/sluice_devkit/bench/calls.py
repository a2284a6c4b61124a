"""The calls door: large files by form, one at a time and several at once."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator

import aiohttp

from sluice_devkit.bench.figures import MIB, Figure, Memory, timed
from sluice_devkit.bench.forms import CLOSING, CONTENT_TYPE, opening
from sluice_devkit.bench.roads import CHUNK_BYTES, Direct, settle, zeros
from sluice_devkit.stack import Stack

_AT_ONCE = 8
# What makes a file of zeros a WAV file to whoever looks at its first bytes.
_HEAD = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80>\x00\x00\x00}\x00\x00"

_FIELDS = {"company_name": "Bench", "contact_email": "bench@example.com", "call_type": "demo"}
_OPENING = opening(_FIELDS, "file")


class Calls:
    """Calls by form, and the road beside them."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, direct: Direct) -> None:
        self._stack = stack
        self._http = http
        self._direct = direct

    async def large(self, size: int, rounds: int) -> list[Figure]:
        """One large call at a time, both roads in turns; then several at once."""
        direct: list[float] = []
        sent: list[float] = []
        for _ in range(rounds):
            await settle(self._stack)
            direct.append(await self._put(size))
            await settle(self._stack)
            sent.append(await self._send(size))
        # With its last object, the embedded store removes a folder also under uploads that have
        # begun and sent nothing.
        await settle(self._stack)
        memory = Memory(self._stack.pids["gateway"])
        async with memory:
            await asyncio.gather(*(self._send(size // _AT_ONCE) for _ in range(_AT_ONCE)))
        best = [size / MIB / min(seconds) for seconds in (direct, sent)]
        ratio = statistics.median(direct) / statistics.median(sent)
        note = f"{size / MIB:.0f} MiB; best {best[1]:.0f} MiB/s, direct {best[0]:.0f} MiB/s"
        return [
            Figure(
                "large call by form, rate against direct PUT", ratio, "", at_least=0.85, note=note
            ),
            Figure(
                "gateway memory above idle, 8 such uploads at once",
                memory.above_idle_mib,
                "MiB",
                at_most=256,
                note=f"{size // _AT_ONCE // MIB} MiB each",
            ),
        ]

    async def _put(self, size: int) -> float:
        """How many seconds one body took straight to the store; it is removed again."""
        (url,) = self._direct.urls(1)
        seconds = await timed(lambda: self._direct.put(url, zeros(size), size))
        await self._direct.delete(url)
        return seconds

    async def _send(self, size: int) -> float:
        """How many seconds one call took; it is removed again."""
        began = time.perf_counter()
        call_id = await self._upload(size)
        seconds = time.perf_counter() - began
        async with self._http.delete(
            f"{self._stack.url}/api/v1/calls/{call_id}", headers={"X-API-Key": self._stack.key}
        ) as response:
            response.raise_for_status()
        return seconds

    async def _upload(self, size: int) -> str:
        async with self._http.post(
            f"{self._stack.url}/api/v1/calls/upload",
            data=_form(size),
            headers={
                "X-API-Key": self._stack.key,
                "Content-Type": CONTENT_TYPE,
                # As curl and browsers send it.
                "Content-Length": str(len(_OPENING) + size + len(CLOSING)),
            },
        ) as response:
            text = await response.text()
            if response.status not in (201, 202):
                raise RuntimeError(f"a call was answered {response.status}: {text}")
            return str(json.loads(text)["call_id"])


async def _form(size: int) -> AsyncIterator[bytes]:
    yield _OPENING + _HEAD + bytes(CHUNK_BYTES - len(_HEAD))
    async for chunk in zeros(size - CHUNK_BYTES):
        yield chunk
    yield CLOSING
