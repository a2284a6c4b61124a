"""The outside as the notifier sees it, and everything a use case may touch."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sluice_contracts.questions import LogEntries
from sluice_notifier.domain import Cursor, Entry


class Log(Protocol):
    """The log and its cursor, inside one transaction."""

    async def lock_cursor(self) -> Cursor: ...
    async def move_cursor(self, cursor: Cursor) -> None: ...
    async def known(self, event_ids: Sequence[str]) -> set[str]: ...
    async def last(self, tenants: Sequence[str]) -> dict[str, int]: ...
    async def append(self, entries: Sequence[Entry]) -> None: ...
    async def page(
        self,
        tenant: str,
        *,
        after: int,
        limit: int,
        types: Sequence[str],
        ids: Sequence[str],
    ) -> LogEntries: ...
    async def commit(self) -> None: ...


class Live(Protocol):
    """Tells whoever listens right now; a hint that may get lost."""

    async def tell(self, entries: Sequence[Entry]) -> None: ...


@dataclass(frozen=True)
class Deps:
    """Everything a use case of the notifier may touch."""

    log: Callable[[], AbstractAsyncContextManager[Log]]
    live: Live
