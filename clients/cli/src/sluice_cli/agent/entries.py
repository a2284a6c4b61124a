"""What the ledger remembers of one file."""

import os
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and time of the last change; together they tell whether a file is still the same."""

    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, state: os.stat_result) -> "Stamp":
        return cls(state.st_size, state.st_mtime_ns)


class State(StrEnum):
    PENDING = "pending"
    """To be sent."""
    ACCEPTED = "accepted"
    """The server holds the bytes and has not confirmed them; the file stays."""
    UPLOADED = "uploaded"
    """Confirmed: the file may go."""
    REFUSED = "refused"
    """The server will never take it; the file stays, and is sent again only once it changes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the folder and how far it got.

    All that a request says about a chunk is in here and stays as it was first worked out, so that
    a repeat is the same request and the server knows the chunk again.
    """

    name: str
    stamp: Stamp
    start_ts: str
    end_ts: str
    codec: str
    sample_rate: int
    channels: int
    sha256: str | None = None
    """None until it is first sent."""
    state: State = State.PENDING
    chunk_id: str | None = None
    attempts: int = 0
    next_try: float = 0.0
    """Seconds since 1970, by a clock that may jump."""
    accepted_at: float | None = None
    last_error: str | None = None
