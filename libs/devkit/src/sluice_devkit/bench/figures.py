"""Figures, and the instruments they are taken with."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice_devkit.assets import SAMPLE_RATE, speech

MIB = 1024**2
GIB = 1024**3
CLIENTS = 16
_WAV_HEAD_BYTES = 44
SMALL = speech((64 * 1024 - _WAV_HEAD_BYTES) / 2 / SAMPLE_RATE)
"""A recording of 64 KiB: what looks at files on their way must find what it finds in real ones."""

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


class Memory:
    """The largest resident size of a process while the block runs, in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.idle = self.peak = _resident(pid)

    @property
    def above_idle_mib(self) -> float:
        return (self.peak - self.idle) / MIB

    async def __aenter__(self) -> "Memory":
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


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """How many seconds `work` took."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def rate(count: int, one: Callable[[], Awaitable[object]], clients: int = CLIENTS) -> float:
    """How often a second `one` is done by so many clients, each after its last."""
    left = count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await one()

    return count / await timed(lambda: asyncio.gather(*(client() for _ in range(clients))))


def at(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of an ordered sequence lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
