"""The watched folder: which of its files are finished, and whose it is."""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sluice_cli.agent.endings import AgentError
from sluice_cli.agent.entries import Stamp
from sluice_cli.writers import is_being_written

# What programs call a file they are still writing.
_UNFINISHED = (".part", ".tmp")


class FolderLock:
    """Keeps a second agent out. The lock is on the folder itself, so it needs no file that could
    stay behind, and the kernel lets go of it however this process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Raises:
            AgentError: another agent has it, or it cannot be opened.
        """
        try:
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise AgentError(f"cannot open {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise AgentError(f"another agent already watches {folder}") from None

    def release(self) -> None:
        os.close(self._descriptor)


@dataclass(slots=True)
class _Seen:
    stamp: Stamp
    since: float
    told: bool = False


class FolderWatch:
    """Tells each finished file once, and again when it changes.

    A file is finished when its name is neither hidden nor that of a draft, it is not empty, it has
    been seen as it is for `settle_seconds`, and nobody has it open for writing: what a recorder
    still holds back is in no file. Where that cannot be told, it has to stay as it is for
    `untold_seconds`. Folders within the folder are not looked into.
    """

    def __init__(
        self,
        folder: Path,
        settle_seconds: float,
        untold_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._settle_seconds = settle_seconds
        self._untold_seconds = max(settle_seconds, untold_seconds)
        self._longest_seconds = settle_seconds
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._first_look: float | None = None
        self._last_look = 0.0

    @property
    def has_settled(self) -> bool:
        """Whether everything that was finished when it began, or was forgotten since, is told."""
        first = self._first_look
        return first is not None and self._last_look - first >= self._longest_seconds

    def newly_finished(self) -> list[tuple[str, Stamp]]:
        """Files nobody was told of yet.

        Raises:
            OSError: the folder cannot be read.
        """
        now = self._clock()
        present: dict[str, _Seen] = {}
        finished = []
        for name, stamp in self._files():
            seen = self._seen.get(name)
            if seen is None or seen.stamp != stamp:
                seen = _Seen(stamp, now)
            present[name] = seen
            if not seen.told and self._is_finished(name, seen, now):
                seen.told = True
                finished.append((name, stamp))
        self._seen = present
        self._first_look = now if self._first_look is None else self._first_look
        self._last_look = now
        return finished

    def _is_finished(self, name: str, seen: _Seen, now: float) -> bool:
        unchanged = now - seen.since
        if unchanged < self._settle_seconds:
            return False
        try:
            written = is_being_written(self._folder / name)
        except OSError:
            written = False  # who reads it will say why that cannot be done
        if written is None:
            self._longest_seconds = self._untold_seconds
            return unchanged >= self._untold_seconds
        return not written

    def forget(self, name: str) -> None:
        """Tell a file again as if it were new."""
        self._seen.pop(name, None)
        self._first_look = None

    def retry(self, name: str) -> None:
        """Tell a file again later, without anybody waiting for it."""
        self._seen.pop(name, None)

    def _files(self) -> list[tuple[str, Stamp]]:
        found = []
        with os.scandir(self._folder) as listing:
            for item in listing:
                if item.name.startswith(".") or item.name.lower().endswith(_UNFINISHED):
                    continue
                try:
                    if not item.is_file(follow_symlinks=False):
                        continue
                    stamp = Stamp.of(item.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # gone since the folder was listed
                if stamp.size_bytes:
                    found.append((item.name, stamp))
        return found
