"""What one agent was told to do."""

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True)
class Place:
    """Where a recorder stands; the server checks it against the token."""

    point_id: UUID
    register_id: UUID


@dataclass(frozen=True)
class Defaults:
    """What is assumed of a chunk that does not say it itself. `codec` None: by the extension."""

    codec: str | None = None
    sample_rate: int = 48_000
    channels: int = 1
    chunk_seconds: float = 60.0


@dataclass(frozen=True)
class Settings:
    """Where the chunks are, where they go, and how patiently."""

    folder: Path
    ledger: Path
    base_url: str
    device_id: UUID
    token: str = field(repr=False)
    place: Place | None = None
    """None: ask the server."""
    defaults: Defaults = field(default_factory=Defaults)
    settle_seconds: float = 2.0
    """How long a file has to stay as it is before it counts as finished."""
    untold_seconds: float = 30.0
    """The same where nobody can tell who writes: longer than a recorder keeps sound to itself
    before it writes it down. Eleven seconds of 24 kbit/s fill a buffer of 32 KiB."""
    poll_seconds: float = 1.0
    silence_seconds: float = 60.0
    """How long a connection may stand still before it is given up."""
    longest_wait_seconds: float = 300.0
    """The most that is waited between two attempts, even when the server asks for more."""
    patience_seconds: float = 60.0
    """With `once`: how long nothing may succeed before the agent gives up."""
    keep: bool = False
    once: bool = False
    as_json: bool = False

    @property
    def wait_limit_seconds(self) -> float:
        """The longest wait, short enough for several attempts before patience runs out."""
        limit = self.longest_wait_seconds
        return min(limit, self.patience_seconds / 4) if self.once else limit
