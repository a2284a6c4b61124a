"""Gathers what arrives while the last round is still under way, and does it in one go.

Alone, an item is handled at once; under load rounds grow by themselves, and a round after a larger
one waits for a moment to grow as large. What makes a busy service cheap does not make an idle one
slow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sluice_runtime.pull import BUSY

T = TypeVar("T")
R = TypeVar("R")

_LINGER_SECONDS = 0.005


class Coalescer(Generic[T, R]):
    """Turns many single calls into few calls with many items.

    `handle` gets the items of one round and answers each, in order, with a result or with the
    exception its caller is to see. What it raises itself, every caller of the round sees.
    """

    def __init__(
        self, handle: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]], most: int
    ) -> None:
        self._handle = handle
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """The result of `item`. A caller that leaves does not stop the others of its round."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        taken: list[tuple[T, asyncio.Future[R]]] = []
        try:
            while self._waiting:
                if BUSY <= len(taken) > len(self._waiting):
                    await asyncio.sleep(_LINGER_SECONDS)
                taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._round(taken)
        finally:
            self._running = None

    async def _answers(self, items: Sequence[T]) -> Sequence[R | Exception]:
        answers = await self._handle(items)
        if len(answers) != len(items):
            raise RuntimeError(f"{len(answers)} answers to {len(items)} questions")
        return answers

    async def _round(self, taken: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._answers([item for item, _ in taken])
        except Exception as error:  # noqa: BLE001 - handed on to every caller of this round
            results = [error] * len(taken)
        for (_, future), result in zip(taken, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
