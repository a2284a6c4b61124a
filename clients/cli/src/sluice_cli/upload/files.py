"""Which files to send, and what tells whether one changed."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice_cli.arguments import looking_at
from sluice_cli.failures import IntegrityError, UsageError
from sluice_cli.printing import as_text

_PIECE = 1024**2

Unreadable = Callable[[OSError], None]
"""Is told of a file or a folder that is there and cannot be read."""


def unread(error: OSError) -> UsageError:
    """What went wrong, for people."""
    return UsageError(f"cannot read it: {error.strerror}")


@dataclass(frozen=True)
class Source:
    """A file as it was found; `shown` is its path below the folder it was found in."""

    path: Path
    shown: str
    size_bytes: int
    mtime_ns: int

    @property
    def filename(self) -> str:
        """Its name as text: a name that is none is sent with marks where it is not."""
        return as_text(self.path.name)


def look_at(path: Path, shown: str | None = None) -> Source:
    """Raises `OSError` when there is no such file any more."""
    state = path.stat()
    return Source(path, as_text(shown or path.name), state.st_size, state.st_mtime_ns)


def find(paths: Sequence[Path], unreadable: Unreadable) -> Iterator[Source]:
    """The files named, and those in the folders named, however deep, by name; each of them once.

    What is hidden is left out: it is mostly not finished, or not meant. `unreadable` is told of
    what could not be looked into.

    Raises:
        UsageError: something named is not there.
    """
    seen: set[Path] = set()
    for source in _find(paths, unreadable):
        if source.path not in seen:
            seen.add(source.path)
            yield source


def _find(paths: Sequence[Path], unreadable: Unreadable) -> Iterator[Source]:
    for path in paths:
        with looking_at(path):
            is_folder = path.is_dir()
            source = look_at(path.absolute()) if path.is_file() else None
        if is_folder:
            yield from below(path, unreadable)
        elif source is not None:
            yield source
        else:
            raise UsageError(f"there is no file or folder {path}")


def below(folder: Path, unreadable: Unreadable) -> Iterator[Source]:
    """The files in a folder; one that vanishes meanwhile is passed over."""
    top = folder.absolute()
    for where, folders, names in os.walk(top, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(one for one in names if not one.startswith(".")):
            path = Path(where, name)
            try:
                if path.is_file():
                    yield look_at(path, str(path.relative_to(top)))
            except FileNotFoundError:
                continue
            except OSError as error:
                unreadable(error)


class Reader:
    """Reads one file from its beginning to its end, and knows the digest of what it read.

    Its methods raise `CommandError` when the file cannot be read, or became shorter.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = hashlib.sha256()
        self._file = source.path.open("rb")

    def close(self) -> None:
        self._file.close()

    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def read(self, length: int) -> bytes:
        """The next bytes, all of them."""
        return await asyncio.to_thread(self._read, length)

    async def skip(self, length: int) -> None:
        """Past bytes that are only wanted for the digest."""
        async for _ in self.pieces(length):
            pass

    async def pieces(self, length: int) -> AsyncIterator[bytes]:
        """The next bytes, a few at a time."""
        while length > 0:
            piece = await asyncio.to_thread(self._read, min(_PIECE, length))
            length -= len(piece)
            yield piece

    def _read(self, length: int) -> bytes:
        try:
            data = self._file.read(length)
        except OSError as error:
            raise unread(error) from error
        if len(data) < length:
            raise IntegrityError(f"{self._source.shown} became shorter while it was sent")
        self._digest.update(data)
        return data
