"""Ctrl-C: once to finish what is in flight, twice to stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from sluice_cli.failures import INTERRUPTED

Work = Callable[[asyncio.Event], Coroutine[Any, Any, int]]


def run(work: Work, notice: Callable[[str], None]) -> int:
    """The exit code of `work`, which starts nothing new once its event is set."""

    async def supervise() -> int:
        stopping = asyncio.Event()
        task = asyncio.create_task(work(stopping))

        def interrupted() -> None:
            if stopping.is_set():
                task.cancel()
                return
            stopping.set()
            notice("finishing what is in flight; Ctrl-C again stops at once")

        # Where loops know no signals (Windows), the first Ctrl-C stops at once.
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted)
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED

    try:
        return asyncio.run(supervise())
    except KeyboardInterrupt:
        return INTERRUPTED
