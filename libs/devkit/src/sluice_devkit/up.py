"""`sluice-dev up`: a stack until Ctrl-C."""

import asyncio
import signal
import sys
from pathlib import Path

from sluice_devkit.stack import Stack

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(data: Path, port: int) -> int:
    """Run a stack; returns the exit code.

    Stdout gets one line, `ready <url>`, when everything answers. 0 after Ctrl-C or SIGTERM; 1 when
    a member ended by itself, with its last words on stderr.

    Raises:
        FolderInUseError, PortTakenError, ProcessFailedError: as `Stack` does.
    """
    stopping = asyncio.Event()
    serving = asyncio.ensure_future(_serve(data, port, stopping))

    def ask_to_stop() -> None:
        # Once: a second Ctrl-C must not cut short the stopping.
        if not stopping.is_set():
            stopping.set()
            serving.cancel()

    for ending in _ENDINGS:
        asyncio.get_running_loop().add_signal_handler(ending, ask_to_stop)
    try:
        print(await serving, file=sys.stderr)
    except asyncio.CancelledError:
        return 0
    return 1


async def _serve(data: Path, port: int, stopping: asyncio.Event) -> str:
    async with Stack(data, port, echo=True) as stack:
        print(f"ready {stack.url}", flush=True)
        ended = await stack.first_to_end()
        stopping.set()
        return ended
