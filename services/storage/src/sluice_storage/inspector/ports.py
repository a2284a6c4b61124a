"""The outside as the inspector sees it, and everything its use case may touch."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from sluice_contracts.base import Contract
from sluice_contracts.facts import Fact, MediaFacts
from sluice_runtime.rpc import Asks


class Finding(Contract):
    """What somebody who looked into a file has to say. The reasons stand at `ObjectInspected`."""

    readable: bool
    reason: str | None = None
    media: MediaFacts | None = None


class Downloads(Protocol):
    """Fetches objects on signed URLs."""

    def fetch(self, url: str, most_bytes: int) -> AbstractAsyncContextManager[IO[bytes] | None]:
        """A file with up to `most_bytes` of an object, gone after the block; None: no object.

        Raises:
            Unavailable: the object store is away, or broke off.
        """
        ...


class Reads(Protocol):
    """Reads media files, and survives every one of them."""

    async def read(self, file: IO[bytes]) -> Finding:
        """What is in an open file.

        Raises:
            Unavailable: nobody can read anything right now; it says nothing about the file.
        """
        ...


class Announces(Protocol):
    """Says a fact; returns when it is durable, raises `Unavailable` otherwise."""

    async def announce(self, fact: Fact, *, event_id: str) -> None: ...


@dataclass(frozen=True)
class Deps:
    """Everything the use case may touch. Larger files than `most_bytes` are not looked into."""

    asker: Asks
    downloads: Downloads
    reader: Reads
    announcer: Announces
    most_bytes: int
    now: Callable[[], datetime]
