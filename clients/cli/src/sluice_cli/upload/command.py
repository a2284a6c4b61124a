"""`sluice upload` on the command line."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sluice_cli import interrupts
from sluice_cli.arguments import (
    DEFAULT_BASE_URL,
    checked_batch_id,
    checked_key,
    checked_url,
    looking_at,
)
from sluice_cli.backoff import PATIENCE_SECONDS
from sluice_cli.failures import NETWORK, UsageError, combined
from sluice_cli.operators import Json
from sluice_cli.reporting import Report
from sluice_cli.upload.door import Door
from sluice_cli.upload.files import Source, find
from sluice_cli.upload.filing import Desk, Filing, Outcome, unseen
from sluice_cli.upload.ledger import Ledger, default_path
from sluice_cli.upload.sending import Slots
from sluice_cli.upload.watching import Watched


@dataclass(frozen=True)
class Order:
    """What the user asked for."""

    paths: tuple[Path, ...]
    folder: Path | None
    settle_seconds: float
    jobs: int
    base_url: str
    api_key: str
    batch_id: str | None
    ledger: Path
    patience: float


def upload(
    api_key: Annotated[str, typer.Option(envvar="SLUICE_API_KEY", help="The API key.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files, and folders with all they hold."),
    ] = None,
    base_url: Annotated[
        str, typer.Option(envvar="SLUICE_BASE_URL", help="The server.")
    ] = DEFAULT_BASE_URL,
    batch_id: Annotated[
        str | None, typer.Option(help="Make the files members of this batch.")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="How many files or parts are sent at once.")
    ] = 4,
    folder: Annotated[
        Path | None,
        typer.Option("--watch", metavar="DIR", help="Go on with the files that appear here."),
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0.1, help="Seconds without a change that finish a watched file.")
    ] = 3.0,
    ledger: Annotated[
        Path | None, typer.Option(help="Where to remember what was begun, to resume it.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds a failing request is repeated.")
    ] = PATIENCE_SECONDS,
    as_json: Json = False,
) -> None:
    """Send files straight to the object store; run again, it resumes where it broke off.

    Hidden files in folders are left out. Ctrl-C once finishes the parts in flight, twice stops.
    """
    report = Report(as_json=as_json)
    order = Order(
        paths=tuple(paths or ()),
        folder=_watchable(folder),
        settle_seconds=settle,
        jobs=jobs,
        base_url=checked_url(base_url),
        api_key=checked_key(api_key),
        batch_id=None if batch_id is None else checked_batch_id(batch_id),
        ledger=ledger or default_path(),
        patience=timeout,
    )
    if not order.paths and order.folder is None:
        raise UsageError("name files or folders, or a folder to --watch")
    unreadable: list[OSError] = []
    sources = list(find(order.paths, unreadable.append))

    async def work(stopping: asyncio.Event) -> int:
        return await Uploads(order, report, stopping).run(sources, unreadable)

    sys.exit(interrupts.run(work, report.notice))


def _watchable(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    with looking_at(folder):
        if folder.is_dir():
            return folder
    raise UsageError(f"there is no folder {folder}")


class Uploads:
    """Several files, a few at a time. Once `stopping`, none is begun."""

    def __init__(self, order: Order, report: Report, stopping: asyncio.Event) -> None:
        self._order = order
        self._report = report
        self._stopping = stopping
        self._codes: list[int] = []
        self._watched = (
            Watched(order.folder, order.settle_seconds, report.notice)
            if order.folder is not None
            else None
        )

    async def run(self, sources: Sequence[Source], unreadable: Sequence[OSError]) -> int:
        """The exit code that sums all of them up, and what could not be looked into."""
        for error in unreadable:
            self._show(unseen(error))
        order = self._order
        ledger = Ledger(order.ledger, order.base_url, order.batch_id)
        waiting = self._sources(sources)
        turn = asyncio.Lock()
        try:
            async with Door(
                order.base_url, order.api_key, self._report.notice, order.patience
            ) as door:
                slots = Slots(order.jobs, self._stopping)
                with self._report.transfers() as open_track:
                    desk = Desk(door, ledger, slots, open_track, order.batch_id)
                    async with asyncio.TaskGroup() as group:
                        for _ in range(order.jobs):
                            group.create_task(self._work(waiting, turn, desk))
        finally:
            ledger.close()
        return combined(self._codes)

    async def _sources(self, sources: Sequence[Source]) -> AsyncIterator[Source]:
        for source in sources:
            yield source
        if self._watched is not None:
            async for source in self._watched.finished(self._stopping):
                yield source

    async def _work(self, waiting: AsyncIterator[Source], turn: asyncio.Lock, desk: Desk) -> None:
        """Take one file after the other, for as long as there are any."""
        while True:
            async with turn:
                source = await anext(waiting, None)
            if source is None:
                return
            filing = Filing(source, desk)
            outcome = filing.left() if self._stopping.is_set() else await filing.file_away()
            self._show(outcome)
            if self._watched is not None and outcome.exit_code == NETWORK:
                self._watched.again(source)

    def _show(self, outcome: Outcome) -> None:
        self._codes.append(outcome.exit_code)
        if outcome.detail is not None:
            self._report.notice(f"{outcome.file}: {outcome.detail}")
        if self._report.as_json:
            self._report.result(outcome)
        self._report.line(f"{outcome.status} {outcome.file} {outcome.object_id or ''}".rstrip())
