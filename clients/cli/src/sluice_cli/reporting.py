"""Where a command's words go: results to stdout, progress and complaints to stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sluice_cli.printing import printable

Track = Callable[[int], None]
OpenTrack = Callable[[str, int], Track]


class Report:
    """The two streams of one command. rich honours NO_COLOR by itself."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._errors = Console(stderr=True, highlight=False)

    def result(self, model: BaseModel) -> None:
        """A result as JSON: one line for programs, indented for people.

        In ASCII, which comes through every encoding and moves no cursor.
        """
        indent = None if self.as_json else 2
        print(model.model_dump_json(indent=indent, ensure_ascii=True), flush=True)

    def line(self, text: str) -> None:
        """A result in words; programs get theirs from `result`."""
        if not self.as_json:
            print(printable(text), flush=True)

    def notice(self, text: str) -> None:
        """Something worth knowing that is not a result."""
        self._errors.print(printable(text), markup=False, soft_wrap=True)

    @contextmanager
    def transfers(self) -> Iterator[OpenTrack]:
        """Progress bars on a terminal; elsewhere the notices about each file have to do."""
        if not self._errors.is_terminal:
            yield lambda _name, _size: lambda _sent: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self._errors, redirect_stdout=False, redirect_stderr=False
        ) as bars:

            def open_track(name: str, size: int) -> Track:
                task = bars.add_task(printable(name), total=size)
                return lambda sent: bars.update(task, completed=sent)

            yield open_track


def on_terminal() -> bool:
    """Whether a person reads the results."""
    return sys.stdout.isatty()
