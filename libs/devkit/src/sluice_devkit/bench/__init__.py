"""What Sluice costs: uploads through it, beside the same bytes put straight into the same store.

Every figure is a ratio of two measurements of one run, taken in turns, or a memory size, or a
time. A ratio says more than a rate; on a noisy machine it takes several runs to say much, since not
all that is measured slows down alike. Nothing here passes or fails.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sluice_devkit.bench.calls import Calls
from sluice_devkit.bench.chunks import Chunks
from sluice_devkit.bench.client import patient_session
from sluice_devkit.bench.figures import CLIENTS, GIB, Figure
from sluice_devkit.bench.recordings import Recordings
from sluice_devkit.bench.roads import Direct
from sluice_devkit.stack import PATIENT_GATEWAY, Stack

_ROWS = 1_000_000


async def measure(
    *, large_bytes: int, large_rounds: int, small_count: int, small_rounds: int
) -> list[Figure]:
    """All figures, from one stack in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        async with (
            # A 202 is honest, but not what is measured here.
            Stack(Path(folder), settings={"gateway": PATIENT_GATEWAY}) as stack,
            patient_session(CLIENTS) as http,
        ):
            direct = Direct(stack, http)
            recordings = Recordings(stack, http, direct)
            chunks = Chunks(stack, http, direct)
            await recordings.warm_up()
            figures = await recordings.latency(300)
            figures.append(await recordings.small(small_count, small_rounds))
            await chunks.add_devices()
            figures.append(await chunks.small(small_count, small_rounds))
            figures += await recordings.large(large_bytes, large_rounds)
            figures += await Calls(stack, http, direct).large(large_bytes, large_rounds)
            figures += await chunks.lists(_ROWS, 200)
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
    # How fast the store takes small bodies changes from round to round, with what lies in it and
    # what was removed from it: their medians are of more rounds.
    figures = await measure(large_bytes=GIB, large_rounds=3, small_count=1000, small_rounds=5)
    document = {"figures": [{**asdict(figure), "met": figure.met} for figure in figures]}
    text = json.dumps(document, indent=2) + "\n"
    if out is not None:
        await asyncio.to_thread(out.write_text, text)
    sys.stdout.write(report(figures) + "\n" + text)
    return 0
