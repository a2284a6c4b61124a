"""How work that nobody waits for leaves the machine to work somebody waits for.

Source of the measure: pressure stall information of Linux, https://docs.kernel.org/accounting/psi.html
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

_FILE = Path("/proc/pressure/cpu")
# Some task had to wait for a processor for more than this share of the time.
_BUSY_SHARE = 0.4
_LOOK_SECONDS = 0.05
_LONGEST_LOOK_SECONDS = 1.0
# What happened so long ago says nothing about the moment.
_STALE_SECONDS = 2.0
_LONGEST_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_ORDINARY = 4.0
_LONGEST_ORDINARY_SECONDS = 2.0


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
    """Waits for a quiet moment before each round of work.

    It looks at the machine in ever longer intervals, and waits for five seconds at most. Work that
    has waited for ten seconds gets its share, however busy the machine is: then the wait is no
    longer than four times what the last round took, as it always is where the kernel does not
    tell.
    """

    def __init__(
        self,
        *,
        waited: Callable[[], float | None] = waited_seconds,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._waited = waited
        self._clock = clock
        self._sleep = sleep
        self._round_seconds = 0.0
        self._quiet = False
        self._last = clock(), waited()

    def note_round(self, seconds: float) -> None:
        """Remember what a round of the work took."""
        self._round_seconds = seconds

    async def wait(self, age_seconds: float) -> None:
        """Wait for the turn of work that is so old."""
        ordinary = min(self._round_seconds * _ORDINARY, _LONGEST_ORDINARY_SECONDS)
        if self._waited() is None:
            await self._sleep(ordinary)
            return
        is_late = age_seconds > _PATIENCE_SECONDS
        until = self._clock() + (ordinary if is_late else _LONGEST_SECONDS)
        interval = _LOOK_SECONDS
        while not self._is_quiet() and (left := until - self._clock()) > 0:
            await self._sleep(min(interval, left))
            interval = min(interval * 2, _LONGEST_LOOK_SECONDS)

    def _is_quiet(self) -> bool:
        then, waited_then = self._last
        now = self._clock()
        if now - then < _LOOK_SECONDS:
            return self._quiet
        waited = self._waited()
        self._last = now, waited
        self._quiet = (
            now - then < _STALE_SECONDS
            and waited is not None
            and waited_then is not None
            and waited - waited_then <= _BUSY_SHARE * (now - then)
        )
        return self._quiet
