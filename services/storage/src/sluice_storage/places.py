"""Keeps senders and the sweep from meeting at one key."""

import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sluice_runtime.errors import Unavailable

# A request of ours to the store is over by then, whatever became of it.
_DELETING_LASTS = 120.0


class GivenOut:
    """The keys this process gave out lately, where bytes may be on their way.

    Chunks that are sent again come to the place they had, so that a sender and the sweep may meet:
    a key that is closed is given out to nobody, and one that was given out is not closed.
    """

    def __init__(self, lifetime: timedelta) -> None:
        self._seconds = lifetime.total_seconds()
        self._until: OrderedDict[str, float] = OrderedDict()
        self._closed: dict[str, float] = {}

    def give_out(self, key: str) -> None:
        """Raises `Unavailable` while what lies there is being removed."""
        if self._is_closed(key):
            raise Unavailable("What lies at this place is being removed.", code="place-closed")
        self._forget()
        self._until[key] = time.monotonic() + self._seconds
        self._until.move_to_end(key)

    @contextmanager
    def closed(self, key: str) -> Iterator[bool]:
        """Give out `key` to nobody while the block runs; False when somebody has it already.

        After a block that failed it stays closed for a while: what was asked of the store may
        still be done.
        """
        self._forget()
        if key in self._until or self._is_closed(key):
            yield False
            return
        self._closed[key] = math.inf
        try:
            yield True
        except BaseException:
            self._closed[key] = time.monotonic() + _DELETING_LASTS
            raise
        del self._closed[key]

    def _is_closed(self, key: str) -> bool:
        if self._closed.get(key, 0.0) > time.monotonic():
            return True
        self._closed.pop(key, None)
        return False

    def _forget(self) -> None:
        now = time.monotonic()
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
