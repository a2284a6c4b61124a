"""Media made on the spot: what people upload, and what they had better not."""

import io
import math
import struct
import wave
import zipfile
from array import array
from collections.abc import Callable

import av
from av.stream import Disposition

LOUDEST = 32_000
Tone = Callable[[float], float]


def hum(_: float) -> float:
    """Always as loud."""
    return 1.0


def swelling(part: float) -> float:
    """From silence to as loud as can be; `part` of the way."""
    return part


def samples_of(count: int, channels: int = 1, loudness: Tone = hum, period: int = 20) -> bytes:
    """A tone of 16-bit samples, one period every `period` samples, on all channels alike."""
    one = array("h")
    for index in range(count):
        level = loudness(index / count) * math.sin(2 * math.pi * index / period)
        one.extend([int(LOUDEST * level)] * channels)
    return one.tobytes()


def wav(samples: bytes, rate: int = 16_000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return file.getvalue()


def patched(data: bytes, at: int, layout: str, value: int) -> bytes:
    """`data` with one number of a header replaced."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, value)
    return bytes(changed)


def encoded(
    container: str,
    codec: str,
    *,
    rate: int,
    channels: int = 2,
    seconds: float = 2.0,
    loudness: Tone = hum,
    film: tuple[int, int] | None = None,
    cover: bool = False,
) -> bytes:
    """A file as an encoder would write it; `film` is the size of a video that goes with it."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        sound = output.add_stream(codec, rate=rate)
        sound.layout = "stereo" if channels == 2 else "mono"
        pictures = output.add_stream("mpeg4", rate=25) if film else None
        if film and pictures:
            pictures.width, pictures.height = film
            pictures.pix_fmt = "yuv420p"
        if cover:
            _add_cover(output)
        count = int(rate * seconds)
        frame = av.AudioFrame(format="s16", layout=sound.layout.name, samples=count)
        frame.sample_rate = rate
        frame.planes[0].update(samples_of(count, channels, loudness))
        output.mux([*sound.encode(frame), *sound.encode(None)])
        if film and pictures:
            for number in range(int(25 * seconds)):
                picture = av.VideoFrame(*film, "yuv420p")
                picture.pts = number
                output.mux(pictures.encode(picture))
            output.mux(pictures.encode(None))
    return file.getvalue()


def _add_cover(output: av.container.OutputContainer) -> None:
    picture = output.add_stream("png", rate=1)
    picture.width = picture.height = 32
    picture.pix_fmt = "rgb24"
    picture.disposition = Disposition.attached_pic
    output.mux(picture.encode(av.VideoFrame(32, 32, "rgb24")))


def with_streams(count: int) -> bytes:
    """A film with that many sounds, each of them a moment long."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as output:
        streams = [output.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(count)]
        for stream in streams:
            frame = av.AudioFrame(format="s16", layout="mono", samples=80)
            frame.sample_rate = 8_000
            output.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def archive(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as writer:
        writer.writestr("page.html", text)
    return file.getvalue()
