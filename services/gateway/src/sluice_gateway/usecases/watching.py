"""Keeping an eye on a body while it comes: its size, its digest, its pace, and whoever else must
not stop."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from sluice_gateway.ports import Body, Deps
from sluice_runtime.errors import Rejected, Unavailable

T = TypeVar("T")

UNWATCHED_SECONDS = 0.1
"""How long work goes on before anybody watches it."""

_STALLED_SECONDS = 120.0
_CANCEL_AGAIN_SECONDS = 0.1


@dataclass
class Meter:
    """How far a body has come, and whether it is the sender we wait for."""

    total: int = 0
    waiting: bool = False


async def metered(body: Body, meter: Meter, most_bytes: int) -> AsyncIterator[bytes]:
    """`body`, counted, and cut off when it grows beyond `most_bytes`."""
    meter.waiting = True
    async for chunk in body:
        meter.waiting = False
        meter.total += len(chunk)
        if meter.total > most_bytes:
            raise too_large(most_bytes)
        yield chunk
        meter.waiting = True
    meter.waiting = False


def verified(body: Body, md5: bytes | None) -> Body:
    """`body`, whose last chunk is held back unless all of it has this MD5."""
    return body if md5 is None else _verified(body, md5)


async def _verified(body: Body, md5: bytes) -> AsyncIterator[bytes]:
    digest, held = hashlib.md5(usedforsecurity=False), b""
    async for chunk in body:
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if digest.digest() != md5:
        raise Rejected(
            "The bytes do not have the MD5 of Content-MD5; send them again.",
            code="digest-mismatch",
        )
    if held:
        yield held


def too_large(most_bytes: int) -> Rejected:
    """Why a body of more than `most_bytes` is not taken."""
    return Rejected(f"At most {most_bytes} bytes are taken.", code="body-too-large")


async def watch_pace(meter: Meter, deps: Deps) -> None:
    """Raises `Rejected` once the sender is too slow, `Unavailable` once the store takes nothing."""
    limits = deps.limits
    stalled = 0.0
    while True:
        before = meter.total
        await asyncio.sleep(limits.min_rate_seconds)
        came = meter.total - before
        if meter.waiting and came < limits.min_rate_bytes * limits.min_rate_seconds:
            raise Rejected(
                f"The body came slower than {limits.min_rate_bytes} bytes a second.",
                code="body-too-slow",
            )
        is_stalled = came == 0 and not meter.waiting
        stalled = stalled + limits.min_rate_seconds if is_stalled else 0.0
        if stalled >= _STALLED_SECONDS:
            raise Unavailable("The object store takes no bytes.", code="store-unavailable")


async def under_watch(
    work: Coroutine[Any, Any, T], *watchers: Callable[[], Coroutine[Any, Any, None]]
) -> T:
    """The result of `work`, unless a watcher raises first: then `work` ends with what it raised.

    Nobody watches work that is over in a moment. Most bodies are small, and a task for each watcher
    would be begun and ended for nothing.
    """
    worker = asyncio.create_task(work)
    watching: set[asyncio.Task[None]] = set()
    try:
        await asyncio.wait({worker}, timeout=UNWATCHED_SECONDS)
        if not worker.done():
            watching = {asyncio.create_task(watcher()) for watcher in watchers}
            await _first_of(worker, watching)
        return await worker
    finally:
        if not worker.done() or watching:
            worker.cancel()
            await end(watching)
            await asyncio.gather(worker, *watching, return_exceptions=True)


async def _first_of(worker: asyncio.Task[Any], watching: set[asyncio.Task[None]]) -> None:
    """Wait for the first that ends; raises what a watcher raised."""
    done, _ = await asyncio.wait({worker, *watching}, return_when=asyncio.FIRST_COMPLETED)
    for watcher in watching & done:
        watcher.result()


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until all of them have ended.

    Until Python 3.12, a cancel is lost on a task whose `wait_for` has an answer at that moment. One
    that asks again and again would then go on for ever, and so would who waits for it.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_AGAIN_SECONDS)
