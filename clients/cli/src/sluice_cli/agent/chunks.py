"""From a finished file to what is said about its chunk."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath

from sluice_cli.agent.audio import read_sound
from sluice_cli.agent.entries import Entry, Stamp
from sluice_cli.agent.settings import Defaults
from sluice_cli.agent.times import as_text, span_of

PIECE_BYTES = 64 * 1024

_CODECS = {
    ".aac": "aac",
    ".flac": "flac",
    ".m4a": "aac",
    ".mp3": "mp3",
    ".oga": "opus",
    ".ogg": "opus",
    ".opus": "opus",
    ".wav": "pcm_s16le",
}


def codec_of(name: str, defaults: Defaults) -> str | None:
    """The codec of a file; None when it is no chunk, as far as its name tells."""
    return defaults.codec or _CODECS.get(PurePath(name).suffix.lower())


def describe(path: Path, stamp: Stamp, codec: str, defaults: Defaults) -> Entry:
    """What will be said about the chunk in `path`. The same file gives the same answer again.

    Raises:
        OSError: the file cannot be read.
        UntimedError: nothing says when it was recorded.
    """
    sound = read_sound(path)
    written = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=stamp.mtime_ns // 1000)
    duration = sound.duration or timedelta(seconds=defaults.chunk_seconds)
    span = span_of(path.name, written, duration)
    return Entry(
        name=path.name,
        stamp=stamp,
        start_ts=as_text(span.start),
        end_ts=as_text(span.end),
        codec=codec,
        sample_rate=sound.sample_rate or defaults.sample_rate,
        channels=sound.channels or defaults.channels,
    )


def digest(path: Path) -> str:
    """The SHA-256 of a file, read in small pieces.

    Raises:
        OSError: the file cannot be read.
    """
    sha256 = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            sha256.update(piece)
    return sha256.hexdigest()
