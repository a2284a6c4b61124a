"""Reads one media file with PyAV. In the child process alone: what a file does to the decoders,
it does there."""

import os
import re
import time
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from sluice_storage.inspector.peaks import Peaks

# Containers of sound and film that hold all of themselves, and what we call them. A playlist, or a
# format that names other files, would read those for whoever uploaded it.
_CONTAINERS = {
    "aac": "aac",
    "ac3": "ac3",
    "aiff": "aiff",
    "amr": "amr",
    "asf": "asf",
    "au": "au",
    "avi": "avi",
    "caf": "caf",
    "eac3": "eac3",
    "flac": "flac",
    "flv": "flv",
    "matroska,webm": "matroska",
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "mp3": "mp3",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "mxf": "mxf",
    "ogg": "ogg",
    "tta": "tta",
    "w64": "w64",
    "wav": "wav",
    "wv": "wv",
}
# No protocol but an open descriptor: nothing in a file can make FFmpeg open another or a socket.
_OPTIONS = {"protocol_whitelist": "fd", "format_whitelist": ",".join(_CONTAINERS)}

# How such a file begins, to tell one that is broken from one that is something else.
_BEGINNINGS = re.compile(
    rb"RIFF....(WAVE|AVI )|....(ftyp|moov|mdat)|OggS|fLaC|ID3|\xff[\xe2-\xfb]|\x1aE\xdf\xa3"
    rb"|FORM....AIF[FC]|caff|#!AMR|wvpk|TTA1|FLV",
    re.DOTALL,
)

MAX_STREAMS = 64
_MAX_CHANNELS = 64
_MAX_SAMPLE_RATE = 768_000
_MAX_SIDE_PIXELS = 65_535
_MAX_SECONDS = 366 * 24 * 3600.0

Facts = dict[str, Any]


class Unreadable(Exception):
    """Why a file cannot be read, in one of the words of `ObjectInspected.reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Sound:
    """What decoding brought; `whole` when it came to the end, `damaged` when a part was lost."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.whole = False
        self.damaged = False
        self.peaks = Peaks()
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None

    def hear(self, packet: "Packet[AudioStream]") -> None:
        for frame in packet.decode():
            if frame.samples and frame.sample_rate:
                self._add(frame)

    def _add(self, frame: AudioFrame) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            # Only the format of a sample changes: another rate would smooth the peaks away, one
            # channel would let two cancel each other out.
            self._resampler, self._shape = AudioResampler(format="s16"), shape
        self.seconds += frame.samples / frame.sample_rate
        for plain in self._resampler.resample(frame):
            channels = plain.layout.nb_channels
            # A plane ends in padding.
            samples = bytes(plain.planes[0])[: plain.samples * channels * 2]
            self.peaks.add(samples, channels)


def read_media(descriptor: int, cpu_seconds: float) -> Facts:
    """The fields of `MediaFacts`, read from an open file, from its beginning.

    Sound is decoded for at most `cpu_seconds` of processor time; if that is not enough, there are
    no peaks, and the duration is the one the file claims.

    Raises:
        Unreadable: it is not media, or broken.
        MemoryError: it asked for more than this process may have.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        container = av.open("fd:", options={**_OPTIONS, "fd": str(descriptor)})
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        claimed = _BEGINNINGS.match(os.pread(descriptor, 16, 0))
        raise Unreadable("broken" if claimed else "not-media") from error
    with container:
        return _describe(container, cpu_seconds)


def _describe(container: InputContainer, cpu_seconds: float) -> Facts:
    if len(container.streams) > MAX_STREAMS:
        raise Unreadable("too-many-streams")
    if not len(container.streams):
        raise Unreadable("broken")
    sounds = container.streams.audio
    films = [one for one in container.streams.video if not _is_cover(one)]
    if not sounds and not films:
        raise Unreadable("not-media")
    facts: Facts = {"container": _CONTAINERS[container.format.name]}
    facts["duration_seconds"] = _seconds(container.duration)
    if films:
        facts |= _film(films[0])
    if sounds:
        facts |= _sound(container, sounds[0], cpu_seconds, facts)
    return facts


def _film(stream: VideoStream) -> Facts:
    width, height = stream.width, stream.height
    facts: Facts = {"has_video": True, "codec": _codec(stream.codec_context)}
    if 0 < width <= _MAX_SIDE_PIXELS and 0 < height <= _MAX_SIDE_PIXELS:
        facts |= {"width": width, "height": height}
    return facts


def _sound(
    container: InputContainer, stream: AudioStream, cpu_seconds: float, known: Facts
) -> Facts:
    """The facts of the first sound; those of a film and of its container stand."""
    context = stream.codec_context
    codec = _codec(context)
    facts: Facts = {"codec": known.get("codec") or codec}
    if codec is None:
        # The container speaks of a sound that nobody here can decode.
        return facts
    if not (0 < context.sample_rate <= _MAX_SAMPLE_RATE and 0 < context.channels <= _MAX_CHANNELS):
        raise Unreadable("broken")
    facts |= {"sample_rate": context.sample_rate, "channels": context.channels}
    sound = _listen(container, stream, cpu_seconds)
    if not sound.seconds and not known.get("has_video"):
        raise Unreadable("broken" if sound.damaged else "empty")
    if sound.whole and sound.seconds:
        facts["peaks"] = sound.peaks.levels()
        if not known.get("has_video") or known["duration_seconds"] is None:
            facts["duration_seconds"] = round(sound.seconds, 6)
    return facts


def _listen(container: InputContainer, stream: AudioStream, cpu_seconds: float) -> _Sound:
    """Decode to the end, past what is damaged, as players do; or until the time is used up."""
    sound = _Sound()
    enough = time.process_time() + cpu_seconds
    try:
        for packet in container.demux(stream):
            try:
                sound.hear(packet)
            except MemoryError:
                raise
            except (av.error.FFmpegError, ValueError):
                sound.damaged = True
            if time.process_time() > enough:
                return sound
    except MemoryError:
        raise
    except av.error.FFmpegError:
        sound.damaged = True  # the file ends before its container does
    sound.whole = True
    return sound


def _codec(context: CodecContext | None) -> str | None:
    """The name of the format, whoever decodes it: `mp3`, not `mp3float`."""
    return None if context is None else context.codec.canonical_name


def _is_cover(stream: VideoStream) -> bool:
    """A picture that came with a song is no film."""
    return bool(stream.disposition & Disposition.attached_pic)


def _seconds(duration: int | None) -> float | None:
    """A duration as the container claims it, unless it is absurd."""
    if duration is None:
        return None
    seconds = duration / av.time_base
    return seconds if 0 <= seconds <= _MAX_SECONDS else None
