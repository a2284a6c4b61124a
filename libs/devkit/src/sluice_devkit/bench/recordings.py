"""The recordings door: presigned uploads through the gateway."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator

import aiohttp

from sluice_devkit.bench.figures import MIB, SMALL, Figure, Memory, at, rate, timed
from sluice_devkit.bench.roads import Direct, settle, zeros
from sluice_devkit.stack import Stack

_PRESIGN_MOST = 10


class Recordings:
    """Presigned uploads, and the road beside them."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, direct: Direct) -> None:
        self._stack = stack
        self._http = http
        self._direct = direct
        self._key = {"X-API-Key": stack.key}

    async def urls(self, count: int) -> list[str]:
        """Presigned uploads of the gateway."""
        urls: list[str] = []
        while len(urls) < count:
            _, more = await self._presign(min(_PRESIGN_MOST, count - len(urls)))
            urls += more
        return urls

    async def _presign(self, count: int) -> tuple[str, list[str]]:
        """A new batch, and the URLs of its uploads."""
        items = [{"filename": "bench.wav", "contentType": "audio/wav"}] * count
        async with self._http.post(
            f"{self._stack.url}/uploads/presign", json={"items": items}, headers=self._key
        ) as response:
            response.raise_for_status()
            answer = await response.json()
        return answer["batch_id"], [item["upload_url"] for item in answer["items"]]

    async def large(self, size: int, rounds: int) -> list[Figure]:
        """One large body at a time, both roads in turns."""
        direct: list[float] = []
        relayed: list[float] = []
        memory = Memory(self._stack.pids["gateway"])

        async def put(url: str) -> float:
            await settle(self._stack)
            return await timed(lambda: self._direct.put(url, zeros(size), size))

        for _ in range(rounds):
            (url,) = self._direct.urls(1)
            direct.append(await put(url))
            await self._direct.delete(url)
            batch_id, (url,) = await self._presign(1)
            async with memory:
                relayed.append(await put(url))
            await self._delete(batch_id)
        best = [size / MIB / min(seconds) for seconds in (direct, relayed)]
        ratio = statistics.median(direct) / statistics.median(relayed)
        note = f"{size / MIB:.0f} MiB; best {best[1]:.0f} MiB/s, direct {best[0]:.0f} MiB/s"
        return [
            Figure("large upload, rate against direct PUT", ratio, "", at_least=0.85, note=note),
            Figure("gateway memory above idle meanwhile", memory.above_idle_mib, "MiB", at_most=64),
        ]

    async def _delete(self, batch_id: str) -> None:
        """Remove a batch with its bytes."""
        async with self._http.delete(
            f"{self._stack.url}/batches/{batch_id}", headers=self._key
        ) as response:
            response.raise_for_status()

    async def small(self, count: int, rounds: int) -> Figure:
        """Many small bodies from 16 clients, both roads in turns."""
        direct: list[float] = []
        relayed: list[float] = []
        for _ in range(rounds):
            await settle(self._stack)
            direct.append(await rate(count, self._direct.puts(self._direct.urls(count), SMALL)))
            urls = await self.urls(count)
            await settle(self._stack)
            relayed.append(await rate(count, self._direct.puts(urls, SMALL)))
        return against(
            "64 KiB uploads, 16 clients, per second against direct PUTs", relayed, direct
        )

    async def latency(self, count: int) -> list[Figure]:
        """One client, one body after the other: from the last byte to the committed row."""
        milliseconds: list[float] = []
        for url in await self.urls(count):
            last_byte = 0.0

            async def body() -> AsyncIterator[bytes]:
                nonlocal last_byte
                yield SMALL
                last_byte = time.perf_counter()

            status = await self._direct.put(url, body(), len(SMALL))
            if status == 201:
                milliseconds.append((time.perf_counter() - last_byte) * 1000)
        ordered = sorted(milliseconds)
        note = f"{len(ordered)} of {count} uploads answered 201"
        return [
            Figure("last byte to registered, p50", at(ordered, 0.50), "ms", at_most=25, note=note),
            Figure("last byte to registered, p99", at(ordered, 0.99), "ms", at_most=100),
        ]

    async def warm_up(self) -> None:
        """The first of everything is slow, and none of the figures."""
        # The embedded store fails when many first objects want one folder made at once.
        (first,) = self._direct.urls(1)
        await self._direct.put(first, SMALL, len(SMALL))
        await self.latency(50)
        await asyncio.sleep(0)


def against(name: str, relayed: list[float], direct: list[float]) -> Figure:
    """Rates of one road as a share of those of the direct one, which differ from round to round."""
    median = statistics.median(relayed), statistics.median(direct)
    spread = f"{min(direct):.0f} to {max(direct):.0f}"
    note = f"{median[0]:.0f}/s, direct {median[1]:.0f}/s ({spread})"
    return Figure(name, median[0] / median[1], "", at_least=0.20, note=note)
