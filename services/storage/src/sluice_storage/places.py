"""Keeps senders and the sweep from meeting at one key."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sluice_runtime.errors import Unavailable


class GivenOut:
    """The keys this process gave out lately, where bytes may be on their way.

    Chunks that are sent again come to the place they had, so that a sender and the sweep may meet:
    a key that is closed is given out to nobody, and one that was given out is not closed.
    """

    def __init__(self, lifetime: timedelta) -> None:
        self._seconds = lifetime.total_seconds()
        self._until: OrderedDict[str, float] = OrderedDict()
        self._closed: set[str] = set()

    def give_out(self, key: str) -> None:
        """Raises `Unavailable` while what lies there is being removed."""
        if key in self._closed:
            raise Unavailable("What lies at this place is being removed.", code="place-closed")
        self._forget()
        self._until[key] = time.monotonic() + self._seconds
        self._until.move_to_end(key)

    @contextmanager
    def closed(self, key: str) -> Iterator[bool]:
        """Give out `key` to nobody while the block runs; False when somebody has it already."""
        self._forget()
        if key in self._until or key in self._closed:
            yield False
            return
        self._closed.add(key)
        try:
            yield True
        finally:
            self._closed.remove(key)

    def _forget(self) -> None:
        now = time.monotonic()
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
