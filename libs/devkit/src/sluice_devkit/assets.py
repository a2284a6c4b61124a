"""Recordings for demonstrations and tests, made with arithmetic."""

import io
import json
import math
import random
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

SAMPLE_RATE = 16_000
_SYLLABLES_PER_SECOND = 4.0
_PAUSE_EVERY = 7  # syllables, for breath
# First three resonances of five vowels, in Hz, with the loudness of each.
_VOWELS = (
    ((730, 1.0), (1090, 0.5), (2440, 0.2)),
    ((530, 1.0), (1840, 0.4), (2480, 0.2)),
    ((270, 1.0), (2290, 0.3), (3010, 0.2)),
    ((570, 1.0), (840, 0.6), (2410, 0.1)),
    ((300, 1.0), (870, 0.4), (2240, 0.1)),
)
_BANDWIDTH = 120.0


@dataclass(frozen=True)
class DemoCall:
    """One recording and what is said about it."""

    audio: Path
    metadata: Path


def speech(seconds: float, *, pitch: float = 120.0, seed: int = 0) -> bytes:
    """A WAV file that sounds somewhat like a voice: 16 kHz, mono, 16 bit.

    `pitch` is in Hz. The same arguments give the same bytes.
    """
    chance = random.Random(seed)
    total = round(seconds * SAMPLE_RATE)
    length = round(SAMPLE_RATE / _SYLLABLES_PER_SECOND)
    samples: list[int] = []
    for number in range(-(-total // length)):
        silent = number % _PAUSE_EVERY == _PAUSE_EVERY - 1
        tone = pitch * chance.uniform(0.9, 1.15)
        samples += [0] * length if silent else _syllable(chance.choice(_VOWELS), tone, length)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(struct.pack(f"<{total}h", *samples[:total]))
    return file.getvalue()


def _syllable(vowel: tuple[tuple[int, float], ...], pitch: float, length: int) -> list[int]:
    """Harmonics of the pitch, each as loud as the vowel's resonances let it through."""
    loudness = [
        sum(peak / (1 + ((pitch * harmonic - centre) / _BANDWIDTH) ** 2) for centre, peak in vowel)
        for harmonic in range(1, 25)
    ]
    # One period, repeated: the pitch holds still within a syllable.
    period = round(SAMPLE_RATE / pitch)
    wave_form = [
        sum(
            loud * math.sin(math.tau * harmonic * step / period)
            for harmonic, loud in enumerate(loudness, start=1)
        )
        for step in range(period)
    ]
    peak = max(abs(value) for value in wave_form)
    return [
        round(16_000 * math.sin(math.pi * step / length) ** 2 * wave_form[step % period] / peak)
        for step in range(length)
    ]


def write_demo_calls(folder: Path) -> list[DemoCall]:
    """Three recordings with their metadata, written to `folder`."""
    calls = []
    for number, (seconds, pitch, agent) in enumerate(
        [(4.0, 110.0, "Ada"), (6.0, 190.0, "Grace"), (3.0, 140.0, "Linus")], start=1
    ):
        call = DemoCall(folder / f"call{number}.wav", folder / f"call{number}.json")
        call.audio.write_bytes(speech(seconds, pitch=pitch, seed=number))
        metadata = {
            "agent": agent,
            "language": "en",
            "duration_seconds": seconds,
            "sample_rate": SAMPLE_RATE,
            "topic": f"demonstration call {number}",
        }
        call.metadata.write_text(json.dumps(metadata, indent=2))
        calls.append(call)
    return calls
