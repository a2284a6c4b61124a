"""Ctrl-C and SIGTERM: once to finish the chunk in flight, twice to stop at once."""

import os
import select
import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"finishing the chunk in flight; once more stops at once\n"


class Stopping:
    """Whether somebody asked the agent to end.

    A pipe rather than a `threading.Event`: a handler that sets an event can meet the very lock the
    waiting thread, which it interrupts, holds.
    """

    def __init__(self) -> None:
        self.requested = False
        self._read, self._write = os.pipe()

    def listen(self) -> None:
        """Take the signals of this process."""
        for number in _SIGNALS:
            signal.signal(number, self._heard)

    def request(self) -> None:
        self.requested = True
        os.write(self._write, b".")

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as somebody asks."""
        select.select([self._read], [], [], max(0.0, seconds))

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.request()
        # Not through `sys.stderr`: it may be in the middle of a line just now.
        os.write(2, _NOTICE)
