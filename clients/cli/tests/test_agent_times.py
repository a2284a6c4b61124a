"""When a chunk was recorded: names, headers, and the clock of a machine that may have none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import pack

import pytest

from sluice_cli.agent.audio import Sound, read_sound
from sluice_cli.agent.chunks import codec_of, describe
from sluice_cli.agent.entries import Stamp
from sluice_cli.agent.settings import Defaults
from sluice_cli.agent.times import Span, UntimedError, as_text, moments_in, span_of

from .agent_door import chunk, wav, written_at

TEN = datetime(2026, 1, 28, 10, tzinfo=UTC)
TEN_AND_A_BIT = TEN.replace(microsecond=250_000)
MINUTE = timedelta(minutes=1)
LATER = TEN + timedelta(hours=5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20260128T100000Z.ogg", [TEN]),
        ("chunk_20260128T100000.250Z_20260128T100100Z.ogg", [TEN_AND_A_BIT, TEN + MINUTE]),
        ("chunk_20260128T100000250Z_0199c0de-0000-7000-8000-000000000000.ogg", [TEN_AND_A_BIT]),
        ("2026-01-28T10:00:00Z--2026-01-28T10:01:00Z.wav", [TEN, TEN + MINUTE]),
        ("2026-01-28T13-00-00+03:00.wav", [TEN]),
        ("20260128T130000+0300--20260128T130100+0300.wav", [TEN, TEN + MINUTE]),
        ("20260128T100000.123456789Z", [TEN.replace(microsecond=123_456)]),
        ("20260128T100000.ogg", []),
        ("20261328T100000Z.ogg", []),
        ("120260128T100000Z.ogg", []),
        ("19700101T000012Z.ogg", []),
        ("99991231T235959Z.ogg", []),
        ("call1.ogg", []),
    ],
)  # fmt: skip
def test_a_name_tells_the_moments_it_holds(name: str, expected: list[datetime]) -> None:
    assert moments_in(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20260128T100000Z--20260128T100030Z.ogg", Span(TEN, TEN + MINUTE / 2)),
        ("20260128T100000Z--20260128T095959Z.ogg", Span(TEN, TEN + MINUTE)),
        ("20260128T100000Z.ogg", Span(TEN, TEN + MINUTE)),
        ("call1.ogg", Span(LATER - MINUTE, LATER)),
    ],
)
def test_a_name_goes_before_the_time_of_writing(name: str, expected: Span) -> None:
    assert span_of(name, LATER, MINUTE) == expected


def test_a_time_of_writing_before_the_clock_was_set_places_no_chunk() -> None:
    unset = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    with pytest.raises(UntimedError, match="1970-01-01"):
        span_of("call1.ogg", unset, MINUTE)
    assert span_of("20260128T100000Z.ogg", unset, MINUTE) == Span(TEN, TEN + MINUTE)


def test_times_as_texts_sort_like_times() -> None:
    assert as_text(TEN) == "2026-01-28T10:00:00.000000Z"
    assert as_text(TEN) < as_text(TEN + timedelta(microseconds=1)) < as_text(TEN + MINUTE)


def ogg_page(granule: int, payload: bytes, serial: bytes = b"abcd") -> bytes:
    """A page as RFC 3533 has it, but for its checksum."""
    lacing = bytes([*[255] * (len(payload) // 255), len(payload) % 255])
    head = b"OggS\0\0" + pack("<Q", granule) + serial + bytes(8) + bytes([len(lacing)])
    return head + lacing + payload


OPUS_HEAD = b"OpusHead\x01\x01" + pack("<HIhB", 312, 16_000, 0, 0)
VORBIS_HEAD = b"\x01vorbis" + pack("<IBI", 0, 2, 44_100) + bytes(14)
NOTHING_ENDS = 2**64 - 1


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (
            [ogg_page(0, OPUS_HEAD), ogg_page(48_000, b"x" * 9000), ogg_page(96_312, b"y")],
            Sound(timedelta(seconds=2), 16_000, 1),
        ),
        (
            [ogg_page(0, OPUS_HEAD), ogg_page(48_312, b"x"), ogg_page(NOTHING_ENDS, b"y" * 60_000)],
            Sound(timedelta(seconds=1), 16_000, 1),
        ),
        (
            [ogg_page(0, OPUS_HEAD), ogg_page(48_312, b"x"), ogg_page(9, b"y", b"else")],
            Sound(timedelta(seconds=1), 16_000, 1),
        ),
        (
            [ogg_page(0, OPUS_HEAD), ogg_page(48_312, b"x"), ogg_page(96_312, b"y")[:20]],
            Sound(timedelta(seconds=1), 16_000, 1),
        ),
        (
            [ogg_page(0, VORBIS_HEAD), ogg_page(88_200, b"x")],
            Sound(timedelta(seconds=2), 44_100, 2),
        ),
        ([ogg_page(0, OPUS_HEAD)], Sound(None, 16_000, 1)),
        ([ogg_page(0, OPUS_HEAD), ogg_page(2**62, b"damaged")], Sound(None, 16_000, 1)),
        ([ogg_page(0, OPUS_HEAD), ogg_page(2**52, b"damaged")], Sound(None, 16_000, 1)),
        ([ogg_page(0, b"somethingelse")], Sound()),
        ([b"OggS"], Sound()),
        ([b"no sound at all"], Sound()),
    ],
)  # fmt: skip
def test_the_last_page_of_an_ogg_file_tells_its_length(
    tmp_path: Path, pages: list[bytes], expected: Sound
) -> None:
    assert read_sound(chunk(tmp_path, data=b"".join(pages))) == expected


def test_a_wav_file_tells_its_length_even_when_its_recorder_was_cut_off(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", 1.5)
    expected = Sound(timedelta(seconds=1.5), 16_000, 2)
    assert read_sound(path) == expected

    whole = path.read_bytes()
    for length in (0, 0xFFFF_FFFF):
        path.write_bytes(whole[:40] + pack("<I", length) + whole[44:])
        assert read_sound(path) == expected
    path.write_bytes(whole[: 44 + 32_000])
    assert read_sound(path).duration == timedelta(seconds=0.5)


@pytest.mark.parametrize("size", [0, 4, 11, 12, 30, 44])
def test_a_wav_file_that_ends_in_its_header_tells_less(tmp_path: Path, size: int) -> None:
    path = wav(tmp_path / "a.wav", 1)
    path.write_bytes(path.read_bytes()[:size])
    assert read_sound(path).duration is None


def test_a_chunk_is_described_alike_each_time(tmp_path: Path) -> None:
    path = written_at(wav(tmp_path / "a.wav", 2), TEN)
    stamp = Stamp.of(path.stat())
    entry = describe(path, stamp, "pcm_s16le", Defaults())
    assert (entry.start_ts, entry.end_ts) == (
        "2026-01-28T09:59:58.000000Z",
        "2026-01-28T10:00:00.000000Z",
    )
    assert (entry.codec, entry.sample_rate, entry.channels) == ("pcm_s16le", 16_000, 2)
    assert describe(path, stamp, "pcm_s16le", Defaults()) == entry


def test_defaults_fill_in_what_a_file_does_not_tell(tmp_path: Path) -> None:
    path = written_at(chunk(tmp_path, "a.mp3"), TEN)
    defaults = Defaults(sample_rate=8_000, channels=2, chunk_seconds=30)
    entry = describe(path, Stamp.of(path.stat()), "mp3", defaults)
    assert (entry.start_ts, entry.sample_rate, entry.channels) == (
        "2026-01-28T09:59:30.000000Z",
        8_000,
        2,
    )


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.ogg", "opus"), ("a.OPUS", "opus"), ("a.wav", "pcm_s16le"), ("a.flac", "flac"),
     ("a.mp3", "mp3"), ("a.m4a", "aac"), ("notes.txt", None), ("a", None)],
)  # fmt: skip
def test_the_extension_tells_the_codec_unless_one_is_given(name: str, codec: str | None) -> None:
    assert codec_of(name, Defaults()) == codec
    assert codec_of(name, Defaults(codec="vorbis")) == "vorbis"
