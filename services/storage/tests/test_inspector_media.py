"""What the child reads from real files, and from those that lie, break off or want something."""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from sluice_contracts.facts import MediaFacts
from sluice_storage.inspector.ports import Finding
from sluice_storage.inspector.readers import Reader

from .media_files import archive, encoded, patched, samples_of, swelling, wav, with_streams

SECOND = wav(samples_of(16_000))
SONG = encoded("mp3", "libmp3lame", rate=44_100)
SCRIPT = "<script>document.location='https://elsewhere.example/'</script>"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def reader() -> AsyncIterator[Reader]:
    made = Reader(timeout_seconds=60)
    yield made
    await made.close()


async def look(reader: Reader, data: bytes) -> Finding:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return await reader.read(file)


async def facts_of(reader: Reader, data: bytes) -> MediaFacts:
    finding = await look(reader, data)
    assert finding.readable, finding
    assert finding.media is not None
    return finding.media


@dataclass(frozen=True)
class Kind:
    """A format and what it is called afterwards. An encoder may pad the sound at both ends."""

    muxer: str
    encoder: str
    rate: int
    container: str
    codec: str
    channels: int = 2
    padding_seconds: float = 0.0


KINDS = (
    Kind("wav", "pcm_s16le", 16_000, "wav", "pcm_s16le", 1),
    Kind("wav", "pcm_s24le", 96_000, "wav", "pcm_s24le"),
    Kind("mp3", "libmp3lame", 44_100, "mp3", "mp3"),
    Kind("ogg", "libopus", 48_000, "ogg", "opus"),
    Kind("flac", "flac", 44_100, "flac", "flac"),
    Kind("aiff", "pcm_s16be", 22_050, "aiff", "pcm_s16be", 1),
    Kind("ipod", "aac", 44_100, "mp4", "aac", padding_seconds=0.1),
    Kind("adts", "aac", 44_100, "aac", "aac", padding_seconds=0.1),
    Kind("webm", "libopus", 48_000, "matroska", "opus"),
    Kind("mpegts", "aac", 48_000, "mpegts", "aac", padding_seconds=0.1),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: f"{one.muxer}-{one.encoder}")
async def test_each_format_says_what_it_is(reader: Reader, kind: Kind) -> None:
    data = encoded(
        kind.muxer, kind.encoder, rate=kind.rate, channels=kind.channels, loudness=swelling
    )
    media = await facts_of(reader, data)
    assert (media.container, media.codec) == (kind.container, kind.codec)
    assert (media.sample_rate, media.channels) == (kind.rate, kind.channels)
    assert media.duration_seconds == pytest.approx(2.0, abs=0.001 + kind.padding_seconds)
    assert (media.has_video, media.width, media.height) == (False, None, None)
    assert len(media.peaks) == 1000
    tenths = [sum(media.peaks[at : at + 100]) for at in range(0, 1000, 100)]
    assert all(before < after for before, after in pairwise(tenths)), tenths
    assert max(media.peaks) > 200


async def test_peaks_of_sound_that_swells_never_fall(reader: Reader) -> None:
    samples = samples_of(64_000, loudness=swelling, period=2 * 8)
    media = await facts_of(reader, wav(samples))
    assert len(media.peaks) == 1000
    assert list(media.peaks) == sorted(media.peaks)
    assert media.peaks[0] == 0
    assert media.peaks[-1] == round(32_000 / 32_768 * 255)


async def test_two_channels_that_cancel_each_other_out_are_still_loud(reader: Reader) -> None:
    samples = bytearray(samples_of(8_000, channels=2))
    for at in range(0, len(samples), 4):
        left = int.from_bytes(samples[at : at + 2], "little", signed=True)
        samples[at + 2 : at + 4] = (-left).to_bytes(2, "little", signed=True)
    media = await facts_of(reader, wav(bytes(samples), channels=2))
    assert min(media.peaks[:500]) > 200


async def test_a_very_short_sound_has_fewer_peaks(reader: Reader) -> None:
    media = await facts_of(reader, wav(samples_of(80)))
    assert 0 < len(media.peaks) <= 80
    assert media.duration_seconds == pytest.approx(0.005)


async def test_a_film_tells_its_size_and_how_loud_it_is(reader: Reader) -> None:
    media = await facts_of(reader, encoded("mp4", "aac", rate=48_000, film=(320, 180)))
    assert (media.container, media.codec) == ("mp4", "mpeg4")
    assert (media.has_video, media.width, media.height) == (True, 320, 180)
    assert (media.sample_rate, media.channels) == (48_000, 2)
    assert media.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert len(media.peaks) == 1000


