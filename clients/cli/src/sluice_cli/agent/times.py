"""When a chunk was recorded.

1. Two moments in its name, as in `chunk_<start>_<end>.ogg` or `<start>--<end>.ogg`, are its start
   and its end.
2. One moment in its name is its start; the end follows from its duration.
3. Otherwise it ended when it was last written, and the start follows from its duration.

A moment is `20260128T100000Z`, with a fraction `20260128T100000.250Z` or `20260128T100000250Z`, or
written out as `2026-01-28T10:00:00Z`, where `-` may stand for `:`. It has a zone, `Z` or `+03:00`:
what a recorder's local time was cannot be known later, so a moment without one does not count.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# A machine without a clock begins in 1970, or when its software was made.
EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)

_UNSET_YEAR = 1970
# Nothing can be reckoned beyond it.
_LAST_YEAR = 9999

_MOMENT = re.compile(
    r"(?<![0-9])(\d{4})-?(\d\d)-?(\d\d)T(\d\d)[-:]?(\d\d)[-:]?(\d\d)(?:[.,]?(\d{1,9}))?"
    r"(Z|[+-]\d\d:?\d\d)(?![0-9A-Za-z])"
)


class UntimedError(Exception):
    """Nobody can say when a chunk was recorded; uploading it would place it in the wrong year."""


@dataclass(frozen=True)
class Span:
    """From when to when a chunk was recorded, in UTC; the end lies after the start."""

    start: datetime
    end: datetime


def moments_in(name: str) -> list[datetime]:
    """The moments a file name holds, in UTC, but for those no clock that was set can have shown."""
    found = []
    for match in _MOMENT.finditer(name):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        text = f"{year}-{month}-{day}T{hour}:{minute}:{second}.{(fraction or '0'):0<6.6}{zone}"
        try:
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            continue  # a thirteenth month, say: digits that only look like a moment
        if _UNSET_YEAR < moment.year < _LAST_YEAR:
            found.append(moment)
    return found


def span_of(name: str, written: datetime, duration: timedelta) -> Span:
    """When the chunk called `name`, last written at `written`, was recorded.

    Raises:
        UntimedError: it follows from `written`, and the clock was wrong then.
    """
    named = moments_in(name)
    if len(named) >= 2 and named[0] < named[1]:
        return Span(named[0], named[1])
    if named:
        return Span(named[0], named[0] + duration)
    start = written - duration
    if start < EARLIEST:
        raise UntimedError(
            f"{name} was written when the clock said {written:%Y-%m-%d}; name it after its start, "
            "or set the clock and touch it"
        )
    return Span(start, written)


def as_text(moment: datetime) -> str:
    """RFC 3339 in UTC, always equally long, so that texts sort like moments."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
