"""What the headers of a WAV or Ogg file say about its sound.

The standard library's `wave` believes the length in a header, which a recorder that was cut off
never wrote, and knows plain PCM only; so both formats are read here, as far as we need them.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from struct import unpack, unpack_from
from typing import BinaryIO

# The largest page of an Ogg stream has 65,307 bytes; two of them hold one that is complete.
_OGG_TAIL = 2 * 65_536
_OPUS_RATE = 48_000
_NO_PACKET_ENDS_HERE = 0xFFFF_FFFF_FFFF_FFFF
# A header that says more was damaged: no recorder makes chunks of days.
_LONGEST_SECONDS = 86_400.0


@dataclass(frozen=True)
class Sound:
    """None stands for what the file does not say."""

    duration: timedelta | None = None
    sample_rate: int | None = None
    channels: int | None = None


def read_sound(path: Path) -> Sound:
    """What can be read from the file, whatever its name says.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(4)
        if magic == b"RIFF":
            return _read_wav(file, size)
        if magic == b"OggS":
            return _read_ogg(file, size)
    return Sound()


def _read_wav(file: BinaryIO, size: int) -> Sound:
    """Source: Multimedia Programming Interface and Data Specifications 1.0, "WAVE"."""
    channels = rate = byte_rate = 0
    if file.read(8)[4:] != b"WAVE":
        return Sound()
    while len(head := file.read(8)) == 8:
        name, length = unpack("<4sI", head)
        begin = file.tell()
        if name == b"fmt " and len(form := file.read(12)) == 12:
            _, channels, rate, byte_rate = unpack("<HHII", form)
        elif name == b"data":
            # A recorder that streams, or was cut off, leaves 0 or too much as the length.
            present = size - begin
            sounding = min(length or present, present)
            return _sound(sounding, byte_rate, rate, channels)
        file.seek(begin + length + length % 2)
    return _sound(0, 0, rate, channels)


def _read_ogg(file: BinaryIO, size: int) -> Sound:
    """Opus counts in 48 kHz whatever was recorded. Sources: RFC 3533, RFC 7845; Vorbis I, 4.2.2."""
    file.seek(0)
    page = file.read(27 + 255 + 64)
    if len(page) < 28:
        return Sound()
    packet = page[27 + page[26] :]
    if packet.startswith(b"OpusHead") and len(packet) >= 16:
        channels, skipped, rate = unpack_from("<BHI", packet, 9)
        counted_at = _OPUS_RATE
    elif packet.startswith(b"\x01vorbis") and len(packet) >= 16:
        channels, rate = unpack_from("<BI", packet, 11)
        skipped, counted_at = 0, rate
    else:
        return Sound()
    file.seek(max(0, size - _OGG_TAIL))
    last = _last_granule(file.read(_OGG_TAIL), serial=page[14:18])
    return _sound(max(0, last - skipped), counted_at, rate, channels)


def _last_granule(tail: bytes, serial: bytes) -> int:
    """The count of samples up to the end of the last page of a stream, 0 when there is none."""
    end = len(tail)
    while (at := tail.rfind(b"OggS", 0, end)) >= 0:
        end = at
        if len(tail) - at >= 27 and tail[at + 4] == 0 and tail[at + 14 : at + 18] == serial:
            granule: int = unpack_from("<Q", tail, at + 6)[0]
            if granule != _NO_PACKET_ENDS_HERE:
                return granule
    return 0


def _sound(length: int, per_second: int, rate: int, channels: int) -> Sound:
    """Zeros, which mean that nobody filled the header in, become None."""
    seconds = length / per_second if per_second else 0.0
    return Sound(
        duration=timedelta(seconds=seconds) if 0 < seconds <= _LONGEST_SECONDS else None,
        sample_rate=rate or None,
        channels=channels or None,
    )
