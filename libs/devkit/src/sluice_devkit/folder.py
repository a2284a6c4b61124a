"""The data folder of a stack: at most one stack at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FolderInUseError(RuntimeError):
    """Another stack holds this data folder."""


class NoFolderError(RuntimeError):
    """There cannot be a data folder at this place."""


class FolderLock:
    """Holds a folder for this process; the kernel lets go when it ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the folder, making it when it is not there.

        Raises:
            FolderInUseError: somebody has it.
            NoFolderError: it cannot be made, or nothing can be written in it.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise NoFolderError(f"{self._folder} cannot hold data: {reason}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise FolderInUseError(
                f"{self._folder} is in use by another stack (process {holder})"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def held_on_success(self) -> Iterator[None]:
        """Take the folder, and keep it unless the block fails."""
        self.take()
        try:
            yield
        except BaseException:
            self.release()
            raise
