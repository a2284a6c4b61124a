"""`sluice-dev demo`: the real clients against a stack of its own, and a check of the outcome."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from sluice_devkit.assets import write_demo_calls
from sluice_devkit.demo.doors import play_calls, play_chunks, play_direct, play_renders
from sluice_devkit.demo.recordings import play_recordings
from sluice_devkit.demo.screen import DemoFailedError, Stage
from sluice_devkit.servers import binary
from sluice_devkit.stack import Stack


async def demo() -> int:
    """Run it; returns the exit code, 1 when anything is not as it should be."""
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as name:
        folder = Path(name)
        started = time.monotonic()
        async with Stack(folder / "data") as stack:
            print(f"ready {stack.url} after {time.monotonic() - started:.1f} s", flush=True)
            try:
                await _play(Stage(stack, folder))
            except DemoFailedError as error:
                print(f"the demonstration failed: {error}", file=sys.stderr)
                return 1
    return 0


async def _play(stage: Stage) -> None:
    calls = write_demo_calls(stage.folder)
    # From the beginning of the log, so that it does not matter who is ready first.
    watch = stage.client("watch", binary("sluice"), "watch", "--after", "0")
    watch.start()
    try:
        await play_recordings(stage, calls)
        await play_chunks(stage)
        await play_calls(stage, calls[0])
        await play_renders(stage, calls[1])
        await play_direct(stage)
    finally:
        await asyncio.to_thread(watch.stop)