async def test_the_cover_of_a_song_makes_no_film_of_it(reader: Reader) -> None:
    media = await facts_of(reader, encoded("mp3", "libmp3lame", rate=44_100, cover=True))
    assert (media.codec, media.has_video, media.width) == ("mp3", False, None)


async def test_an_empty_wav_is_empty(reader: Reader) -> None:
    assert await look(reader, wav(b"")) == Finding(readable=False, reason="empty")


@pytest.mark.parametrize("size", [0, 10, 2**31, 2**32 - 1])
async def test_a_wav_that_lies_about_its_size_is_as_long_as_its_samples(
    reader: Reader, size: int
) -> None:
    media = await facts_of(reader, patched(patched(SECOND, 4, "<I", size), 40, "<I", size))
    assert media.duration_seconds is not None
    assert media.duration_seconds <= 1.0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(65_536), id="zeros"),
        pytest.param(f"<html>{SCRIPT}</html>".encode() * 100, id="HTML named .mp3"),
        pytest.param(f'<svg xmlns="http://www.w3.org/2000/svg">{SCRIPT}</svg>'.encode(), id="SVG"),
        pytest.param(archive(SCRIPT), id="ZIP"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
    ],
)
async def test_what_is_no_media_is_not_media(reader: Reader, data: bytes) -> None:
    assert await look(reader, data) == Finding(readable=False, reason="not-media")


@pytest.mark.parametrize("data", [SONG + archive(SCRIPT), archive(SCRIPT) + SONG])
async def test_a_song_that_is_an_archive_too_is_a_song(reader: Reader, data: bytes) -> None:
    media = await facts_of(reader, data)
    assert media.codec == "mp3"
    assert media.duration_seconds == pytest.approx(2.0, abs=0.1)


PLAYLISTS = (
    "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile '{path}'\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<AdaptationSet><Representation><BaseURL>{url}</BaseURL></Representation></AdaptationSet>"
    "</Period></MPD>",
    "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
)


@pytest.mark.parametrize("text", PLAYLISTS)
@pytest.mark.parametrize("names_media", [True, False])
async def test_a_playlist_leads_to_no_other_file(
    reader: Reader, text: str, names_media: bool, tmp_path: Path
) -> None:
    """What it names may be readable, and loud: nobody looks."""
    named = Path("/etc/passwd")
    if names_media:
        named = tmp_path / "secret.wav"
        named.write_bytes(SECOND)
    data = text.format(url=named.as_uri(), path=named).encode()
    assert await look(reader, data) == Finding(readable=False, reason="not-media")


@pytest.mark.parametrize("rate", [10**9, 0, 2**32 - 1])
async def test_a_rate_that_cannot_be_is_broken(reader: Reader, rate: int) -> None:
    finding = await look(reader, patched(SECOND, 24, "<I", rate))
    assert finding == Finding(readable=False, reason="broken")


async def test_a_thousand_streams_are_too_many(reader: Reader) -> None:
    finding = await look(reader, with_streams(1000))
    assert finding == Finding(readable=False, reason="too-many-streams")


async def test_a_film_without_the_end_of_its_index_is_broken(reader: Reader) -> None:
    film = encoded("mp4", "aac", rate=48_000, film=(64, 64))
    index = film.index(b"moov")
    # Further in, it depends on the encoder whether what is left describes a stream.
    for end in (index - 4, index + 4, index + 60):
        finding = await look(reader, film[:end])
        assert finding == Finding(readable=False, reason="broken"), end


async def test_a_file_that_breaks_off_is_as_long_as_what_is_there(reader: Reader) -> None:
    media = await facts_of(reader, SONG[: len(SONG) // 2])
    assert media.duration_seconds is not None
    assert 0.1 < media.duration_seconds < 1.9


async def test_damage_in_the_middle_is_passed_over(reader: Reader) -> None:
    middle = len(SONG) // 2
    media = await facts_of(reader, SONG[:middle] + bytes(3000) + SONG[middle + 3000 :])
    assert media.duration_seconds is not None
    assert 1.0 < media.duration_seconds < 2.5


async def test_no_cut_and_no_flipped_byte_takes_the_child_down(reader: Reader) -> None:
    reasons = set[str | None]()
    for kind in KINDS:
        data = encoded(kind.muxer, kind.encoder, rate=kind.rate, seconds=0.3)
        for at in range(0, min(len(data), 2_000), 97):
            cut, flipped = data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
            reasons |= {(await look(reader, one)).reason for one in (cut, flipped)}
    assert reasons <= {None, "not-media", "broken", "empty"}
