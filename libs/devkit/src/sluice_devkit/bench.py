"""What Sluice costs: uploads through it, beside the same bytes put straight into the same store.

Every figure is a ratio of two measurements of one run, taken in turns, or a memory size. On a
noisy machine the ratios stay comparable while the rates do not. Nothing here passes or fails.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp

from sluice_devkit.stack import Stack
from sluice_runtime.objects import ObjectStore

MIB = 1024**2
GIB = 1024**3

_CHUNK = bytes(256 * 1024)
_SMALL = bytes(range(256)) * 256
_CLIENTS = 16
_PRESIGN_MOST = 10
_SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Figure:
    """One measure. `at_least` or `at_most` is the goal; `met` says whether it was reached."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        enough = self.at_least is None or self.value >= self.at_least
        return enough and (self.at_most is None or self.value <= self.at_most)


class Bench:
    """Two roads into one store: signed URLs of the store itself, and the gateway."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._http = http
        access = stack.s3
        self._store = ObjectStore(
            access.url,
            access_key=access.access_key,
            secret_key=access.secret_key,
            bucket=access.bucket,
            region="us-east-1",
        )

    async def direct_urls(self, count: int) -> list[str]:
        """Signed PUTs of the store, for keys nobody else uses."""
        lifetime = timedelta(minutes=15)
        keys = [f"bench/{uuid4().hex}.wav" for _ in range(count)]
        return [self._store.sign("PUT", key, lifetime) for key in keys]

    async def gateway_urls(self, count: int) -> list[str]:
        """Presigned uploads of the gateway."""
        urls: list[str] = []
        while len(urls) < count:
            wanted = min(_PRESIGN_MOST, count - len(urls))
            items = [{"filename": "bench.wav", "contentType": "audio/wav"}] * wanted
            async with self._http.post(
                f"{self._stack.url}/uploads/presign",
                json={"items": items},
                headers={"X-API-Key": self._stack.key},
            ) as response:
                response.raise_for_status()
                urls += [item["upload_url"] for item in (await response.json())["items"]]
        return urls

    async def put(self, url: str, body: AsyncIterator[bytes] | bytes, length: int) -> int:
        """Send one body; returns the status. A refusal ends the bench."""
        headers = {"Content-Type": "audio/wav", "Content-Length": str(length)}
        async with self._http.put(url, data=body, headers=headers) as response:
            await response.read()
            if response.status not in (200, 201, 202):
                raise RuntimeError(f"PUT was answered {response.status}")
            return response.status


async def _zeros(length: int) -> AsyncIterator[bytes]:
    for _ in range(length // len(_CHUNK)):
        yield _CHUNK


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


class _Memory:
    """The largest resident size of a process while the block runs, in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.idle = self.peak = _resident(pid)

    async def __aenter__(self) -> "_Memory":
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sampling.cancel()

    async def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, _resident(self._pid))
            await asyncio.sleep(_SAMPLE_SECONDS)


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _large(bench: Bench, gateway_pid: int, size: int, rounds: int) -> list[Figure]:
    """One large body at a time, both roads in turns."""
    direct: list[float] = []
    relayed: list[float] = []
    memory = _Memory(gateway_pid)

    async def put(url: str) -> float:
        # What the round before left in the page cache must not slow down this one.
        await asyncio.to_thread(os.sync)
        return await _timed(lambda: bench.put(url, _zeros(size), size))

    for _ in range(rounds):
        direct.append(await put(*await bench.direct_urls(1)))
        (url,) = await bench.gateway_urls(1)
        async with memory:
            relayed.append(await put(url))
    best = [size / MIB / min(seconds) for seconds in (direct, relayed)]
    ratio = statistics.median(direct) / statistics.median(relayed)
    note = f"{size / MIB:.0f} MiB; best {best[1]:.0f} MiB/s, direct {best[0]:.0f} MiB/s"
    above = (memory.peak - memory.idle) / MIB
    return [
        Figure("large upload, rate against direct PUT", ratio, "", at_least=0.85, note=note),
        Figure("gateway memory above idle meanwhile", above, "MiB", at_most=64),
    ]


async def _small(bench: Bench, count: int, rounds: int) -> Figure:
    """Many small bodies from 16 clients, both roads in turns."""
    direct: list[float] = []
    relayed: list[float] = []

    async def rate(waiting: list[str]) -> float:
        async def client() -> None:
            while waiting:
                await bench.put(waiting.pop(), _SMALL, len(_SMALL))

        return count / await _timed(lambda: asyncio.gather(*(client() for _ in range(_CLIENTS))))

    for _ in range(rounds):
        direct.append(await rate(await bench.direct_urls(count)))
        relayed.append(await rate(await bench.gateway_urls(count)))
    ratio = statistics.median(relayed) / statistics.median(direct)
    note = f"{statistics.median(relayed):.0f}/s, direct {statistics.median(direct):.0f}/s"
    return Figure(
        "64 KiB uploads, 16 clients, per second against direct PUTs",
        ratio,
        "",
        at_least=0.20,
        note=note,
    )


async def _latency(bench: Bench, count: int) -> list[Figure]:
    """One client, one body after the other: from the last byte to the committed row."""
    milliseconds: list[float] = []
    for url in await bench.gateway_urls(count):
        last_byte = 0.0

        async def body() -> AsyncIterator[bytes]:
            nonlocal last_byte
            yield _SMALL
            last_byte = time.perf_counter()

        status = await bench.put(url, body(), len(_SMALL))
        if status == 201:
            milliseconds.append((time.perf_counter() - last_byte) * 1000)
    ordered = sorted(milliseconds)
    note = f"{len(ordered)} of {count} uploads answered 201"
    return [
        Figure("last byte to registered, p50", _at(ordered, 0.50), "ms", at_most=25, note=note),
        Figure("last byte to registered, p99", _at(ordered, 0.99), "ms", at_most=100),
    ]


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(*, large_bytes: int, small_count: int, rounds: int) -> list[Figure]:
    """All figures, from one stack in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        async with (
            Stack(Path(folder)) as stack,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CLIENTS * 2),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as http,
        ):
            bench = Bench(stack, http)
            # The embedded store fails when many first objects want one folder made at once.
            (first,) = await bench.direct_urls(1)
            await bench.put(first, _SMALL, len(_SMALL))
            await _latency(bench, 50)
            figures = await _latency(bench, 300)
            figures.append(await _small(bench, small_count, rounds))
            figures += await _large(bench, stack.pids["gateway"], large_bytes, rounds)
            return figures


def report(figures: Sequence[Figure]) -> str:
    """The figures as a table for people."""
    lines = []
    for figure in figures:
        goal = f">= {figure.at_least:g}" if figure.at_least is not None else ""
        goal = f"<= {figure.at_most:g}" if figure.at_most is not None else goal
        mark = "met" if figure.met else "NOT MET"
        lines.append(
            f"{figure.name:<60} {figure.value:8.2f} {figure.unit:<4} {goal:>8}  {mark:<8}"
            f"{figure.note}"
        )
    return "\n".join(lines)


async def bench(out: Path | None) -> int:
    """Measure, print, and write JSON to `out`. A missed goal is reported, never an error."""
    figures = await measure(large_bytes=GIB, small_count=1000, rounds=3)
    document = {"figures": [{**asdict(figure), "met": figure.met} for figure in figures]}
    text = json.dumps(document, indent=2) + "\n"
    if out is not None:
        await asyncio.to_thread(out.write_text, text)
    sys.stdout.write(report(figures) + "\n" + text)
    return 0
