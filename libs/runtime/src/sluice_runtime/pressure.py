"""How work that nobody waits for leaves the machine to work somebody waits for.

Source of the measure: pressure stall information of Linux, https://docs.kernel.org/accounting/psi.html
"""

import time
from collections.abc import Callable
from pathlib import Path

_FILE = Path("/proc/pressure/cpu")
# Some task had to wait for a processor for more than this share of the time.
_BUSY_SHARE = 0.4
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0
_LONGEST_SECONDS = 2.0
_LEAST = 0.5
_ORDINARY = 4.0
_MOST = 64.0
_LONGER = 8.0
_SHORTER = 4.0


def waited_seconds() -> float | None:
    """For how long, since it was started, some task of this machine waited for a processor.

    None where the kernel does not tell.
    """
    try:
        some = _FILE.read_text().split("\n", 1)[0]
        return int(some.rpartition("total=")[2]) / 1_000_000
    except (OSError, ValueError):
        return None


class Courtesy:
    """How long to rest between rounds of work: the longer, the more wait for a processor.

    With each look at a busy machine the rest grows to eight times what it was, with each at a
    quiet one it shrinks to a quarter. Where the kernel does not tell, it is four times what a round
    took; and it is no more than that for work that has waited for a minute: then it gets its share,
    however busy the machine is.
    """

    def __init__(
        self,
        *,
        waited: Callable[[], float | None] = waited_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waited = waited
        self._clock = clock
        self._times = _ORDINARY
        self._last = clock(), waited()

    def rest_after(self, seconds: float, age_seconds: float) -> float:
        """Seconds to rest after a round that took so many, and whose work was so old."""
        self._look()
        is_late = age_seconds > _PATIENCE_SECONDS
        times = min(self._times, _ORDINARY) if is_late else self._times
        return min(seconds * times, _LONGEST_SECONDS)

    def _look(self) -> None:
        then, waited_then = self._last
        now = self._clock()
        if now - then < _LOOK_SECONDS:
            return
        waited = self._waited()
        self._last = now, waited
        if waited is None or waited_then is None:
            self._times = _ORDINARY
        elif waited - waited_then > _BUSY_SHARE * (now - then):
            self._times = min(self._times * _LONGER, _MOST)
        else:
            self._times = max(self._times / _SHORTER, _LEAST)
