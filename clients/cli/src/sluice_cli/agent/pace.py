"""How long to wait after a failure, and when to give up."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_WAIT = 1.0
# From here on the longest wait is reached anyway; an agent may fail for weeks.
_LAST_DOUBLING = 16


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads waits, keeps no secret


def backoff(failures: int, longest: float, chance: float) -> float:
    """Seconds to wait after `failures` in a row; `chance` in 0..1 picks from the whole range, so
    that recorders which lost the same server do not return all at once."""
    return chance * min(longest, _FIRST_WAIT * 2.0 ** min(failures, _LAST_DOUBLING))


def retry_after_seconds(value: str | None, now: datetime) -> float:
    """What a `Retry-After` header asks for: a number of seconds or a date. Source: RFC 9110."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


class Pace:
    """When the next request may be made. Success makes it quick again, failures make it slow."""

    def __init__(
        self,
        longest_wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = _chance,
    ) -> None:
        self.longest_wait_seconds = longest_wait_seconds
        self.exit_code = 0
        """That of the last failure since anything succeeded."""
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._ready_at = clock()
        self._failing_since: float | None = None

    @property
    def longest_delay_seconds(self) -> float:
        """The most a file is put off: by a wait for the server, and one of its own."""
        return 2 * self.longest_wait_seconds

    def spread(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return backoff(failures, self.longest_wait_seconds, self._chance())

    def succeeded(self) -> None:
        self._failures = 0
        self._failing_since = None
        self.exit_code = 0

    def delayed(self, exit_code: int) -> None:
        """Something is not done yet, though nothing speaks against going on with the rest."""
        if self._failing_since is None:
            self._failing_since = self._clock()
        self.exit_code = self.exit_code or exit_code

    def failed(self, exit_code: int, at_least_seconds: float = 0.0) -> float:
        """Wait before the next request; how many seconds. Nobody can ask for more than the longest
        wait, or a wrong header would silence a recorder for good."""
        self.delayed(exit_code)
        self.exit_code = exit_code
        wait = max(self.spread(self._failures), min(at_least_seconds, self.longest_wait_seconds))
        self._failures += 1
        self._ready_at = self._clock() + wait
        return wait

    def left(self) -> float:
        """Seconds until the next request may be made."""
        return max(0.0, self._ready_at - self._clock())

    def is_exhausted(self, patience_seconds: float) -> bool:
        """Whether nothing has succeeded for that long since the first failure."""
        since = self._failing_since
        return since is not None and self._clock() + self.left() > since + patience_seconds
