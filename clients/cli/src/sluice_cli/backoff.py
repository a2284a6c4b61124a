"""When to repeat a request, how long to wait before it, and when to give up."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sluice_contracts.api import Problem

PATIENCE_SECONDS = 60.0
REPEATABLE_STATUSES = frozenset({429, 502, 503, 504})
# Another attempt holds the upload at this moment; its claim ends by itself.
REPEATABLE_CODES = frozenset({"upload-in-progress"})

_FIRST_WAIT = 0.25
_LONGEST_WAIT = 8.0
# From here on the longest wait is reached anyway; a watch may run for weeks.
_LAST_DOUBLING = 16


def is_repeatable(status: int, problem: Problem | None) -> bool:
    """Whether the very same request may succeed later."""
    if status in REPEATABLE_STATUSES:
        return True
    return problem is not None and (problem.retryable or problem.code in REPEATABLE_CODES)


def backoff(repeat: int, chance: float) -> float:
    """Seconds before repeat number `repeat`, counted from 0; `chance` in 0..1 spreads it."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(repeat, _LAST_DOUBLING))
    return longest * (0.5 + chance / 2)


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """What a `Retry-After` header asks for: a number of seconds or a date. Source: RFC 9110."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads waits, keeps no secret


@dataclass
class Patience:
    """How long one request is repeated. The time runs from its first failure, not from its
    start: a long upload that breaks deserves another attempt as much as a short one.
    """

    seconds: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = _chance
    _repeats: int = field(default=0, init=False)
    _deadline: float | None = field(default=None, init=False)

    def next_wait(self, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next attempt, or None when it is time to give up."""
        now = self.clock()
        if self._deadline is None:
            self._deadline = now + self.seconds
        wait = max(backoff(self._repeats, self.chance()), retry_after or 0.0)
        self._repeats += 1
        return wait if now + wait <= self._deadline else None
