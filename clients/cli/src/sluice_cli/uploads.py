"""Sending several files, a few at a time, and what became of each."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice_cli.client import Client, Uploaded
from sluice_cli.failures import ALL_DONE, SOME_FAILED, CommandError, UsageError, combined
from sluice_cli.printing import as_text
from sluice_cli.reporting import OpenTrack, Report
from sluice_contracts.api import PresignedItem

Pair = tuple[PresignedItem, Path]

# Two keep a link busy while one of them waits for its answer.
_AT_ONCE = 2


class Outcome(BaseModel):
    """What became of one file."""

    model_config = ConfigDict(frozen=True)

    file: str
    blob_ref: str
    status: Uploaded | Literal["failed", "unfinished"]
    code: str | None = None
    detail: str | None = None
    exit_code: int = Field(default=ALL_DONE, exclude=True)


async def upload_all(
    client: Client, report: Report, stopping: asyncio.Event, pairs: Sequence[Pair]
) -> int:
    """Send every file; the exit code that sums them up. Once `stopping`, none is begun."""
    outcomes: dict[int, Outcome] = {}
    # One iterator for all: whoever is free takes the next file.
    waiting = iter(enumerate(pairs))

    async def work(open_track: OpenTrack) -> None:
        for place, pair in _while_open(waiting, stopping):
            outcomes[place] = await _send(client, report, open_track, pair)

    try:
        with report.transfers() as open_track:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, len(pairs))):
                    group.create_task(work(open_track))
    finally:
        # Also when a second Ctrl-C cut the rest short: what arrived has arrived.
        results = [outcomes.get(place) or _unfinished(pair) for place, pair in enumerate(pairs)]
        for result in results:
            _show(report, result)
    return combined([result.exit_code for result in results])


def _while_open(
    waiting: Iterator[tuple[int, Pair]], stopping: asyncio.Event
) -> Iterator[tuple[int, Pair]]:
    while not stopping.is_set():
        following = next(waiting, None)
        if following is None:
            return
        yield following


async def _send(client: Client, report: Report, open_track: OpenTrack, pair: Pair) -> Outcome:
    item, file = pair
    name = as_text(file)
    try:
        track = open_track(file.name, file.stat().st_size)
        status = await client.put(item, file, track)
    except OSError as error:
        failure: CommandError = UsageError(f"cannot read {name}: {error.strerror}")
    except CommandError as error:
        failure = error
    else:
        report.notice(f"{name}: {status}")
        return Outcome(file=name, blob_ref=item.blob_ref, status=status)
    report.notice(f"{name}: failed: {failure}")
    return Outcome(
        file=name,
        blob_ref=item.blob_ref,
        status="failed",
        code=failure.code,
        detail=str(failure),
        exit_code=failure.exit_code,
    )


def _unfinished(pair: Pair) -> Outcome:
    item, file = pair
    return Outcome(
        file=as_text(file), blob_ref=item.blob_ref, status="unfinished", exit_code=SOME_FAILED
    )


def _show(report: Report, outcome: Outcome) -> None:
    if report.as_json:
        report.result(outcome)
    report.line(f"{outcome.status} {outcome.file} {outcome.blob_ref}")
