"""A folder whose files are sent once nobody writes to them any more."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sluice_cli.upload.files import Source, below, unread
from sluice_cli.writers import is_being_written

_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 30.0
# How programs call what they have not finished writing.
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download")


@dataclass
class _Seen:
    source: Source
    since: float
    taken: bool = False


class Watched:
    """The files of a folder, each as soon as it has not changed for `settle_seconds` and nobody, as
    far as the system tells, has it open for writing.

    `notice` is told once of each folder within it that cannot be read.
    """

    def __init__(self, folder: Path, settle_seconds: float, notice: Callable[[str], None]) -> None:
        self._folder = folder
        self._settle_seconds = settle_seconds
        self._notice = notice
        self._seen: dict[Path, _Seen] = {}
        self._unreadable: set[str] = set()

    async def finished(self, stopping: asyncio.Event) -> AsyncIterator[Source]:
        """Files as they are finished, until `stopping`."""
        while not stopping.is_set():
            for source in await asyncio.to_thread(self._look):
                self._note(source)
            for source in list(self._settled()):
                if stopping.is_set():
                    return
                yield source
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stopping.wait()

    def again(self, source: Source) -> None:
        """This one could not be sent and is worth another attempt, a while later."""
        seen = self._seen.get(source.path)
        if seen is not None and seen.source == source:
            seen.taken, seen.since = False, time.monotonic() + _AGAIN_SECONDS

    def _look(self) -> list[Source]:
        return list(below(self._folder, self._complain))

    def _complain(self, error: OSError) -> None:
        told = f"{error.filename}: {unread(error)}"
        if told not in self._unreadable:
            self._unreadable.add(told)
            self._notice(told)

    def _note(self, source: Source) -> None:
        seen = self._seen.get(source.path)
        if seen is None or seen.source != source:
            self._seen[source.path] = _Seen(source, time.monotonic())

    def _settled(self) -> Iterator[Source]:
        for seen in self._seen.values():
            if seen.taken or seen.source.path.name.lower().endswith(_UNFINISHED):
                continue
            # An empty file is one whose writer has not come far.
            if not seen.source.size_bytes or time.monotonic() - seen.since < self._settle_seconds:
                continue
            if not _is_held(seen.source.path):
                seen.taken = True
                yield seen.source


def _is_held(path: Path) -> bool:
    try:
        return is_being_written(path) is True
    except OSError:
        return False  # sending it says why it cannot be read
